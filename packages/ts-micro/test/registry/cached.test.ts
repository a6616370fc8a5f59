import { describe, expect, it } from "vitest";
import { errors } from "../../src/errors.ts";
import type { Registry, ServiceRecord, Watcher } from "../../src/registry.ts";
import { cachedRegistry } from "../../src/registry/cached.ts";
import { memoryRegistry } from "../../src/registry/memory.ts";
import { multiRegistry } from "../../src/registry/multi.ts";
import { virtualClock } from "../../src/testing/clock.ts";
import { registryConformance } from "../../src/testing/registry.ts";
import { memoryWorld } from "../../src/registry/memory.ts";

function greeter(...ids: string[]): ServiceRecord {
  const nodes = ids.map((id, i) => ({ id, address: `127.0.0.1:${7000 + i}`, metadata: {} }));
  return { name: "greeter", version: "latest", metadata: {}, endpoints: [], nodes };
}

/** A registry in front of another one, which can be cut off, and counts what it is asked. */
class Link implements Registry {
  readonly name = "link";
  readonly #inner: Registry;
  readonly #watchers = new Set<{ readonly watcher: Watcher; cut: () => void }>();
  down = false;
  lookups = 0;
  watches = 0;
  /** Lookups wait for it. */
  gate: Promise<void> = Promise.resolve();
  firstSignal: AbortSignal | undefined;
  watchable = true;
  /** Watches see nothing before it. */
  sight: Promise<void> = Promise.resolve();
  /** The first answer arrives after it. */
  delivery: Promise<void> = Promise.resolve();

  constructor(inner: Registry) {
    this.#inner = inner;
  }

  get openWatches(): number {
    return this.#watchers.size;
  }

