import { describe, expect, it } from "vitest";
import { errors, type MicroError } from "../../src/errors.ts";
import type { Registry, ServiceRecord, Watcher } from "../../src/registry.ts";
import { cachedRegistry } from "../../src/registry/cached.ts";
import { memoryRegistry, memoryWorld, type MemoryWorld } from "../../src/registry/memory.ts";
import { multiRegistry } from "../../src/registry/multi.ts";
import { virtualClock } from "../../src/testing/clock.ts";
import { registryConformance } from "../../src/testing/registry.ts";

function greeter(address: string, ...ids: string[]): ServiceRecord {
  const nodes = ids.map((id) => ({ id, address, metadata: {} }));
  return { name: "greeter", version: "latest", metadata: {}, endpoints: [], nodes };
}

const nodesOf = (records: readonly ServiceRecord[]): string[] =>
  records.flatMap(({ nodes }) => nodes.map(({ id, address }) => `${id}@${address}`)).sort();

/** A registry behind a switch and a gate. */
class Gated implements Registry {
  readonly name: string;
  readonly inner: Registry;
  down: MicroError | undefined;
  /** Why a service is not taken, by its name. */
  readonly refused = new Map<string, MicroError>();
  gate: Promise<void> = Promise.resolve();
  /** Watches see nothing before it. */
  sight: Promise<void> = Promise.resolve();
  registrations = 0;
  closed = false;
  #cut: (() => void)[] = [];

  constructor(name: string, inner: Registry) {
    this.name = name;
    this.inner = inner;
  }

  fail(): void {
    this.down = errors.unavailable(this.name, "no multicast");
    for (const cut of this.#cut.splice(0)) cut();
  }

  async #pass(): Promise<void> {
    await this.gate;
    if (this.down !== undefined) throw this.down;
  }
  start(): Promise<void> {
    return this.#pass();
  }
  async close(): Promise<void> {
    this.closed = true;
    await this.inner.close();
  }
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
  async register(...args: Parameters<Registry["register"]>): Promise<void> {
    this.registrations++;
    await this.#pass();
    const refused = this.refused.get(args[0].name);
    if (refused !== undefined) throw refused;
    return this.inner.register(...args);
  }
  async deregister(...args: Parameters<Registry["deregister"]>): Promise<void> {
    await this.#pass();
    return this.inner.deregister(...args);
  }
  async getService(...args: Parameters<Registry["getService"]>): Promise<ServiceRecord[]> {
    await this.#pass();
    return this.inner.getService(...args);
  }
  async listServices(...args: Parameters<Registry["listServices"]>): Promise<ServiceRecord[]> {
    await this.#pass();
    return this.inner.listServices(...args);
  }
  watch(...args: Parameters<Registry["watch"]>): Watcher {
    if (this.down !== undefined) throw this.down;
    const watcher = this.sight.then(() => this.inner.watch(...args));
    const lost = new Promise<never>((_, reject) =>
      this.#cut.push(() => reject(errors.connectionLost(this.name, "cut"))),
    );
    lost.catch(() => {});
    const close = async (): Promise<void> => (await watcher).close();
    return {
      ready: watcher.then(({ ready }) => ready),
      close,
      [Symbol.asyncDispose]: close,
      [Symbol.asyncIterator]: () => ({
        next: async () => Promise.race([(await watcher)[Symbol.asyncIterator]().next(), lost]),
      }),
    };
  }
}

function pair(clock = virtualClock()): { clock: ReturnType<typeof virtualClock>; local: Gated; mdns: Gated } {
  return {
    clock,
    local: new Gated("local", memoryRegistry({ clock })),
    mdns: new Gated("mdns", memoryRegistry({ clock })),
  };
}

/** Reads a watch into a list. */
async function follow(watcher: Watcher): Promise<string[]> {
  const told: string[] = [];
  void (async () => {
    for await (const { action, service } of watcher)
      for (const { id, address } of service.nodes) told.push(`${action} ${id}@${address}`);
  })().catch((error: MicroError) => told.push(error.code));
  await watcher.ready;
  return told;
}

