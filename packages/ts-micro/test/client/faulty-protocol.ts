// A process whose protocol throws. The argument says whether beside or instead of failing its calls; it says how they ended, how often its selector
// was told so, and has to end by itself.
import { createClient, MicroError } from "../../src/index.ts";
import type { OutgoingCall, Peer, Protocol } from "../../src/protocol.ts";
import { memoryRegistry } from "../../src/registry/memory.ts";
import { randomSelector } from "../../src/selector/random.ts";

const when = process.argv[2] as "after" | "before" | "instead of";
const registry = memoryRegistry();
const nodes = [{ id: "s-1", address: "x:1", metadata: { protocol: "mine" } }];
await registry.register({ name: "s", version: "1", metadata: {}, endpoints: [], nodes });
const lost = new MicroError({ id: "mine", code: "CONNECTION_LOST", detail: "lost" });
let directly = 0;
const direct = (call: OutgoingCall): void => {
  directly++;
  if (when === "after") call.failed(lost);
  if (when === "before") setImmediate(() => call.failed(lost));
  throw lost;
};
const peer = { pending: 0, direct, unary: () => Promise.reject(lost), drain() {}, async close() {} };
const protocol = {
  name: "mine",
  metadata: { protocol: "mine" },
  dial: (node: Peer["node"]) => ({ ...peer, node }),
  async start() {},
  async close() {},
  async [Symbol.asyncDispose]() {},
} as unknown as Protocol;
const said: string[] = [];
process.on("unhandledRejection", (reason) => said.push(`unhandled: ${String(reason)}`));
let ended = 0;
const random = randomSelector();
const selector = {
  name: random.name,
  select: random.select.bind(random),
  started() {},
  ended: () => void ended++,
  reset() {},
};
const client = createClient({ registry, env: false, logLevel: "fatal", protocols: [protocol], selector });
const call = (retries: number): Promise<unknown> => client.call("s", "S.X", {}, { retries, idempotent: retries > 0 });
// The first loads what calls, and goes by `unary`.
for (const retries of [0, 0, 2]) await call(retries).catch((error: MicroError) => said.push(error.code));
// The reason is the caller's own, and cannot be written to.
const gone = new AbortController();
gone.abort(Object.freeze(new MicroError({ id: "x", code: "CANCELLED", detail: "gone" })));
await client.call("s", "S.X", {}, { signal: gone.signal }).catch((error: MicroError) => said.push(error.code));
process.once("exit", () => console.log(JSON.stringify({ said, directly, ended })));
