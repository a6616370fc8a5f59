// A server and a client of fast framing in one process; the reader of a 64 MiB stream stops after its first message. Says how much the
// process has grown.
import { fast } from "../../src/protocol/fast.ts";
import { createClient, createService, endpoint } from "../../src/index.ts";
import { memoryRegistry } from "../../src/registry/memory.ts";

const registry = memoryRegistry();
const shared = { registry, env: false as const, logLevel: "fatal" as const, protocols: [fast()] };
const body = new Uint8Array(16 << 10);
const total = (64 << 20) / body.length;
let sent = 0;
let received = 0;
let goOn = (): void => {};

const service = createService({ ...shared, name: "big", address: "127.0.0.1:0", settle: 0, drain: 0 }).handle("Big", {
  read: endpoint({ stream: "server" }, async function* () {
    for (let n = 0; n < total; n++, sent++) yield body;
  }),
  write: endpoint({ stream: "client" }, async (messages: AsyncIterable<unknown>) => {
    for await (const _ of messages) if (++received === 1) await new Promise<void>((resolve) => (goOn = resolve));
    return new Uint8Array(0);
  }),
});
await service.start();
const client = createClient(shared);
const options = { contentType: "application/octet-stream", timeout: "60s" as const };
const quiet = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 400));
const gc = (globalThis as { gc?: () => void }).gc as () => void;
const measure = (): number => (gc(), process.memoryUsage().rss);

async function read(): Promise<AsyncIterator<unknown>> {
  const stream = client.stream("big", "Big.Read", { stream: "server", ...options });
  await stream.send(body);
  return stream[Symbol.asyncIterator]();
}

const warm = await read();
for (let n = 0; n < 200; n++) await warm.next();
await warm.return?.();
await quiet();

const before = measure();
sent = 0;
const reading = await read();
await reading.next();
await quiet();
const stalled = { sent, grown: measure() - before };

let written = 0;
const writing = client.stream("big", "Big.Write", { stream: "client", ...options });
const done = (async () => {
  for (; written < total; written++) await writing.send(body);
  writing.end();
  for await (const _ of writing);
})();
await quiet();
const blocked = { written, grown: measure() - before };
goOn();
await done;
let rest = 1;
while (!(await reading.next()).done) rest++;
process.send?.({ stalled, blocked, received, rest, total });
await client.close();
await service.stop();
process.disconnect();