describe("multi registry", () => {
  const worlds = new Map<string, readonly [MemoryWorld, MemoryWorld]>();
  registryConformance(
    { describe, it },
    {
      create(namespace) {
        const world = worlds.get(namespace) ?? [memoryWorld(), memoryWorld()];
        worlds.set(namespace, world);
        return multiRegistry(world.map((each) => memoryRegistry({ world: each })));
      },
    },
  );

  it("registers with all and takes out of all", async () => {
    const { local, mdns } = pair();
    const multi = multiRegistry([local, mdns]);
    expect(multi.name).toBe("local+mdns");
    await multi.register(greeter("x", "a"));
    for (const { inner } of [local, mdns]) expect(nodesOf(await inner.getService("greeter"))).toEqual(["a@x"]);
    await multi.deregister(greeter("x", "a"));
    for (const { inner } of [local, mdns]) expect(await inner.getService("greeter")).toEqual([]);
    await multi.close();
    expect([local.closed, mdns.closed]).toEqual([true, true]);
  });

  it("merges by version and node id, and the first registry's address counts", async () => {
    const { local, mdns } = pair();
    const multi = multiRegistry([local, mdns]);
    await local.register(greeter("127.0.0.1:1", "a"));
    await mdns.register(greeter("10.0.0.1:1", "a", "b"));
    await mdns.register({ ...greeter("10.0.0.1:2", "c"), version: "2" });
    const records = await multi.getService("greeter", { complete: true });
    expect(nodesOf(records)).toEqual(["a@127.0.0.1:1", "b@10.0.0.1:1", "c@10.0.0.1:2"]);
    expect(records.map(({ version }) => version)).toEqual(["latest", "2"]);
    expect(nodesOf(await multi.listServices())).toEqual(nodesOf(records));
    await multi.close();
  });

  it("answers with what a quick registry knows, without waiting for a slow one; a complete answer waits", async () => {
    const { local, mdns } = pair();
    const multi = multiRegistry([local, mdns]);
    await local.register(greeter("l", "a"));
    await mdns.register(greeter("m", "b"));
    let open = (): void => {};
    mdns.gate = new Promise((resolve) => (open = resolve));
    expect(nodesOf(await multi.getService("greeter"))).toEqual(["a@l"]);
    const complete = multi.getService("greeter", { complete: true });
    const unknown = multi.getService("other");
    let settled = false;
    void Promise.race([complete, unknown]).finally(() => (settled = true));
    await new Promise((resolve) => setImmediate(resolve));
    expect(settled).toBe(false);
    open();
    expect(nodesOf(await complete)).toEqual(["a@l", "b@m"]);
    expect(await unknown).toEqual([]);
    await multi.close();
  });

  it("fills a cache with what the slow registry knows, behind a first quick answer", async () => {
    const { clock, local, mdns } = pair();
    const multi = multiRegistry([local, mdns], { clock });
    const cached = cachedRegistry(multi, { clock, ttl: "1m" });
    await local.register(greeter("l", "a"));
    await mdns.register(greeter("m", "b"));
    let open = (): void => {};
    mdns.gate = new Promise((resolve) => (open = resolve));
    expect(nodesOf(await cached.getService("greeter"))).toEqual(["a@l"]);
    open();
    await clock.advance(0);
    expect(nodesOf(cached.peek("greeter") ?? [])).toEqual(["a@l", "b@m"]);
    await clock.advance(100_000);
    cached.peek("greeter");
    await clock.advance(0);
    expect(nodesOf(cached.peek("greeter") ?? [])).toEqual(["a@l", "b@m"]);
    await cached.close();
    await multi.close();
    expect(clock.pending()).toBe(0);
  });

  it("a cache keeps what one registry said while that one is away, and follows it once it is back", async () => {
    const { clock, local, mdns } = pair();
    const multi = multiRegistry([local, mdns], { clock });
    const cached = cachedRegistry(multi, { clock, ttl: "1m" });
    const known = (): string[] => nodesOf(cached.peek("greeter") ?? []);
    const other = { ...greeter("m", "c"), name: "other" };
    await local.register(greeter("l", "a"));
    await mdns.register(greeter("m", "b"));
    await mdns.register(other);
    await cached.getService("greeter");
    await cached.getService("other");
    await clock.advance(0);
    mdns.fail();
    for (let i = 0; i < 20; i++) {
      await clock.advance(10_000);
      expect(known()).toEqual(["a@l", "b@m"]);
      expect(nodesOf(await cached.getService("other"))).toEqual(["c@m"]);
    }
    // The others go on, and who asks for the first time gets what they know.
    await local.deregister(greeter("l", "a"));
    await local.register(greeter("l", "d"));
    await local.register({ ...greeter("l", "e"), name: "new" });
    await clock.advance(0);
    expect(known()).toEqual(["b@m", "d@l"]);
    expect(nodesOf(await multi.getService("new", { complete: true }))).toEqual(["e@l"]);
    mdns.down = undefined;
    await mdns.inner.deregister(greeter("m", "b"));
    await clock.advance(10_000);
    expect(known()).toEqual(["d@l"]);
    await mdns.inner.deregister(other);
    await clock.advance(0);
    expect(cached.peek("other")).toEqual([]);
    await cached.close();
    await multi.close();
    expect(clock.pending()).toBe(0);
  });

  it("with a preferred registry, what that one said last goes on counting while it is away", async () => {
    const { clock, local, mdns } = pair();
    const multi = multiRegistry([local, mdns], { prefer: "local", clock });
    await local.register(greeter("l", "a"));
    await mdns.register(greeter("m", "b"));
    await follow(multi.watch());
    local.fail();
    expect(nodesOf(await multi.getService("greeter"))).toEqual(["a@l"]);
    await multi.close();
  });

  it("with a preferred registry, takes the others' nodes only when that one has none, in lookups and watches alike", async () => {
    const { clock, local, mdns } = pair();
    const multi = multiRegistry([local, mdns], { prefer: "local", clock });
    await mdns.register(greeter("m", "b"));
    expect(nodesOf(await multi.getService("greeter"))).toEqual(["b@m"]);
    const told = await follow(multi.watch({ service: "greeter" }));
    await local.register(greeter("l", "a"));
    await clock.advance(0);
    expect(told).toEqual(["create a@l", "delete b@m"]);
    expect(nodesOf(await multi.getService("greeter", { complete: true }))).toEqual(["a@l"]);
    await mdns.register(greeter("m", "c"));
    await clock.advance(0);
    expect(told).toHaveLength(2);
    await local.deregister(greeter("l", "a"));
    await clock.advance(0);
    expect(told.slice(2).sort()).toEqual(["create b@m", "create c@m", "delete a@l"]);
    expect(() => multiRegistry([local, mdns], { prefer: "etcd" })).toThrow(/no registry "etcd"/);
    await multi.close();
  });

  it("does not answer before the preferred registry has, even when another one is quicker", async () => {
    const { local, mdns } = pair();
    const multi = multiRegistry([local, mdns], { prefer: "local" });
    await local.register(greeter("l", "a"));
    await mdns.register(greeter("m", "b"));
    let open = (): void => {};
    local.gate = new Promise((resolve) => (open = resolve));
    const asked = multi.getService("greeter");
    await new Promise((resolve) => setImmediate(resolve));
    open();
    expect(nodesOf(await asked)).toEqual(["a@l"]);
    await multi.close();
  });

  it("tells that a node is gone only when the last registry has lost it, and what it is where it is left", async () => {
    const { clock, local, mdns } = pair();
    const multi = multiRegistry([local, mdns], { clock });
    await local.register(greeter("l", "a"));
    await mdns.register(greeter("m", "a"));
    const told = await follow(multi.watch());
    await local.deregister(greeter("l", "a"));
    await clock.advance(0);
    expect(told).toEqual(["update a@m"]);
    await mdns.deregister(greeter("m", "a"));
    await clock.advance(0);
    expect(told).toEqual(["update a@m", "delete a@m"]);
    await multi.close();
  });

  it("goes on with the others when one is not there, says so once, and gives it what it missed when it is back", async () => {
    const { clock, local, mdns } = pair();
    const warnings: string[] = [];
    const onDegraded = (name: string, error: MicroError): number => warnings.push(`${name}: ${error.detail}`);
    const multi = multiRegistry([local, mdns], { clock, onDegraded });
    mdns.fail();
    await multi.start();
    const told = await follow(multi.watch());
    await multi.register(greeter("x", "a"), { ttl: "10m" });
    await multi.register(greeter("x", "b"), { ttl: "1s" });
    await multi.register(greeter("x", "c"));
    await multi.deregister(greeter("x", "c"));
    expect(nodesOf(await multi.getService("greeter"))).toEqual(["a@x", "b@x"]);
    expect(await multi.getService("other")).toEqual([]);
    await multi.listServices();
    await clock.advance(60_000);
    expect(warnings).toEqual(["mdns: no multicast"]);
    expect(multi.health()).toMatchObject([
      { name: "local", degraded: false, pending: 0 },
      { name: "mdns", degraded: true, error: { detail: "no multicast" } },
    ]);
    mdns.down = undefined;
    const caughtUp = await follow(mdns.inner.watch());
    await clock.advance(10_000);
    expect(caughtUp).toEqual(["create a@x"]);
    // What would have expired is not registered any more, what was taken out neither.
    expect(nodesOf(await mdns.inner.getService("greeter"))).toEqual(["a@x"]);
    expect(multi.health()[1]?.pending).toBe(0);
    await multi.start();
    await multi.getService("other");
    await multi.listServices();
    expect(multi.health()[1]).toMatchObject({ degraded: false, pending: 0 });
    // Its watch is back, too.
    await mdns.inner.register(greeter("m", "d"));
    await clock.advance(0);
    expect(told).toContain("create d@m");
    await multi.close();
    expect(clock.pending()).toBe(0);
  });

  it("knows what came before a slow registry's watch began to see", async () => {
    const { clock, local, mdns } = pair();
    const multi = multiRegistry([local, mdns], { clock });
    let open = (): void => {};
    mdns.sight = new Promise((resolve) => (open = resolve));
    const watching = follow(multi.watch({ service: "greeter" }));
    await clock.advance(0);
    await mdns.inner.register(greeter("m", "a"));
    open();
    const told = await watching;
    await mdns.inner.register(greeter("other", "a"));
    await clock.advance(0);
    expect(told).toEqual(["update a@other"]);
    await multi.close();
  });

  it("keeps a watch through the loss of one registry's, and tells what happened meanwhile", async () => {
    const { clock, local, mdns } = pair();
    const multi = multiRegistry([local, mdns], { clock });
    await mdns.register(greeter("m", "a", "b"));
    const told = await follow(multi.watch({ service: "greeter" }));
    mdns.fail();
    await clock.advance(1000);
    expect(told).toEqual([]);
    mdns.down = undefined;
    await mdns.inner.deregister(greeter("m", "a"));
    await mdns.inner.register(greeter("m", "c"));
    await clock.advance(10_000);
    expect(told.sort()).toEqual(["create c@m", "delete a@m"]);
    await multi.close();
    expect(clock.pending()).toBe(0);
  });

  it("fails with REGISTRY_UNAVAILABLE when all fail, and does not register later behind the caller's back", async () => {
    const { clock, local, mdns } = pair();
    const multi = multiRegistry([local, mdns], { clock });
    local.fail();
    mdns.fail();
    const refused = { code: "REGISTRY_UNAVAILABLE" };
    await expect(multi.start()).rejects.toMatchObject(refused);
    await expect(multi.register(greeter("x", "a"))).rejects.toMatchObject(refused);
    await expect(multi.getService("greeter")).rejects.toMatchObject(refused);
    await expect(multi.listServices()).rejects.toMatchObject(refused);
    const watcher = multi.watch();
    await expect(watcher.ready).rejects.toMatchObject(refused);
    await expect(watcher[Symbol.asyncIterator]().next()).rejects.toMatchObject(refused);
    local.down = mdns.down = undefined;
    await clock.advance(60_000);
    expect(await multi.getService("greeter")).toEqual([]);
    await multi.close();
    expect(clock.pending()).toBe(0);
  });

  it("tries a change no more that its caller has given up, though a registry fails with it later", async () => {
    const clock = virtualClock();
    const world = memoryWorld();
    const hanging = new Gated("hanging", memoryRegistry({ world, clock }));
    hanging.gate = new Promise(() => {});
    const multi = multiRegistry([hanging], { clock });
    const over = new AbortController();
    const registered = multi
      .register(greeter("a", "1"), { signal: over.signal })
      .catch((error: MicroError) => error.code);
    await clock.advance(5000);
    over.abort();
    expect(await registered).toBe("CANCELLED");
    await clock.advance(6000);
    hanging.gate = Promise.resolve();
    await clock.advance(60_000);
    expect(hanging.registrations).toBe(1);
    await multi.close();
  });

  it("waits for no registry longer than 10 s", async () => {
    const { clock, local, mdns } = pair();
    const multi = multiRegistry([local, mdns], { clock });
    mdns.gate = new Promise(() => {});
    const work = [multi.start(), multi.register(greeter("x", "a")), multi.getService("other"), multi.listServices()];
    await clock.advance(10_000);
    await Promise.all(work);
    expect(multi.health()[1]).toMatchObject({ degraded: true, error: { code: "TIMEOUT" }, pending: 1 });
    await multi.close();
    expect(clock.pending()).toBe(0);
  });

  it("does not try again what a registry can never hold", async () => {
    const { clock, local, mdns } = pair();
    const multi = multiRegistry([local, mdns], { clock });
    mdns.down = errors.badRequest("mdns", "label too long");
    await multi.register(greeter("x", "a"));
    await clock.advance(60_000);
    expect(mdns.registrations).toBe(1);
    expect(multi.health()[1]).toMatchObject({ degraded: true, pending: 0 });
    await multi.close();
  });

  it("a newer change of the same nodes takes the place of one that is still to be made", async () => {
    const { clock, local, mdns } = pair();
    const multi = multiRegistry([local, mdns], { clock });
    mdns.fail();
    await multi.register(greeter("old", "a"));
    await multi.register(greeter("new", "a"));
    await multi.register(greeter("x", "b"));
    await multi.deregister(greeter("x", "b"));
    expect(multi.health()[1]?.pending).toBe(2);
    mdns.down = undefined;
    await clock.advance(10_000);
    expect(nodesOf(await mdns.inner.getService("greeter"))).toEqual(["a@new"]);
    // Also one that works at once.
    mdns.fail();
    await multi.register(greeter("older", "a"));
    mdns.down = undefined;
    await multi.register(greeter("newest", "a"));
    await clock.advance(10_000);
    expect(nodesOf(await mdns.inner.getService("greeter"))).toEqual(["a@newest"]);
    await multi.close();
    expect(clock.pending()).toBe(0);
  });

  it("a missed change that a registry refuses, or goes on failing with, holds up no other", async () => {
    const { clock, local, mdns } = pair();
    const multi = multiRegistry([local, mdns], { clock });
    const taken = async (): Promise<string[]> => (await mdns.inner.listServices()).map(({ name }) => name).sort();
    await multi.register({ ...greeter("x", "a"), name: "left" });
    mdns.fail();
    for (const name of ["forbidden", "broken", "fine"]) await multi.register({ ...greeter("x", "a"), name });
    await multi.deregister({ ...greeter("x", "a"), name: "left" });
    await clock.advance(5000);
    mdns.refused.set("forbidden", errors.forbidden("mdns", "not yours"));
    mdns.refused.set("broken", errors.internal("mdns", "out of order"));
    mdns.down = undefined;
    await clock.advance(20_000);
    expect(await taken()).toEqual(["fine"]);
    expect(multi.health()[1]?.pending).toBe(1);
    mdns.refused.clear();
    await clock.advance(10_000);
    expect(await taken()).toEqual(["broken", "fine"]);
    expect(multi.health()[1]?.pending).toBe(0);
    await multi.close();
    expect(clock.pending()).toBe(0);
  });

  it("keeps what is to be taken out of a registry that is away no longer than it can be there, and a bounded number", async () => {
    const { clock, local, mdns } = pair();
    const multi = multiRegistry([local, mdns], { clock });
    const pending = (): number | undefined => multi.health()[1]?.pending;
    await multi.register(greeter("x", "there"));
    mdns.fail();
    await multi.deregister(greeter("x", "there"));
    for (let i = 0; i < 20; i++) {
      await multi.register(greeter("x", `n${i}`), { ttl: "1m" });
      await multi.deregister(greeter("x", `n${i}`));
    }
    expect(pending()).toBe(21);
    await clock.advance(70_000);
    expect(pending()).toBe(1);
    mdns.down = undefined;
    await clock.advance(10_000);
    expect(pending()).toBe(0);
    expect(await mdns.inner.getService("greeter")).toEqual([]);
    mdns.fail();
    for (let i = 0; i < 10_020; i++) await multi.deregister(greeter("x", `n${i}`));
    expect(pending()).toBe(10_000);
    await multi.close();
    expect(clock.pending()).toBe(0);
  });

  it("has any number of look-ups under way without a warning of Node", async () => {
    const { clock, local, mdns } = pair();
    const multi = multiRegistry([local, mdns], { clock });
    const warnings: string[] = [];
    const warned = ({ message }: Error): number => warnings.push(message);
    process.on("warning", warned);
    await Promise.all(Array.from({ length: 30 }, (_, i) => multi.getService(`s${i}`)));
    await new Promise((resolve) => setImmediate(resolve));
    process.off("warning", warned);
    expect(warnings).toEqual([]);
    await multi.close();
    expect(clock.pending()).toBe(0);
  });
});
