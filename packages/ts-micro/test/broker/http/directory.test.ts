import { afterEach, expect, it } from "vitest";
import { Directory, type Audience } from "../../../src/broker/http/directory.ts";
import { sleep } from "../../../src/clock.ts";
import { errors } from "../../../src/errors.ts";
import type { Registry, Watcher } from "../../../src/registry.ts";
import { cachedRegistry } from "../../../src/registry/cached.ts";
import { memoryRegistry } from "../../../src/registry/memory.ts";
import { multiRegistry } from "../../../src/registry/multi.ts";
import { virtualClock, type VirtualClock } from "../../../src/testing/clock.ts";
import { announce } from "../peer.ts";

const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close();
});

function directory(registry: Registry, clock: VirtualClock): Directory {
  const made = new Directory(registry, clock);
  closing.push(
    () => registry.close(),
    async () => {
      const over = made.close();
      await clock.advance(1000);
      await over;
    },
  );
  return made;
}

function memory(clock: VirtualClock, over: Partial<Registry> = {}): Registry {
  return Object.assign(memoryRegistry({ clock }), over);
}

/** As mDNS: whatever it is asked takes 100 ms. */
function slow(clock: VirtualClock): Registry {
  const inner = memoryRegistry({ clock });
  const late = async <T>(work: () => Promise<T>): Promise<T> => sleep(clock, 100).then(work);
  const watch: Registry["watch"] = (options) => {
    const watcher = late(async () => inner.watch(options));
    const close = async (): Promise<void> => (await watcher).close();
    return {
      ready: watcher.then(({ ready }) => ready),
      close,
      [Symbol.asyncDispose]: close,
      async *[Symbol.asyncIterator]() {
        yield* await watcher;
      },
    } satisfies Watcher;
  };
  return memory(clock, {
    register: (...args) => inner.register(...args),
    getService: (...args) => late(() => inner.getService(...args)),
    watch,
    close: () => inner.close(),
  });
}

const ids = ({ everybody }: Audience): string[] => everybody.map(({ id }) => id).sort();

for (const [name, wrap] of [
  ["two registries", (registry: Registry) => registry],
  ["two registries behind a cache", (registry: Registry, clock: VirtualClock) => cachedRegistry(registry, { clock })],
] as const)
  it(`of ${name} both are waited for: that one has some topic says nothing of the others`, async () => {
    const clock = virtualClock();
    const [near, far] = [memoryRegistry({ clock }), slow(clock)];
    const all = multiRegistry([near, far], { clock });
    closing.push(() => all.close());
    const found = directory(wrap(all, clock), clock);
    await announce(near, "olds", "127.0.0.1:1", { id: "near" });
    await announce(far, "news", "10.0.0.2:1", { id: "far" });
    const first = found.audience("news");
    await clock.advance(100);
    expect(ids(await first)).toEqual(["far"]);
    // Between the look-up and the moment from which the watch sees.
    await announce(far, "news", "10.0.0.3:1", { id: "later" });
    await clock.advance(1000);
    expect(ids(await found.audience("news"))).toEqual(["far", "later"]);
    await announce(far, "news", "10.0.0.4:1", { id: "last" });
    await clock.advance(100);
    expect(ids(await found.audience("news"))).toEqual(["far", "last", "later"]);
  });

it("a change that does not tell its nodes is looked up; where that fails, again", async () => {
  const clock = virtualClock();
  const inner = memoryRegistry({ clock });
  let away = false;
  const terse = memory(clock, {
    async getService(...args) {
      if (away) throw errors.registryUnavailable("test", "away");
      return inner.getService(...args);
    },
    watch(options) {
      const watcher = inner.watch(options);
      return {
        ready: watcher.ready,
        close: () => watcher.close(),
        [Symbol.asyncDispose]: () => watcher.close(),
        async *[Symbol.asyncIterator]() {
          for await (const { action, service } of watcher) yield { action, service: { ...service, nodes: [] } };
        },
      };
    },
  });
  closing.push(() => inner.close());
  const found = directory(terse, clock);
  const gone = await announce(inner, "news", "10.0.0.2:1", { id: "gone" });
  expect(ids(await found.audience("news"))).toEqual(["gone"]);
  await clock.advance(0);
  await announce(inner, "news", "10.0.0.3:1", { id: "come" });
  await clock.advance(0);
  expect(ids(await found.audience("news"))).toEqual(["come", "gone"]);
  away = true;
  const record = { name: "micro.http.broker", version: "ff.http.broadcast", metadata: {}, endpoints: [] };
  await inner.deregister({ ...record, nodes: [gone] });
  await clock.advance(0);
  away = false;
  await clock.advance(200);
  expect(ids(await found.audience("news"))).toEqual(["come"]);
});

it("a registry that hangs holds up no publish whose audience is known for longer than a second", async () => {
  const clock = virtualClock();
  const inner = memoryRegistry({ clock });
  let hangs = false;
  let asked = 0;
  const registry = memory(clock, {
    getService: (...args) => (asked++, hangs ? new Promise(() => {}) : inner.getService(...args)),
    watch: () => {
      throw errors.unsupported("test", "no watch");
    },
  });
  closing.push(() => inner.close());
  const found = directory(registry, clock);
  await announce(inner, "news", "10.0.0.2:1", { id: "known" });
  expect(ids(await found.audience("news"))).toEqual(["known"]);
  hangs = true;
  await clock.advance(2000);
  const before = asked;
  const first = found.audience("news");
  const second = found.audience("news");
  await clock.advance(1000);
  expect([ids(await first), ids(await second)]).toEqual([["known"], ["known"]]);
  expect(asked).toBe(before + 1);
  // The look-up is over in the end, whatever the registry makes of its signal.
  await clock.advance(12_000);
  hangs = false;
  await announce(inner, "news", "10.0.0.3:1", { id: "new" });
  await clock.advance(2000);
  expect(ids(await found.audience("news"))).toEqual(["known", "new"]);
});
