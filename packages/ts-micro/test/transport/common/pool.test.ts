import { describe, expect, it } from "vitest";
import type { Clock } from "../../../src/clock.ts";
import { virtualClock } from "../../../src/testing/clock.ts";
import { Pool, type Poolable } from "../../../src/transport/common/pool.ts";

class Link implements Poolable {
  deadline = Infinity;
  alive = true;
  destroyed = 0;
  readonly key: string;

  constructor(key = "a") {
    this.key = key;
  }

  destroy(): void {
    this.destroyed++;
    this.alive = false;
  }
}

function links(pool: Pool<Link>, n: number): Link[] {
  return Array.from({ length: n }, () => {
    const link = new Link();
    pool.born(link);
    return link;
  });
}

describe("the pool of connections", () => {
  it("keeps keys apart and counts", () => {
    const pool = new Pool<Link>({ size: 10, ttl: 100, clock: virtualClock() });
    const [a, b] = [new Link("a"), new Link("b")];
    for (const link of [a, b]) {
      pool.born(link);
      pool.give(link);
    }
    expect([pool.count(), pool.count("a"), pool.count("c")]).toEqual([2, 1, 0]);
    expect(pool.take("b")).toBe(b);
    expect(pool.take("b")).toBeUndefined();
    expect(pool.count()).toBe(1);
  });

  it("skips and ends what has died or grown too old, even before a timer could tell", () => {
    let now = 0;
    const clock: Clock = { now: () => now, after: () => 0, cancel: () => {} };
    const pool = new Pool<Link>({ size: 10, ttl: 100, clock });
    const [old, dead, good] = links(pool, 3) as [Link, Link, Link];
    pool.give(old);
    now = 50;
    pool.born(good);
    pool.give(good);
    pool.give(dead);
    dead.alive = false;
    expect(pool.take("a")).toBe(good);
    expect(dead.destroyed).toBe(1);
    now = 120;
    expect(pool.take("a")).toBeUndefined();
    expect(old.destroyed).toBe(1);
  });

  it("keeps those beyond its size for a second, unless others are taken meanwhile", async () => {
    const clock = virtualClock();
    const pool = new Pool<Link>({ size: 2, ttl: 10_000, clock });
    const all = links(pool, 4);
    for (const link of all) pool.give(link);
    expect(pool.count("a")).toBe(4);
    expect(pool.take("a")).toBe(all[3]);
    await clock.advance(1001);
    expect(all.map((link) => link.destroyed)).toEqual([1, 0, 0, 0]);
    await clock.advance(8000);
    expect(pool.count("a")).toBe(2);
    await clock.advance(1000);
    expect(all.map((link) => link.destroyed)).toEqual([1, 1, 1, 0]);
  });

  it("ends what is given back after close, or beyond its size of 0", () => {
    const none = new Pool<Link>({ size: 0, ttl: 100, clock: virtualClock() });
    const [a] = links(none, 1) as [Link];
    none.give(a);
    expect(a.destroyed).toBe(1);
    const clock = virtualClock();
    const pool = new Pool<Link>({ size: 1, ttl: 100, clock });
    const [b, c] = links(pool, 2) as [Link, Link];
    pool.give(b);
    pool.close();
    pool.give(c);
    expect([b.destroyed, c.destroyed, pool.count(), clock.pending()]).toEqual([1, 1, 0, 0]);
  });
});
