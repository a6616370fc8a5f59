import { describe, expect, it } from "vitest";
import type { ServiceRecord } from "../../src/registry.ts";
import { memoryRegistry, memoryWorld, type MemoryWorld } from "../../src/registry/memory.ts";
import { virtualClock } from "../../src/testing/clock.ts";
import { registryConformance } from "../../src/testing/registry.ts";

function greeter(...ids: string[]): ServiceRecord {
  const nodes = ids.map((id) => ({ id, address: "127.0.0.1:1", metadata: {} }));
  return { name: "greeter", version: "latest", metadata: {}, endpoints: [], nodes };
}

describe("memory registry", () => {
  const clock = virtualClock();
  const worlds = new Map<string, MemoryWorld>();
  registryConformance(
    { describe, it },
    {
      create(namespace) {
        let world = worlds.get(namespace);
        if (world === undefined) worlds.set(namespace, (world = memoryWorld(clock)));
        return memoryRegistry({ world });
      },
      pass: (ms) => clock.advance(ms),
    },
  );

  it("keeps the worlds of two instances apart", async () => {
    const [one, other] = [memoryRegistry(), memoryRegistry()];
    await one.register(greeter("a"));
    expect(await one.getService("greeter")).toHaveLength(1);
    expect(await other.getService("greeter")).toEqual([]);
  });

  it("knows the services it was given from the beginning, for ever", async () => {
    const clock = virtualClock();
    const registry = memoryRegistry({ services: [greeter("a")], clock });
    await clock.advance(1e9);
    expect(await registry.getService("greeter")).toEqual([greeter("a")]);
  });

  it("lets a node go exactly at its time to live, and keeps no timer after close", async () => {
    const clock = virtualClock();
    const registry = memoryRegistry({ clock });
    await registry.register(greeter("a"), { ttl: "10s" });
    await registry.register(greeter("b"), { ttl: "20s" });
    await clock.advance(9999);
    expect((await registry.getService("greeter"))[0]?.nodes).toHaveLength(2);
    await clock.advance(1);
    expect((await registry.getService("greeter"))[0]?.nodes.map(({ id }) => id)).toEqual(["b"]);
    expect(clock.pending()).toBe(1);
    await registry.close();
    expect(clock.pending()).toBe(0);
  });

  it("says nothing of a registration that changes nothing", async () => {
    const registry = memoryRegistry();
    const watcher = registry.watch();
    await watcher.ready;
    await registry.register(greeter("a"), { ttl: "1m" });
    for (let i = 0; i < 10; i++) await registry.register(greeter("a"), { ttl: "1m" });
    await registry.register(greeter("b"));
    const events = watcher[Symbol.asyncIterator]();
    const told = [await events.next(), await events.next()].map(
      ({ value }) => `${value.action} ${value.service.nodes[0].id}`,
    );
    expect(told).toEqual(["create a", "create b"]);
    await registry.close();
  });

  it("stays quiet when nodes of one version that differ in their endpoints refresh in turn", async () => {
    const registry = memoryRegistry();
    const both = [greeter("one"), greeter("two")];
    for (const record of both) record.endpoints = [{ name: `Greeter.${record.nodes[0]?.id}`, metadata: {} }];
    for (const record of both) await registry.register(record);
    const watcher = registry.watch();
    await watcher.ready;
    for (let i = 0; i < 5; i++) for (const record of both) await registry.register(record);
    await registry.register(greeter("last"));
    const { value } = await watcher[Symbol.asyncIterator]().next();
    expect(`${value?.action} ${value?.service.nodes[0]?.id}`).toBe("create last");
    await registry.close();
  });

  it("fails a watcher that does not read with RESOURCE_EXHAUSTED, after the events that it kept", async () => {
    const registry = memoryRegistry();
    const slow = registry.watch();
    await slow.ready;
    for (let i = 0; i < 2000; i++) await registry.register({ ...greeter("n"), name: `s-${i}` });
    let read = 0;
    const reading = (async () => {
      for await (const _ of slow) read++;
    })();
    await expect(reading).rejects.toMatchObject({ code: "RESOURCE_EXHAUSTED" });
    expect(read).toBe(1024);
    // Others are not concerned.
    const quick = registry.watch();
    await quick.ready;
    await registry.register(greeter("last"));
    expect((await quick[Symbol.asyncIterator]().next()).value?.service.nodes[0]?.id).toBe("last");
    await registry.close();
  });
});
