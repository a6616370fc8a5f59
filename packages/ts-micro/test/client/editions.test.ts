import { afterEach, describe, expect, it } from "vitest";
import { createClient, createService, type Client } from "../../src/index.ts";
import { memoryRegistry } from "../../src/registry/memory.ts";

const open: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const each of open.splice(0).toReversed()) await each.close();
});

/** Two nodes of one name and version, of which one has more endpoints, as while a new edition is rolled out. */
async function editions(wire: string): Promise<Client> {
  const shared = { registry: memoryRegistry(), env: false as const, logLevel: "fatal" as const, protocols: [wire] };
  const old = { old: () => ({ of: "either" }) };
  const added = {
    ...old,
    added: () => ({ of: "new" }),
    async *list() {
      yield { n: 1 };
    },
  };
  for (const handlers of [old, added]) {
    const service = createService({ ...shared, name: "roll", address: "127.0.0.1:0", settle: 0 }).handle("D", handlers);
    await service.start();
    open.push({ close: () => service.stop() });
  }
  const client = createClient(shared);
  open.push(client);
  return client;
}

describe.each(["fast", "mucp", "grpc"])("over %s", (wire) => {
  it("a call goes on to a node that has the endpoint, if the registry says that there is one", async () => {
    const client = await editions(wire);
    const replies = await Promise.all(Array.from({ length: 50 }, () => client.call("roll", "D.Added", {})));
    expect(replies).toEqual(Array.from({ length: 50 }, () => ({ of: "new" })));
    for (let n = 0; n < 20; n++) {
      const items: unknown[] = [];
      for await (const item of client.service<{ D: { list(): AsyncGenerator<unknown> } }>("roll").D.list())
        items.push(item);
      expect(items).toEqual([{ n: 1 }]);
    }
  });

  it("one that nobody has is asked for once", async () => {
    const client = await editions(wire);
    await client.call("roll", "D.Old", {});
    await expect(client.call("roll", "D.Nope", {})).rejects.toMatchObject({ attempts: 1 });
  });
});
