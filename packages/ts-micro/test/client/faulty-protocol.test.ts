import { expect, it, vi } from "vitest";
import { createClient, MicroError } from "../../src/index.ts";
import type { OutgoingCall, Peer, Protocol } from "../../src/protocol.ts";
import { memoryRegistry } from "../../src/registry/memory.ts";

it.each(["after", "before"])("a protocol that throws %s it fails a call settles it once", async (when) => {
  const registry = memoryRegistry();
  const nodes = [{ id: "s-1", address: "x:1", metadata: { protocol: "mine" } }];
  await registry.register({ name: "s", version: "1", metadata: {}, endpoints: [], nodes });
  const lost = new MicroError({ id: "mine", code: "CONNECTION_LOST", detail: "lost" });
  const direct = vi.fn<(call: OutgoingCall) => void>((call) => {
    if (when === "after") call.failed(lost);
    else setImmediate(() => call.failed(lost));
    throw lost;
  });
  const peer = { pending: 0, direct, unary: () => Promise.reject(lost), drain() {}, async close() {} };
  const protocol = {
    name: "mine",
    metadata: { protocol: "mine" },
    dial: (node: Peer["node"]) => ({ ...peer, node }),
    async start() {},
    async close() {},
    async [Symbol.asyncDispose]() {},
  } as unknown as Protocol;
  const unhandled = vi.fn<(reason: unknown) => void>();
  process.on("unhandledRejection", unhandled);
  try {
    await using client = createClient({ registry, env: false, logLevel: "fatal", protocols: [protocol] });
    // The first loads what calls, and goes by `unary`.
    for (let n = 0; n < 2; n++)
      await expect(client.call("s", "S.X", {}, { retries: 0 })).rejects.toMatchObject({ code: "CONNECTION_LOST" });
    expect(direct).toHaveBeenCalled();
    for (let n = 0; n < 3; n++) await new Promise((resolve) => setImmediate(resolve));
    expect(unhandled).not.toHaveBeenCalled();
  } finally {
    process.off("unhandledRejection", unhandled);
  }
});
