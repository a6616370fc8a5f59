/** What becomes of the requests of a stream: those that cannot be sent, and sources that nobody reads any more. */
import { afterEach, describe, expect, it } from "vitest";
import { createClient, createService, endpoint } from "../../src/index.ts";
import { memoryRegistry } from "../../src/registry/memory.ts";
import { within } from "../../src/testing/suite.ts";

const open: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const each of open.splice(0).toReversed()) await each.close();
});

async function world(wire: string) {
  const shared = { registry: memoryRegistry(), env: false as const, logLevel: "fatal" as const, protocols: [wire] };
  const service = createService({ ...shared, name: "s", address: "127.0.0.1:0", settle: 0, drain: "1s" }).handle("S", {
    hello: () => ({}),
    async *count({ text }: { text: string }) {
      yield { n: text.length };
    },
    total: endpoint({ stream: "client" }, async (items: AsyncIterable<{ text: string }>) => {
      let n = 0;
      for await (const { text } of items) n += text.length;
      return { n };
    }),
  });
  open.push({ close: () => service.stop() });
  await service.start();
  const client = createClient(shared);
  open.push(client);
  return { client, s: client.service<typeof service>("s").S };
}

describe.each(["fast", "grpc", "mucp", "http"])("over %s", (wire) => {
  it.each([true, false])("a server stream whose request is too large fails (connected before: %s)", async (before) => {
    const { client, s } = await world(wire);
    if (before) await client.call("s", "S.Hello", {});
    const text = "x".repeat(5 << 20);
    const first = s.count({ text })[Symbol.asyncIterator]().next();
    await expect(within(first, "the stream's end")).rejects.toMatchObject({ code: "PAYLOAD_TOO_LARGE" });
    // Others are served as before.
    expect(await s.count({ text: "xx" })[Symbol.asyncIterator]().next()).toEqual({ done: false, value: { n: 2 } });
  });
});
