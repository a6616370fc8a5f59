/** Streams of requests that a node refused: what was sent goes to another one. */
import { createServer, type AddressInfo } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { createClient, createService, endpoint, type ServiceOptions } from "../../src/index.ts";
import { memoryRegistry } from "../../src/registry/memory.ts";
import type { ServiceRecord } from "../../src/registry.ts";
import type { Selector } from "../../src/selector.ts";
import { eventually, within } from "../../src/testing/suite.ts";

const open: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const each of open.splice(0).toReversed()) await each.close();
});

interface N {
  n: number;
}

interface Told {
  held: number;
  free: () => void;
}

function at(record: ServiceRecord, id: string, address?: string): ServiceRecord {
  const node = record.nodes[0] as ServiceRecord["nodes"][number];
  return { ...record, nodes: [{ ...node, id, address: address ?? node.address }] };
}

/** A service that nobody knows; its record, with a node of that id. */
async function unknown(wire: string, id: string, told: Told, options: Partial<ServiceOptions> = {}) {
  const registry = memoryRegistry();
  const shared = { registry, env: false as const, logLevel: "fatal" as const, protocols: [wire] };
  const service = createService({
    ...{ ...shared, name: "s", address: "127.0.0.1:0", settle: 0, drain: "1s" },
    ...options,
  }).handle("S", {
    hold: () =>
      new Promise<object>((resolve) => {
        told.held++;
        told.free = () => resolve({});
      }),
    total: endpoint({ stream: "client" }, async (items: AsyncIterable<N>) => {
      const seen: number[] = [];
      for await (const { n } of items) seen.push(n);
      return { seen };
    }),
    echo: endpoint({ stream: "bidi" }, async function* (items: AsyncIterable<Uint8Array>) {
      for await (const bytes of items) yield bytes;
    }),
    chat: endpoint({ stream: "bidi" }, async function* (items: AsyncIterable<N>) {
      for await (const { n } of items) yield { n: n * 2 };
    }),
  });
  open.push({ close: () => service.stop() });
  await service.start();
  const [record] = (await registry.getService("s")) as [ServiceRecord];
  return at(record, id);
}

/** Where nobody listens. */
async function dead(record: ServiceRecord): Promise<ServiceRecord> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return at(record, "s-bad", `127.0.0.1:${port}`);
}

/** A client of both, which asks the bad one first. */
function clientOf(wire: string, ...records: ServiceRecord[]) {
  const tried: string[] = [];
  const selector: Selector = {
    name: "bad first",
    select(_, nodes, exclude) {
      const left = nodes.filter(({ id }) => exclude?.has(id) !== true);
      const node = left.find(({ id }) => id === "s-bad") ?? left[0] ?? nodes[0];
      tried.push((node as { id: string }).id);
      return node as never;
    },
    started() {},
    ended() {},
    reset() {},
  };
  const services = [{ ...(records[0] as ServiceRecord), nodes: records.flatMap(({ nodes }) => nodes) }];
  const registry = memoryRegistry({ services });
  const client = createClient({ registry, env: false, logLevel: "fatal", protocols: [wire], selector });
  open.push(client);
  return { client, tried };
}

interface Stub {
  S: { total(items: AsyncIterable<N>): Promise<{ seen: number[] }>; chat(items: AsyncIterable<N>): AsyncIterable<N> };
}

/** 1 to `to`, each time in the same object. */
async function* items(to: number): AsyncGenerator<N> {
  const item = await Promise.resolve({ n: 0 });
  while (item.n < to) {
    item.n++;
    yield item;
  }
}

