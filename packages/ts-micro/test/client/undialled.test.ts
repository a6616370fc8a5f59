/** Nodes of the registry that cannot be dialled, beside one that can. */
import { afterEach, describe, expect, it } from "vitest";
import { createClient, createService, type Client } from "../../src/index.ts";
import { memoryRegistry } from "../../src/registry/memory.ts";
import type { Node, ServiceRecord } from "../../src/registry.ts";

const open: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const each of open.splice(0).toReversed()) await each.close();
});

const shared = { env: false as const, logLevel: "fatal" as const };

async function served(): Promise<ServiceRecord> {
  const registry = memoryRegistry();
  const service = createService({ ...shared, registry, name: "s", address: "127.0.0.1:0", settle: 0 }).handle("S", {
    hello: () => ({}),
    async *count() {
      yield { n: 1 };
    },
  });
  await service.start();
  open.push({ close: () => service.stop() });
  return (await registry.getService("s"))[0] as ServiceRecord;
}

function clientOf(record: ServiceRecord, nodes: readonly Node[], protocols?: string[]): Client {
  const registry = memoryRegistry({ services: [{ ...record, nodes: [...nodes] }] });
  const client = createClient({ ...shared, registry, ...(protocols && { protocols }) });
  open.push(client);
  return client;
}

const counted = async (client: Client): Promise<unknown[]> => {
  const seen: unknown[] = [];
  const { S } = client.service<{ S: { count(request: object): AsyncIterable<unknown> } }>("s", { stream: "server" });
  for await (const each of S.count({})) seen.push(each);
  return seen;
};

describe.each(["fast", "mucp", "grpc"])("over %s", (wire) => {
  it.each(["10.0.0.9", ":8080", "10.0.0.9:0"])("one whose address is none, as %s, takes no calls", async (address) => {
    const record = await served();
    const [live] = record.nodes as [Node];
    const client = clientOf(record, [live, { ...live, id: "s-bad", address }], [wire]);
    for (let n = 0; n < 100; n++) expect(await client.call("s", "S.Hello", {})).toEqual({});
    for (let n = 0; n < 20; n++) expect(await counted(client)).toEqual([{ n: 1 }]);
  });

  it("when there is no other, the error is of the node, not of the request", async () => {
    const record = await served();
    const [live] = record.nodes as [Node];
    const client = clientOf(record, [{ ...live, id: "s-bad", address: "10.0.0.9" }], [wire]);
    await expect(client.call("s", "S.Hello", {}, { retries: 0 })).rejects.toMatchObject({
      code: "UNAVAILABLE",
      refused: true,
      layer: "dial",
      detail: expect.stringContaining('address "10.0.0.9": want host:port') as string,
    });
  });

  it("an address of the caller's is its own fault, at once", async () => {
    const client = clientOf(await served(), [], [wire]);
    await expect(client.call("s", "S.Hello", {}, { address: "10.0.0.9" })).rejects.toMatchObject({
      code: "BAD_REQUEST",
      attempts: 1,
    });
  });
});

it("a Go node on another transport is not called", async () => {
  const record = await served();
  const [live] = record.nodes as [Node];
  const metadata = { protocol: "mucp", transport: "nats", server: "mucp" };
  const queue = { id: "s-nats", address: "s.0c1f6b9e-6c0f-4b5d", metadata };
  const client = clientOf(record, [live, queue]);
  for (let n = 0; n < 100; n++) expect(await client.call("s", "S.Hello", {})).toEqual({});
  await expect(clientOf(record, [queue]).call("s", "S.Hello", {})).rejects.toMatchObject({
    code: "UNAVAILABLE",
    detail: expect.stringContaining("none of its nodes speaks fast or mucp or grpc") as string,
    message: expect.stringContaining("they speak mucp over nats") as string,
  });
});

it.each([
  {},
  { protocol: "mucp" },
  { protocol: "mucp", transport: "http" },
  { protocol: "mucp", transport: "/drivers/http-with-counters.mjs" },
  { protocol: "grpc", transport: "grpc", "ts-protocols": "grpc,mucp" },
])("one that says %o is called by mucp", async (metadata) => {
  const record = await served();
  const [live] = record.nodes as [Node];
  const client = clientOf(record, [{ ...live, metadata }], ["mucp"]);
  expect(await client.call("s", "S.Hello", {})).toEqual({});
});
