import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, it } from "vitest";
import { createClient, createService, endpoint, type Selector } from "../../src/index.ts";
import { memoryRegistry } from "../../src/registry/memory.ts";

it.each(["fast", "mucp"])(
  "a selector that gives what is no node fails its calls and streams by name (%s)",
  async (wire) => {
    const shared = { registry: memoryRegistry(), env: false as const, logLevel: "fatal" as const };
    await using service = createService({ ...shared, name: "s", address: "127.0.0.1:0", settle: 0 }).handle("S", {
      hello: () => ({}),
      async *feed() {
        yield {};
      },
    });
    await service.start();
    const { address } = service.server;
    let node: unknown;
    const selector = {
      name: "faulty",
      select: () => node,
      started() {},
      ended() {},
      reset() {},
    } as unknown as Selector;
    await using client = createClient({ ...shared, protocols: [wire], selector });
    const read = async (): Promise<void> => {
      const stream = client.stream("s", "S.Feed", { stream: "server" });
      await stream.send({});
      for await (const _ of stream);
    };
    for (node of [null, "s-1", {}, { id: "s-1", address }, { address, metadata: {} }, { id: 5, address, metadata: {} }])
      for (const way of [() => client.call("s", "S.Hello", {}), read])
        await expect(way()).rejects.toMatchObject({
          code: "INTERNAL",
          detail: expect.stringMatching(/^selector faulty: select: gave .+, not one of the nodes$/) as string,
        });
    // One of its own making is tried.
    node = { id: "mine", address, metadata: {} };
    await client.call("s", "S.Hello", {});
    await read();
  },
);

it("a selector that hands out one object again and again reaches the node that it names", async () => {
  const shared = { registry: memoryRegistry(), env: false as const, logLevel: "fatal" as const };
  const make = (id: string) =>
    createService({ ...shared, name: "s", id, address: "127.0.0.1:0", settle: 0 }).handle("S", { who: () => ({ id }) });
  await using a = make("a");
  await using b = make("b");
  await a.start();
  await b.start();
  const addresses = [a.server.address, b.server.address];
  const scratch = { id: "", address: "", metadata: {} };
  let n = 0;
  const selector = {
    name: "scratch",
    select: () => Object.assign(scratch, { id: `n-${n % 2}`, address: addresses[n++ % 2] }),
    started() {},
    ended() {},
    reset() {},
  } as Selector;
  await using client = createClient({ ...shared, selector });
  const seen: unknown[] = [];
  for (let i = 0; i < 6; i++) seen.push(await client.call("s", "S.Who", {}));
  expect(seen).toEqual(["a", "b", "a", "b", "a", "b"].map((id) => ({ id })));
});

it("a selector that throws, rejects or gives nothing fails its calls by name, and keeps no process", async () => {
  await using service = createService({
    name: "s",
    registry: memoryRegistry(),
    address: "127.0.0.1:0",
    env: false,
    logLevel: "fatal",
    settle: 0,
  }).handle("S", {
    hello: () => ({}),
    feed: endpoint({ stream: "server" }, async function* () {
      yield {};
    }),
  });
  await service.start();
  const program = fileURLToPath(new URL("faulty-selector.ts", import.meta.url));
  const args = ["--import", "tsx", program, service.server.address];
  const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: 30_000 });
  const { warning, ...said } = JSON.parse(stdout) as Record<string, string>;
  const expected = (way: string): string => {
    if (way.startsWith("select throws")) return "INTERNAL selector faulty: select: out of order";
    if (way.startsWith("select rejects"))
      return "INTERNAL selector faulty: select: gave a promise, not one of the nodes";
    if (way.startsWith("select gives")) return "INTERNAL selector faulty: select: gave undefined, not one of the nodes";
    if (way.startsWith("started throws")) return "INTERNAL selector faulty: started: out of order";
    // Nobody waits for what a selector does on the side, and the outcome of a call stands.
    return "well";
  };
  expect(said).toEqual(Object.fromEntries(Object.keys(said).map((way) => [way, expected(way)])));
  expect(Object.keys(said).length).toBe(7 * 2 * 7);
  expect(warning).toMatch(/selector faulty: \w+: out of order/);
  expect(service.server.stats.inFlight).toBe(0);
});