describe.each(["fast", "grpc", "mucp", "http"])("over %s", (wire) => {
  async function world(how: "dead" | "full") {
    const told: Told = { held: 0, free: () => {} };
    const good = await unknown(wire, "s-good", told);
    const bad = how === "dead" ? await dead(good) : await unknown(wire, "s-bad", told, { maxInFlight: 1 });
    const { client, tried } = clientOf(wire, good, bad);
    if (how === "full") {
      const held = client.call("s", "S.Hold", {});
      await eventually(() => told.held === 1, "the bad one is full");
      open.push({ close: async () => (told.free(), void (await held)) });
    }
    tried.splice(0);
    return { client, s: client.service<Stub>("s").S, tried };
  }

  it.each(["dead", "full"] as const)("a client stream goes to another node than a %s one", async (how) => {
    const { s, tried } = await world(how);
    expect(await within(s.total(items(5)), "the reply")).toEqual({ seen: [1, 2, 3, 4, 5] });
    expect(tried).toEqual(["s-bad", "s-good"]);
  });

  it.each(["dead", "full"] as const)("so does a bidi stream (%s)", async (how) => {
    const { s, tried } = await world(how);
    const seen: number[] = [];
    for await (const { n } of s.chat(items(3))) seen.push(n);
    expect(seen).toEqual([2, 4, 6]);
    expect(tried).toEqual(["s-bad", "s-good"]);
  });

  it.skipIf(wire === "http")("bytes go along as they were when they were sent", async () => {
    const { client, tried } = await world("full");
    const echo = client.stream("s", "S.Echo", { stream: "bidi", contentType: "application/octet-stream" });
    const bytes = Buffer.alloc(2);
    for (const n of [1, 2, 3]) await within(echo.send(bytes.fill(n)), "room");
    echo.end();
    const seen: number[][] = [];
    for await (const each of echo) seen.push([...(each as Uint8Array)]);
    expect(seen).toEqual([1, 2, 3].map((n) => [n, n]));
    expect(tried).toEqual(["s-bad", "s-good"]);
  });

  it("and one whose user sends before he reads", async () => {
    const { client, tried } = await world("dead");
    const chat = client.stream("s", "S.Chat", { stream: "bidi" });
    await within(chat.send({ n: 1 }), "room");
    await within(chat.send({ n: 2 }), "room");
    chat.end();
    const seen: unknown[] = [];
    await chat.forEach((message) => void seen.push(message));
    expect(seen).toEqual([{ n: 2 }, { n: 4 }]);
    expect(tried).toEqual(["s-bad", "s-good"]);
  });
});

it("a single large message goes along", async () => {
  const told: Told = { held: 0, free: () => {} };
  const good = await unknown("fast", "s-good", told);
  const { client } = clientOf("fast", good, await dead(good));
  const large = async function* (): AsyncGenerator<N & { pad: string }> {
    yield await Promise.resolve({ n: 1, pad: "x".repeat(100 * 1024) });
  };
  expect(await within(client.service<Stub>("s").S.total(large()), "the reply")).toEqual({ seen: [1] });
});

it("when there is no other node, sender and reader are told", async () => {
  const told: Told = { held: 0, free: () => {} };
  const good = await unknown("fast", "s-good", told);
  const { client } = clientOf("fast", await dead(good));
  const chat = client.stream("s", "S.Chat", { stream: "bidi" });
  await expect(within(chat.send({ n: 1 }), "its failure")).rejects.toMatchObject({ code: "UNAVAILABLE" });
  await expect(
    within(
      chat.forEach(() => {}),
      "its end",
    ),
  ).rejects.toMatchObject({ code: "UNAVAILABLE" });
  let returned = 0;
  const source: AsyncIterable<N> = {
    [Symbol.asyncIterator]: () => ({
      next: () => new Promise(() => {}),
      return: () => (returned++, Promise.resolve({ done: true, value: undefined })),
    }),
  };
  const { S } = client.service<Stub>("s");
  await expect(within(S.total(source), "its failure")).rejects.toMatchObject({ code: "UNAVAILABLE" });
  expect(returned).toBe(1);
});

it("one that has sent more than is kept ends with the refusal", async () => {
  const told: Told = { held: 0, free: () => {} };
  const good = await unknown("fast", "s-good", told);
  const bad = await unknown("fast", "s-bad", told, { maxInFlight: 1 });
  const { client } = clientOf("fast", good, bad);
  const held = client.call("s", "S.Hold", {});
  await eventually(() => told.held === 1, "the bad one is full");
  const { S } = client.service<Stub>("s");
  await expect(within(S.total(items(100)), "its end")).rejects.toMatchObject({ code: "RESOURCE_EXHAUSTED" });
  told.free();
  await held;
});
