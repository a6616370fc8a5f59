import { afterEach, describe, expect, it } from "vitest";
import { RecordTable } from "../../../src/registry/common/record-table.ts";
import { Follower } from "../../../src/registry/mdns/follow.ts";
import type { Instance } from "../../../src/registry/mdns/reader.ts";
import { virtualClock } from "../../../src/testing/clock.ts";

const parent = "greeter.micro.";

interface Over {
  service?: string;
  port?: number;
  ttl?: number;
  size?: number;
}

function instance(id: string, { service = "greeter", port = 1, ttl = 120, size = 100 }: Over = {}): Instance {
  const nodes = [{ id, address: `127.0.0.1:${port}`, metadata: {} }];
  const record = { name: service, version: "1", metadata: {}, endpoints: [], nodes };
  return { name: `${id}.${service}.micro.`, parent: `${service}.micro.`, ttl, size, record };
}

const followers = new Set<Follower>();
afterEach(() => {
  for (const follower of followers) follower.close();
  followers.clear();
});

/** A follower on a network where `alive` answer. */
function fixture() {
  const clock = virtualClock();
  const events: string[] = [];
  const asked: number[] = [];
  const alive = new Map<string, Instance>();
  const world = { reachable: true };
  const table = new RecordTable(({ action, service }) =>
    events.push(`${action} ${service.nodes.map(({ id, address }) => `${id}@${address.split(":")[1]}`).join()}`),
  );
  const follower: Follower = new Follower({
    clock,
    table,
    ask: (name) => {
      if (!world.reachable) return Promise.reject(new Error("no network"));
      asked.push(clock.now());
      for (const each of alive.values()) if (each.parent === name) clock.after(1, () => follower.seen(each));
      return Promise.resolve();
    },
  });
  followers.add(follower);
  const lives = (...all: Instance[]): void => {
    for (const each of all) {
      alive.set(each.name, each);
      follower.seen(each);
    }
  };
  return { clock, events, asked, alive, lives, follower, world };
}

describe("a followed service", () => {
  it("tells of what comes, changes and says goodbye, once each", async () => {
    const { clock, events, follower } = fixture();
    follower.follow(parent);
    for (let i = 0; i < 3; i++) follower.seen(instance("a"));
    follower.seen(instance("a", { port: 2 }));
    follower.seen(instance("a", { port: 2 }));
    for (let i = 0; i < 2; i++) follower.seen(instance("a", { ttl: 0 }));
    follower.seen(instance("never", { ttl: 0 }));
    expect(events).toEqual(["create a@1", "update a@2", "delete a@2"]);
    await clock.advance(0);
  });

  it("is asked for soon, then ever more seldom, at least twice a minute, as long as all answer", async () => {
    const { clock, asked, lives, follower, events } = fixture();
    follower.follow(parent);
    lives(instance("a"), instance("b"));
    await clock.advance(600_000);
    const pauses = asked.slice(1).map((at, i) => at - (asked[i] ?? 0));
    expect(asked[0]).toBeLessThanOrEqual(1000);
    expect(pauses[0]).toBeLessThan(3000);
    expect(Math.max(...pauses)).toBeLessThanOrEqual(32_000);
    expect(pauses.slice(6).every((pause) => pause > 20_000)).toBe(true);
    expect(events).toEqual(["create a@1", "create b@1"]);
  });

  it("loses a node that does not answer three times, within 40 s; the others stay", async () => {
    const { clock, alive, lives, follower, events, asked } = fixture();
    follower.follow(parent);
    lives(instance("a"), instance("b"));
    await clock.advance(300_000);
    alive.delete(instance("a").name);
    const before = asked.length;
    await clock.advance(40_000);
    expect(events).toEqual(["create a@1", "create b@1", "delete a@1"]);
    expect(asked.length - before).toBeGreaterThanOrEqual(3);
  });

  it("keeps a node that misses two questions", async () => {
    const { clock, alive, lives, follower, events, asked } = fixture();
    follower.follow(parent);
    const a = instance("a");
    lives(a);
    alive.clear();
    while (asked.length < 2) await clock.advance(50);
    follower.seen(a);
    alive.set(a.name, a);
    await clock.advance(100_000);
    expect(events).toEqual(["create a@1"]);
  });

  it("sees a node again that was silent for long", async () => {
    const { clock, alive, lives, follower, events } = fixture();
    follower.follow(parent);
    lives(instance("a"));
    alive.clear();
    await clock.advance(60_000);
    alive.set(instance("a").name, instance("a"));
    await clock.advance(40_000);
    expect(events).toEqual(["create a@1", "delete a@1", "create a@1"]);
  });

  it("keeps its nodes while there is no network to ask on", async () => {
    const { clock, lives, follower, events, world } = fixture();
    follower.follow(parent);
    lives(instance("a"));
    world.reachable = false;
    await clock.advance(600_000);
    expect(events).toEqual(["create a@1"]);
    world.reachable = true;
    await clock.advance(60_000);
    expect(events).toEqual(["create a@1"]);
  });

  it("drops a record whose time is over after one question without an answer", async () => {
    const { clock, alive, lives, follower, events } = fixture();
    follower.follow(parent);
    lives(instance("brief", { ttl: 1 }));
    alive.clear();
    await clock.advance(2100);
    expect(events).toEqual(["create brief@1", "delete brief@1"]);
  });

  it("is forgotten when the last who follows has left, and nothing of it is left behind", async () => {
    const { clock, lives, follower, events } = fixture();
    follower.follow(parent);
    follower.follow(parent);
    lives(instance("a"));
    follower.leave(parent);
    expect(follower.follows(parent)).toBe(true);
    follower.leave(parent);
    expect(follower.follows(parent)).toBe(false);
    expect(clock.pending()).toBe(0);
    follower.seen(instance("b"));
    expect(events).toEqual(["create a@1", "delete a@1"]);
    await clock.advance(100_000);
    expect(clock.pending()).toBe(0);
  });

  it("that nobody named is followed with all the others, while it has nodes", async () => {
    const { clock, alive, lives, follower, events } = fixture();
    follower.everything = true;
    lives(instance("a"));
    expect(follower.follows(parent)).toBe(true);
    alive.clear();
    await clock.advance(60_000);
    expect(events).toEqual(["create a@1", "delete a@1"]);
    expect(follower.follows(parent)).toBe(false);
    lives(instance("b"));
    follower.leaveAll();
    expect(follower.follows(parent)).toBe(false);
    await clock.advance(0);
    expect(clock.pending()).toBe(0);
  });

  it("has at most 1024 nodes, all services together 8192 and 64 MiB", () => {
    const { follower, events } = fixture();
    for (let i = 0; i < 9; i++) {
      follower.follow(`s${i}.micro.`);
      for (let j = 0; j < 1025; j++) follower.seen(instance(`n${j}`, { service: `s${i}`, size: 1 }));
      expect(events).toHaveLength(Math.min(8192, (i + 1) * 1024));
    }
    const one = { service: "s0" };
    follower.seen(instance("n0", { ...one, ttl: 0 }));
    follower.seen(instance("n0", { ...one, size: 64 << 20 }));
    expect(events).toHaveLength(8193);
    follower.seen(instance("n0", one));
    expect(events).toHaveLength(8194);
  });

  it("asks at once when the network changed", async () => {
    const { clock, asked, lives, follower } = fixture();
    follower.follow(parent);
    lives(instance("a"));
    await clock.advance(300_000);
    const before = asked.length;
    follower.refresh();
    await clock.advance(1);
    expect(asked.length).toBe(before + 1);
  });
});
