import { afterEach, describe, expect, it } from "vitest";
import { createClient, createService, endpoint, type CallOptions } from "../../src/index.ts";
import { memoryRegistry } from "../../src/registry/memory.ts";
import { eventually } from "../../src/testing/suite.ts";

const open: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const each of open.splice(0).toReversed()) await each.close();
});

async function world(wire: string) {
  const shared = { registry: memoryRegistry(), env: false as const, logLevel: "fatal" as const, protocols: [wire] };
  const goOn: (() => void)[] = [];
  const wait = (): Promise<object> => new Promise((resolve) => goOn.push(() => resolve({})));
  const service = createService({ ...shared, name: "s", address: "127.0.0.1:0", settle: 0, drain: 0, maxInFlight: 3 });
  service.handle("S", {
    unary: wait,
    feed: endpoint({ stream: "server" }, async function* () {
      yield await wait();
    }),
    take: endpoint({ stream: "client" }, wait),
    hello: () => ({}),
  });
  await service.start();
  const client = createClient({ ...shared, retries: 0 });
  open.push({ close: () => service.stop() }, client);
  return { service, client, goOn };
}

describe.each(["fast", "mucp", "grpc", "in process"])("a handler that its caller has given up (%s)", (how) => {
  it.each(["unary", "feed", "take"])("counts as work until it has settled (%s)", async (what) => {
    const { service, client: other, goOn } = await world(how === "in process" ? "fast" : how);
    const client = how === "in process" ? service.client : other;
    await client.call("s", "S.Hello", {});
    const call = async (options: CallOptions): Promise<void> => {
      if (what === "unary") return void (await client.call("s", "S.Unary", {}, options));
      const stream = client.stream("s", what === "feed" ? "S.Feed" : "S.Take", {
        ...options,
        stream: what === "feed" ? "server" : "client",
      });
      if (what === "feed") await stream.send({});
      for await (const _ of stream);
    };
    // The time may pass before it has begun.
    while (goOn.length === 0) await expect(call({ timeout: 50 })).rejects.toMatchObject({ code: "TIMEOUT" });
    for (let n = 1; n < 3; n++) {
      const controller = new AbortController();
      const given = call({ signal: controller.signal }).then(
        () => "well",
        (error: { code: string }) => error.code,
      );
      await eventually(() => goOn.length === n + 1, "it runs");
      controller.abort();
      expect(await given).toBe("CANCELLED");
      await eventually(() => service.server.stats.inFlight === 0, "nobody waits for it");
    }
    const refused = await client.call("s", "S.Hello", {}).catch((error: unknown) => error);
    expect(refused).toMatchObject({
      code: "RESOURCE_EXHAUSTED",
      refused: how !== "in process",
      detail: "3 calls are under way, 3 of them given up by their callers, which is the limit",
    });
    for (const each of goOn) each();
    await new Promise(setImmediate);
    await client.call("s", "S.Hello", {});
  });
});
