/** To which nodes a server stream goes that was refused before its first message. */
import { createServer, type Socket } from "node:net";
import type { AddressInfo } from "node:net";
import { afterEach, expect, it } from "vitest";
import { createClient, createService, type Client } from "../../src/index.ts";
import { memoryRegistry } from "../../src/registry/memory.ts";
import type { Registry, ServiceRecord } from "../../src/registry.ts";
import type { Selector } from "../../src/selector.ts";
import { eventually, within } from "../../src/testing/suite.ts";

const open: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const each of open.splice(0).toReversed()) await each.close();
});

const shared = { env: false as const, logLevel: "fatal" as const, protocols: ["fast"] };

/** A service that nobody knows, and its record. */
async function unknown(): Promise<ServiceRecord> {
  const registry = memoryRegistry();
  const service = createService({ ...shared, registry, name: "s", address: "127.0.0.1:0", settle: 0 }).handle("S", {
    hello: () => ({}),
    async *count() {
      yield { n: 1 };
      yield { n: 2 };
    },
  });
  open.push({ close: () => service.stop() });
  await service.start();
  return (await registry.getService("s"))[0] as ServiceRecord;
}

/** A port whose connections are the test's, which may cut them off before they have said anything. */
async function silent(): Promise<{ address: string; sockets: Socket[] }> {
  const sockets: Socket[] = [];
  const server = createServer((socket) => void sockets.push(socket.on("error", () => {})));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  open.push({
    close: () => {
      for (const socket of sockets) socket.destroy();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  });
  return { address: `127.0.0.1:${(server.address() as AddressInfo).port}`, sockets };
}

const nodeOf = ({ nodes }: ServiceRecord) => nodes[0] as ServiceRecord["nodes"][number];
const at = (record: ServiceRecord, id: string, address: string): ServiceRecord => ({
  ...record,
  nodes: [{ ...nodeOf(record), id, address }],
});
const counted = async (client: Client, options = {}): Promise<number[]> => {
  const seen: number[] = [];
  const s = client.service<{ S: { count(request: object): AsyncIterable<{ n: number }> } }>("s", {
    stream: "server",
    ...options,
  }).S;
  for await (const { n } of s.count({})) seen.push(n);
  return seen;
};

async function world(selector?: Selector): Promise<{ registry: Registry; client: Client; there: ServiceRecord }> {
  const there = await unknown();
  const registry = memoryRegistry();
  const client = createClient({ ...shared, registry, ...(selector && { selector }) });
  open.push(client);
  return { registry, client, there };
}

/** Waits for the client to have heard of a node. */
const known = async (client: Client, id: string): Promise<void> => {
  const only = [
    (services: readonly ServiceRecord[]) =>
      services.map((each) => ({ ...each, nodes: each.nodes.filter((node) => node.id === id) })),
  ];
  await eventually(
    () =>
      client.call("s", "S.Hello", {}, { filters: only }).then(
        () => true,
        () => false,
      ),
    "the node is known",
  );
};

it("goes to one that has come since it was opened", async () => {
  const { registry, client, there } = await world();
  const first = await silent();
  await registry.register(at(there, "s-first", first.address));
  const counting = counted(client);
  await eventually(() => first.sockets.length === 1, "the first node is tried");
  await registry.register(there);
  await known(client, nodeOf(there).id);
  first.sockets[0]?.destroy();
  expect(await within(counting, "the stream")).toEqual([1, 2]);
});

it("waits for one, when none is left, as long as its caller does", async () => {
  const { registry, client, there } = await world();
  const first = await silent();
  const gone = at(there, "s-first", first.address);
  await registry.register(gone);
  const counting = counted(client, { waitFor: "60s" });
  await eventually(() => first.sockets.length === 1, "the first node is tried");
  await registry.deregister(gone);
  await eventually(
    () =>
      client.call("s", "S.Hello", {}).then(
        () => false,
        (error: unknown) => (error as { code: string }).code === "UNAVAILABLE",
      ),
    "the client knows of none",
  );
  first.sockets[0]?.destroy();
  await registry.register(there);
  expect(await within(counting, "the stream")).toEqual([1, 2]);
});

it("goes to as many as retries say, whatever a selector makes of those that were tried", async () => {
  let selected = 0;
  const stubborn: Selector = {
    name: "stubborn",
    select: (_, nodes) => (selected++, nodes.find(({ id }) => id === "s-first") ?? (nodes[0] as never)),
    started() {},
    ended() {},
    reset() {},
  };
  const { registry, client, there } = await world(stubborn);
  const first = await silent();
  await registry.register(at(there, "s-first", first.address));
  await registry.register(there);
  const counting = counted(client, { retries: 2 }).catch((error: unknown) => error);
  await eventually(() => {
    for (const socket of first.sockets) socket.destroy();
    return selected >= 3;
  }, "three attempts");
  expect(await within(counting, "the stream")).toMatchObject({ code: "UNAVAILABLE" });
  expect(selected).toBe(3);
});