  cut(): void {
    for (const { cut } of this.#watchers) cut();
  }

  start(): Promise<void> {
    return this.#inner.start();
  }
  close(): Promise<void> {
    return this.#inner.close();
  }
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
  register(...args: Parameters<Registry["register"]>): Promise<void> {
    return this.#inner.register(...args);
  }
  deregister(...args: Parameters<Registry["deregister"]>): Promise<void> {
    return this.#inner.deregister(...args);
  }
  async getService(...args: Parameters<Registry["getService"]>): Promise<ServiceRecord[]> {
    const number = ++this.lookups;
    if (number === 1) this.firstSignal = args[1]?.signal;
    await this.gate;
    if (this.down) throw errors.unavailable("link", "connection refused");
    const answer = await this.#inner.getService(...args);
    if (number === 1) await this.delivery;
    return answer;
  }
  async listServices(...args: Parameters<Registry["listServices"]>): Promise<ServiceRecord[]> {
    if (this.down) throw new Error("connection refused");
    return this.#inner.listServices(...args);
  }
  watch(...args: Parameters<Registry["watch"]>): Watcher {
    this.watches++;
    if (!this.watchable) throw errors.unsupported("link", "no watch");
    if (this.down) throw errors.unavailable("link", "connection refused");
    const inner = this.sight.then(() => this.#inner.watch(...args));
    let cut = (): void => {};
    const lost = new Promise<never>((_, reject) => (cut = () => reject(errors.connectionLost("link", "cut"))));
    lost.catch(() => {});
    const close = async (): Promise<void> => {
      this.#watchers.delete(entry);
      await (await inner).close();
    };
    const watcher: Watcher = {
      ready: inner.then(({ ready }) => ready),
      close,
      [Symbol.asyncDispose]: close,
      [Symbol.asyncIterator]: () => ({
        next: async () => Promise.race([(await inner)[Symbol.asyncIterator]().next(), lost]),
      }),
    };
    const entry = { watcher, cut };
    this.#watchers.add(entry);
    return watcher;
  }
}

describe("cached registry", () => {
  const worlds = new Map<string, ReturnType<typeof memoryWorld>>();
  registryConformance(
    { describe, it },
    {
      create(namespace) {
        let world = worlds.get(namespace);
        if (world === undefined) worlds.set(namespace, (world = memoryWorld()));
        return cachedRegistry(memoryRegistry({ world }));
      },
    },
  );

  it("asks once for callers at the same time, and not again while it is fresh", async () => {
    const link = new Link(memoryRegistry({ services: [greeter("a")] }));
    const cached = cachedRegistry(link);
    const answers = await Promise.all(Array.from({ length: 20 }, () => cached.getService("greeter")));
    expect(answers.every((records) => records[0]?.nodes[0]?.id === "a")).toBe(true);
    // One for the callers, one by the watch once it sees.
    expect(link.lookups).toBeLessThanOrEqual(2);
    await expect.poll(() => link.lookups).toBe(2);
    for (let i = 0; i < 20; i++) await cached.getService("greeter");
    expect([link.lookups, link.watches]).toEqual([2, 1]);
    await cached.close();
  });

  it("peek gives the same frozen array until something changes, and nothing before the first lookup", async () => {
    const clock = virtualClock();
    const inner = memoryRegistry({ services: [greeter("a")], clock });
    const cached = cachedRegistry(inner, { clock });
    expect(cached.peek("greeter")).toBeUndefined();
    await cached.getService("greeter");
    await clock.advance(0);
    const first = cached.peek("greeter");
    expect(first?.[0]?.nodes).toHaveLength(1);
    expect(Object.isFrozen(first?.[0]?.nodes[0]?.metadata)).toBe(true);
    await inner.register(greeter("a"));
    await clock.advance(100_000);
    cached.peek("greeter");
    await clock.advance(0);
    expect(cached.peek("greeter")).toBe(first);
    await inner.register(greeter("a", "b"));
    await clock.advance(0);
    expect(cached.peek("greeter")).not.toBe(first);
    await cached.close();
    expect(clock.pending()).toBe(0);
  });

  it("tells which service changed, and follows nodes that come, change and go", async () => {
    const clock = virtualClock();
    const inner = memoryRegistry({ services: [greeter("a")], clock });
    const cached = cachedRegistry(inner, { clock });
    await cached.getService("greeter");
    await clock.advance(0);
    const changes: string[] = [];
    const stop = cached.onChange((name) => changes.push(name));
    const ids = (): string[] =>
      cached
        .peek("greeter")
        ?.flatMap(({ nodes }) => nodes.map(({ id }) => id))
        .sort() ?? [];
    await inner.register(greeter("a", "b"));
    await clock.advance(0);
    expect(ids()).toEqual(["a", "b"]);
    const moved = greeter("b");
    moved.nodes[0] = { id: "b", address: "127.0.0.1:9999", metadata: {} };
    await inner.register(moved);
    await clock.advance(0);
    expect(cached.peek("greeter")?.[0]?.nodes.find(({ id }) => id === "b")?.address).toBe("127.0.0.1:9999");
    await inner.deregister(greeter("a", "b"));
    await clock.advance(0);
    expect(cached.peek("greeter")).toEqual([]);
    expect(new Set(changes)).toEqual(new Set(["greeter"]));
    const before = changes.length;
    stop();
    await inner.register(greeter("c"));
    await clock.advance(0);
    expect(changes.length).toBe(before);
    await cached.close();
  });

  it("goes on serving what it knows while the registry is away, and fails new names with REGISTRY_UNAVAILABLE", async () => {
    const clock = virtualClock();
    const link = new Link(memoryRegistry({ services: [greeter("a")], clock }));
    const cached = cachedRegistry(link, { clock });
    await cached.getService("greeter");
    await clock.advance(0);
    link.down = true;
    link.cut();
    for (let i = 0; i < 30; i++) {
      await clock.advance(20_000);
      expect(cached.peek("greeter")?.[0]?.nodes).toHaveLength(1);
      expect((await cached.getService("greeter"))[0]?.nodes[0]?.id).toBe("a");
    }
    await expect(cached.getService("other")).rejects.toMatchObject({
      code: "REGISTRY_UNAVAILABLE",
      cause: { code: "UNAVAILABLE" },
    });
    await expect(cached.listServices()).rejects.toMatchObject({ code: "REGISTRY_UNAVAILABLE" });
    link.down = false;
    await link.register(greeter("b"));
    await clock.advance(6000);
    expect(
      cached
        .peek("greeter")?.[0]
        ?.nodes.map(({ id }) => id)
        .sort(),
    ).toEqual(["a", "b"]);
    expect(await cached.getService("other")).toEqual([]);
    await cached.close();
    expect([link.openWatches, clock.pending()]).toEqual([0, 0]);
  });

  it("equals the registry after each of 1000 cuts of the watch at random moments", async () => {
    const clock = virtualClock();
    const inner = memoryRegistry({ clock });
    const link = new Link(inner);
    const cached = cachedRegistry(link, { clock });
    let seed = 7;
    const random = (n: number): number => (seed = (seed * 48271) % 2147483647) % n;
    await cached.getService("greeter");
    const names = (records: readonly ServiceRecord[] | undefined): string =>
      (records ?? [])
        .flatMap(({ nodes }) => nodes.map(({ id }) => id))
        .sort()
        .join();
    for (let round = 0; round < 100; round++) {
      for (let i = 0; i < 10; i++) {
        if (random(2) === 0) await inner.register(greeter(`n${random(5)}`));
        else await inner.deregister(greeter(`n${random(5)}`));
        link.cut();
        if (random(2) === 0) await inner.register(greeter(`n${random(5)}`));
        await clock.advance(random(3) === 0 ? 50 : 5000);
        if (random(2) === 0) await inner.deregister(greeter(`n${random(5)}`));
      }
      await clock.advance(6000);
      expect(names(cached.peek("greeter"))).toBe(names(await inner.getService("greeter")));
    }
    expect(link.openWatches).toBe(1);
    await cached.close();
    expect([link.openWatches, clock.pending()]).toEqual([0, 0]);
  });

  it("loses no change between its lookup and its watch", async () => {
    const inner = memoryRegistry({ services: [greeter("a")] });
    const link = new Link(inner);
    let open = (): void => {};
    link.gate = new Promise((resolve) => (open = resolve));
    const cached = cachedRegistry(link);
    const asked = cached.getService("greeter");
    await expect.poll(() => link.lookups).toBe(2);
    await inner.register(greeter("b"));
    await inner.deregister(greeter("a"));
    open();
    await asked;
    await expect.poll(() => cached.peek("greeter")?.[0]?.nodes.map(({ id }) => id)).toEqual(["b"]);
    await cached.close();
  });

  it("looks up after its watch sees, so that what came before is not missed", async () => {
    const inner = memoryRegistry({ services: [greeter("a")] });
    const link = new Link(inner);
    let open = (): void => {};
    link.sight = new Promise((resolve) => (open = resolve));
    const cached = cachedRegistry(link);
    await cached.getService("greeter");
    await expect.poll(() => link.watches).toBe(1);
    await new Promise((resolve) => setImmediate(resolve));
    await inner.register(greeter("b"));
    open();
    await expect.poll(() => cached.peek("greeter")?.[0]?.nodes.length).toBe(2);
    await cached.close();
  });

  it("does not take an old answer that arrives late for news", async () => {
    const clock = virtualClock();
    const inner = memoryRegistry({ services: [greeter("a")], clock });
    const link = new Link(inner);
    let open = (): void => {};
    link.delivery = new Promise((resolve) => (open = resolve));
    const cached = cachedRegistry(link, { clock });
    const asked = cached.getService("greeter");
    await clock.advance(0);
    await inner.register(greeter("b"));
    await inner.deregister(greeter("a"));
    await clock.advance(0);
    open();
    expect((await asked)[0]?.nodes.map(({ id }) => id)).toEqual(["b"]);
    expect(cached.peek("greeter")?.[0]?.nodes.map(({ id }) => id)).toEqual(["b"]);
    await cached.close();
  });

  it("a complete lookup is answered by all registries, whatever the first one said, now or before", async () => {
    const [one, other] = [memoryRegistry({ services: [greeter("a")] }), new Link(memoryRegistry())];
    await other.register({ ...greeter("b"), version: "other" });
    let open = (): void => {};
    other.gate = new Promise((resolve) => (open = resolve));
    const cached = cachedRegistry(multiRegistry([one, other]));
    const ids = (records: readonly ServiceRecord[]): string[] =>
      records.flatMap(({ nodes }) => nodes.map(({ id }) => id)).sort();
    const some = cached.getService("greeter");
    const all = cached.getService("greeter", { complete: true });
    expect(ids(await some)).toEqual(["a"]);
    const later = cached.getService("greeter", { complete: true });
    open();
    expect([ids(await all), ids(await later)]).toEqual([
      ["a", "b"],
      ["a", "b"],
    ]);
    await cached.close();
  });

  it("remembers no absence: the next call asks again, and a node that comes is there at once", async () => {
    const clock = virtualClock();
    const inner = memoryRegistry({ clock });
    const cached = cachedRegistry(inner, { clock });
    expect(await cached.getService("greeter")).toEqual([]);
    await inner.register(greeter("a"));
    expect((await cached.getService("greeter"))[0]?.nodes).toHaveLength(1);
    expect(await cached.getService("other")).toEqual([]);
    await clock.advance(0);
    await inner.register({ ...greeter("o"), name: "other" });
    await clock.advance(0);
    expect(cached.peek("other")?.[0]?.nodes).toHaveLength(1);
    await cached.close();
  });

  it("asks again after its time to live when the registry cannot be watched", async () => {
    const clock = virtualClock();
    const inner = memoryRegistry({ services: [greeter("a")], clock });
    const link = new Link(inner);
    link.watchable = false;
    const cached = cachedRegistry(link, { clock, ttl: "30s" });
    await cached.getService("greeter");
    await inner.register(greeter("b"));
    await clock.advance(29_000);
    expect(cached.peek("greeter")?.[0]?.nodes).toHaveLength(1);
    await clock.advance(1000);
    expect(cached.peek("greeter")?.[0]?.nodes).toHaveLength(1);
    await clock.advance(0);
    expect(cached.peek("greeter")?.[0]?.nodes).toHaveLength(2);
    expect(link.lookups).toBe(2);
    await cached.close();
  });

  it("remembers a bounded number of names, and names that do not exist push out none that do", async () => {
    const clock = virtualClock();
    const services = Array.from({ length: 12 }, (_, i) => ({ ...greeter("a"), name: `s${i}` }));
    const link = new Link(memoryRegistry({ services, clock }));
    const cached = cachedRegistry(link, { clock, maxNames: 300 });
    for (const { name } of services) await cached.getService(name);
    for (let i = 0; i < 300; i++) await cached.getService(`unknown-${i}`);
    await clock.advance(0);
    expect(services.every(({ name }) => cached.peek(name)?.length === 1)).toBe(true);
    expect(link.openWatches).toBeLessThanOrEqual(112);
    await cached.close();
    expect([link.openWatches, clock.pending()]).toEqual([0, 0]);

    const small = cachedRegistry(link, { clock, maxNames: 5 });
    for (const { name } of services) await small.getService(name);
    await clock.advance(0);
    expect(services.filter(({ name }) => small.peek(name) !== undefined).map(({ name }) => name)).toEqual([
      "s7",
      "s8",
      "s9",
      "s10",
      "s11",
    ]);
    expect(link.openWatches).toBe(5);
    await small.close();
  });

  it("who waits for a name that was forgotten hears of the cache's end", async () => {
    const clock = virtualClock();
    const inner = memoryRegistry({ clock });
    const cached = cachedRegistry(
      Object.assign(Object.create(inner) as Registry, { getService: () => new Promise(() => {}) }),
      { clock, maxNames: 1 },
    );
    const waiting = ["a", "b"].map((name) => cached.getService(name).catch(({ code }: { code: string }) => code));
    await clock.advance(0);
    await cached.close();
    expect(await Promise.all(waiting)).toEqual(["INVALID_STATE", "INVALID_STATE"]);
    await inner.close();
  });

  it("a caller that gives up leaves the lookup to the others, and one that comes later gets an answer", async () => {
    for (let turns = 0; turns < 12; turns++) {
      const link = new Link(memoryRegistry({ services: [greeter("a")] }));
      let open = (): void => {};
      link.gate = new Promise((resolve) => (open = resolve));
      const cached = cachedRegistry(link);
      const [one, two] = [new AbortController(), new AbortController()];
      const asked = [one, two].map(({ signal }) => cached.getService("greeter", { signal }));
      const ends = Promise.allSettled(asked);
      one.abort();
      await expect(asked[0]).rejects.toMatchObject({ code: "CANCELLED" });
      two.abort();
      for (let i = 0; i < turns; i++) await Promise.resolve();
      const late = cached.getService("greeter");
      await ends;
      await expect(asked[1]).rejects.toMatchObject({ code: "CANCELLED" });
      open();
      expect((await late)[0]?.nodes).toHaveLength(1);
      await cached.close();
    }
  });

  it("stops asking when nobody waits for the answer any more", async () => {
    const link = new Link(memoryRegistry());
    link.gate = new Promise(() => {});
    const cached = cachedRegistry(link);
    const [one, two] = [new AbortController(), new AbortController()];
    const asked = [one, two].map(({ signal }) => cached.getService("greeter", { signal }));
    const ends = Promise.allSettled(asked);
    one.abort();
    await expect(asked[0]).rejects.toMatchObject({ code: "CANCELLED" });
    expect(link.firstSignal?.aborted).toBe(false);
    two.abort();
    await ends;
    expect(link.firstSignal?.aborted).toBe(true);
    await cached.close();
  });

  it("close settles lookups that are pending with INVALID_STATE", async () => {
    const link = new Link(memoryRegistry());
    link.gate = new Promise(() => {});
    const cached = cachedRegistry(link);
    const asked = cached.getService("greeter");
    await Promise.all([expect(asked).rejects.toMatchObject({ code: "INVALID_STATE" }), cached.close()]);
    await expect(cached.getService("greeter")).rejects.toMatchObject({ code: "INVALID_STATE" });
  });

  it("starts the registry it stands on, and leaves it open", async () => {
    const inner = memoryRegistry();
    const cached = cachedRegistry(inner);
    await cached.start();
    await cached.close();
    expect(await inner.listServices()).toEqual([]);
    await inner.close();
  });
});
