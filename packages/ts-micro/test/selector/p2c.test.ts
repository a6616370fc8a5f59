import { describe, expect, it } from "vitest";
import { MicroError } from "../../src/errors.ts";
import type { Node } from "../../src/registry.ts";
import { p2cSelector, type P2cSelector } from "../../src/selector/p2c.ts";
import { virtualClock } from "../../src/testing/clock.ts";
import { refusedDial, tally, testNodes } from "../../src/testing/selector.ts";
import { seeded } from "./seeded.ts";

const timeout = new MicroError({ code: "TIMEOUT", id: "test", detail: "no reply" });

/** A call that fails. */
function fail(selector: P2cSelector, node: Node, error: MicroError): void {
  selector.started("a", node);
  selector.ended("a", node, 5, error);
}

function nth<T>(list: readonly T[], index: number): T {
  const item = list[index];
  if (item === undefined) throw new Error(`no item ${index}`);
  return item;
}

function ejected(selector: P2cSelector): string[] {
  return selector.snapshot().flatMap((node) => (node.ejected ? [node.id] : []));
}

/** Simulates `calls` calls, `callers` at a time, where node i answers in latency(i) ms; returns the latency of each. */
function simulate(
  selector: P2cSelector,
  nodes: readonly Node[],
  callers: number,
  calls: number,
  latency: (index: number) => number,
): { latencies: number[]; counts: number[] } {
  const latencies: number[] = [];
  const counts = nodes.map(() => 0);
  let running: { node: Node; ms: number; at: number }[] = [];
  let now = 0;
  while (latencies.length < calls) {
    while (running.length < callers) {
      const node = selector.select("a", nodes);
      const index = nodes.indexOf(node);
      const ms = latency(index);
      counts[index] = nth(counts, index) + 1;
      selector.started("a", node);
      running.push({ node, ms, at: now + ms });
    }
    now = Math.min(...running.map((call) => call.at));
    for (const call of running.filter((call) => call.at <= now)) {
      selector.ended("a", call.node, call.ms);
      latencies.push(call.ms);
    }
    running = running.filter((call) => call.at > now);
  }
  return { latencies, counts };
}

function percentile(values: readonly number[], p: number): number {
  return nth(
    [...values].sort((x, y) => x - y),
    Math.floor(values.length * p),
  );
}

describe("p2c", () => {
  for (const callers of [1, 4, 16]) {
    it(`with one of five nodes ten times slower, p99 stays within 1.5 times of all healthy at ${callers} callers`, () => {
      const noise = seeded(callers);
      const healthy = (): number => 0.9 + 0.2 * noise();
      const base = simulate(p2cSelector({ random: seeded(7) }), testNodes("a", 5), callers, 20_000, healthy);
      const slow = simulate(p2cSelector({ random: seeded(7) }), testNodes("a", 5), callers, 20_000, (i) =>
        i === 0 ? 10 * healthy() : healthy(),
      );
      expect(percentile(slow.latencies, 0.99)).toBeLessThanOrEqual(1.5 * percentile(base.latencies, 0.99));
      // The slow one is still tried, or its recovery would never be seen.
      expect(slow.counts[0]).toBeGreaterThan(2);
    });
  }

  it("a fast node that freezes gets a few calls more, not all that there are", async () => {
    const clock = virtualClock();
    const selector = p2cSelector({ clock, random: seeded(7) });
    const nodes = testNodes("a", 3);
    const running: { node: Node; due: number; began: number }[] = [];
    let caught = 0;
    for (let ms = 0; ms < 1500; ms++) {
      const frozen = ms >= 500;
      for (let i = running.length - 1; i >= 0; i--) {
        const { node, due, began } = nth(running, i);
        if (due > ms || (frozen && node === nodes[0])) continue;
        selector.ended("a", node, ms - began);
        running.splice(i, 1);
      }
      while (running.length < 30) {
        const node = selector.select("a", nodes);
        selector.started("a", node);
        running.push({ node, due: ms + (node === nodes[0] ? 1 : 10), began: ms });
        if (frozen && node === nodes[0]) caught++;
      }
      await clock.advance(1);
    }
    expect(caught).toBeLessThan(15);
    expect(running.filter(({ node }) => node !== nodes[0]).length).toBeGreaterThan(5);
  });

  it("a slow node that becomes fast again gets its share back", () => {
    const selector = p2cSelector({ random: seeded(3) });
    const nodes = testNodes("a", 5);
    simulate(selector, nodes, 4, 2000, (i) => (i === 0 ? 20 : 1));
    simulate(selector, nodes, 4, 10_000, () => 1);
    const { counts } = simulate(selector, nodes, 4, 5000, () => 1);
    expect(counts[0]).toBeGreaterThan(700);
  });

  it("calls in flight count: a node that hangs is left alone before any of its calls has ended", () => {
    const selector = p2cSelector({ random: seeded(4) });
    const nodes = testNodes("a", 3);
    tally(selector, "a", nodes, 300);
    let hanging = 0;
    for (let i = 0; i < 1000; i++) {
      const node = selector.select("a", nodes);
      selector.started("a", node);
      if (node === nodes[0]) hanging++;
      else selector.ended("a", node, 1);
    }
    expect(hanging).toBeLessThan(10);
  });

  it("a refused dial ejects the node at once, and no call goes there while the ejection lasts", async () => {
    const clock = virtualClock();
    const selector = p2cSelector({ clock, random: seeded(5) });
    const nodes = testNodes("a", 3);
    tally(selector, "a", nodes, 30);
    fail(selector, nth(nodes, 1), refusedDial());
    await clock.advance(999);
    expect(tally(selector, "a", nodes, 1000).get("a-1")).toBe(0);
  });

  it("a deadline that passes while dialling is a failure as others are", () => {
    const selector = p2cSelector({ clock: virtualClock() });
    const node = nth(testNodes("a", 1), 0);
    const late = new MicroError({
      code: "TIMEOUT",
      id: "test",
      detail: "no connection within the deadline",
      refused: true,
    });
    late.layer = "dial";
    for (const out of [[], [], ["a-0"]]) {
      fail(selector, node, late);
      expect(ejected(selector)).toEqual(out);
    }
  });

  it("what counts is that the node is gone, whatever the error says of a retry", () => {
    const draining = new MicroError({ code: "DRAINING", id: "test", detail: "going away" });
    const dial = new MicroError({ code: "UNAVAILABLE", id: "test", detail: "no connection in time" });
    dial.layer = "dial";
    const refused = new MicroError({ code: "UNAVAILABLE", id: "test", detail: "not now", refused: true });
    for (const error of [draining, dial, refused]) {
      const selector = p2cSelector({ clock: virtualClock() });
      fail(selector, nth(testNodes("a", 3), 1), error);
      expect(ejected(selector)).toEqual(["a-1"]);
    }
  });

  it("a draining node is ejected at once, an overloaded one only after three refusals in a row", () => {
    const selector = p2cSelector({ clock: virtualClock() });
    const nodes = testNodes("a", 3);
    fail(selector, nth(nodes, 0), new MicroError({ code: "DRAINING", id: "test", detail: "going", refused: true }));
    const busy = new MicroError({ code: "RESOURCE_EXHAUSTED", id: "test", detail: "busy", refused: true });
    fail(selector, nth(nodes, 1), busy);
    fail(selector, nth(nodes, 1), busy);
    expect(ejected(selector)).toEqual(["a-0"]);
    fail(selector, nth(nodes, 1), busy);
    expect(ejected(selector)).toEqual(["a-0", "a-1"]);
  });

  it("failures eject only when they come in a row", () => {
    const selector = p2cSelector({ clock: virtualClock() });
    const node = nth(testNodes("a", 3), 0);
    for (let i = 0; i < 20; i++) {
      fail(selector, node, timeout);
      fail(selector, node, timeout);
      selector.started("a", node);
      selector.ended("a", node, 1);
    }
    expect(ejected(selector)).toEqual([]);
    for (let i = 0; i < 3; i++) fail(selector, node, timeout);
    expect(ejected(selector)).toEqual(["a-0"]);
  });

  it("when the ejection has run out, a single call probes the node while others stay away", async () => {
    const clock = virtualClock();
    const selector = p2cSelector({ clock, random: seeded(6) });
    const nodes = testNodes("a", 3);
    fail(selector, nth(nodes, 0), refusedDial());
    await clock.advance(1000);
    let probes = 0;
    for (let i = 0; i < 500; i++) {
      const node = selector.select("a", nodes);
      selector.started("a", node);
      if (node === nodes[0]) probes++;
      else selector.ended("a", node, 1);
    }
    expect(probes).toBe(1);
  });

  it("each ejection in a row is twice as long, up to the cap", async () => {
    const clock = virtualClock();
    const selector = p2cSelector({ clock, random: seeded(8), maxEjection: "10s" });
    const nodes = testNodes("a", 2);
    const lasted: number[] = [];
    fail(selector, nth(nodes, 0), refusedDial());
    for (let i = 0; i < 6; i++) {
      const since = clock.now();
      for (;;) {
        await clock.advance(100);
        let node = selector.select("a", nodes);
        for (let draw = 0; draw < 20 && node !== nodes[0]; draw++) node = selector.select("a", nodes);
        if (node === nodes[0]) break;
      }
      lasted.push(clock.now() - since);
      fail(selector, nth(nodes, 0), refusedDial());
    }
    expect(lasted).toEqual([1000, 2000, 4000, 8000, 10_000, 10_000]);
  });

  it("a probe that succeeds brings the node back, first with a small share, then with all of it", async () => {
    const clock = virtualClock();
    const selector = p2cSelector({ clock, random: seeded(9) });
    const nodes = testNodes("a", 4);
    tally(selector, "a", nodes, 100);
    fail(selector, nth(nodes, 0), refusedDial());
    await clock.advance(1000);
    for (let i = 0; ejected(selector).length > 0; i++) {
      tally(selector, "a", nodes, 1);
      expect(i).toBeLessThan(200);
    }
    const early = tally(selector, "a", nodes, 4000).get("a-0") as number;
    await clock.advance(2500);
    const later = tally(selector, "a", nodes, 4000).get("a-0") as number;
    await clock.advance(2500);
    const full = tally(selector, "a", nodes, 4000).get("a-0") as number;
    expect(early).toBeGreaterThan(20);
    expect(early).toBeLessThan(350);
    expect(later).toBeGreaterThan(early);
    expect(later).toBeLessThan(full);
    expect(full).toBeGreaterThan(800);
  });

  it("a node that joins others starts slowly, the first nodes of a service do not", async () => {
    const clock = virtualClock();
    const selector = p2cSelector({ clock, random: seeded(10) });
    const nodes = testNodes("a", 4);
    const first = tally(selector, "a", nodes.slice(0, 3), 3000);
    for (const id of ["a-0", "a-1", "a-2"]) expect(first.get(id)).toBeGreaterThan(800);
    const joined = tally(selector, "a", nodes, 4000);
    expect(joined.get("a-3")).toBeLessThan(350);
    await clock.advance(5000);
    expect(tally(selector, "a", nodes, 4000).get("a-3")).toBeGreaterThan(800);
  });

  it("when all are ejected, all are used, and the first that answers is taken back at once", () => {
    const selector = p2cSelector({ clock: virtualClock(), random: seeded(11) });
    const nodes = testNodes("a", 3);
    for (const node of nodes) fail(selector, node, refusedDial());
    const seen = new Set<string>();
    for (let i = 0; i < 100; i++) {
      const node = selector.select("a", nodes);
      seen.add(node.id);
      fail(selector, node, refusedDial());
    }
    expect(seen.size).toBe(3);
    const node = selector.select("a", nodes);
    selector.started("a", node);
    selector.ended("a", node, 1);
    expect(ejected(selector)).not.toContain(node.id);
    for (let i = 0; i < 50; i++) expect(selector.select("a", nodes)).toBe(node);
  });

  it("calls that began before the ejection neither end nor lengthen it", async () => {
    const clock = virtualClock();
    const selector = p2cSelector({ clock, random: seeded(12) });
    const nodes = testNodes("a", 2);
    const node = nth(nodes, 0);
    for (let i = 0; i < 50; i++) selector.started("a", node);
    fail(selector, node, refusedDial());
    for (let i = 0; i < 25; i++) selector.ended("a", node, 1, timeout);
    for (let i = 0; i < 25; i++) selector.ended("a", node, 1);
    expect(ejected(selector)).toEqual(["a-0"]);
    await clock.advance(1000);
    const next = new Set(Array.from({ length: 50 }, () => selector.select("a", nodes)));
    expect(next).toContain(node);
  });

  it("of the nodes that are left after exclusion, an ejected one comes last", () => {
    const selector = p2cSelector({ clock: virtualClock(), random: seeded(13) });
    const nodes = testNodes("a", 3);
    fail(selector, nth(nodes, 0), refusedDial());
    for (let i = 0; i < 100; i++) expect(selector.select("a", nodes, new Set(["a-1"]))).toBe(nodes[2]);
    expect(selector.select("a", nodes, new Set(["a-1", "a-2"]))).toBe(nodes[0]);
  });

  it("what it keeps is bounded while nodes come and go", () => {
    const selector = p2cSelector({ clock: virtualClock() });
    for (let i = 0; i < 20_000; i++) {
      const nodes = testNodes(`s${i}`, 3);
      const service = i % 2 === 0 ? "a" : "b";
      tally(selector, service, nodes, 3);
      // A service with one node, whose id changes at each restart.
      tally(selector, "c", [{ id: `c-${i}`, address: "", metadata: {} }], 1);
    }
    expect(selector.snapshot().length).toBeLessThan(200);
  });

  it("accounts for nodes that serve several services, as a proxy's do, of each by itself", () => {
    const selector = p2cSelector({ clock: virtualClock(), random: seeded(15) });
    const nodes = testNodes("proxy", 2);
    const [bad] = nodes;
    for (let i = 0; i < 20; i++) {
      const chosen = ["a", "b"].map((service) => [service, selector.select(service, nodes)] as const);
      for (const [service, node] of chosen) selector.started(service, node);
      for (const [service, node] of chosen) selector.ended(service, node, 1, node === bad ? refusedDial() : undefined);
    }
    expect(selector.snapshot().map(({ service, id, inflight, ejected: out }) => [service, id, inflight, out])).toEqual(
      ["a", "b"].flatMap((service) => nodes.map(({ id }) => [service, id, 0, id === bad?.id])),
    );
    selector.reset("a");
    expect(selector.snapshot().map(({ service }) => service)).toEqual(["b", "b"]);
  });

  it("ejections outlive changes of the list", () => {
    const selector = p2cSelector({ clock: virtualClock(), random: seeded(14) });
    const nodes = testNodes("a", 5);
    tally(selector, "a", nodes, 10);
    fail(selector, nth(nodes, 0), refusedDial());
    for (let i = 0; i < 200; i++) expect(selector.select("a", nodes.slice(0, 2 + (i % 4)))).not.toBe(nodes[0]);
  });
});

describe("an end without a fault of the node's", () => {
  /** Two nodes of which the first is ejected, and its probe under way. */
  async function probing(): Promise<{ selector: P2cSelector; node: Node }> {
    const clock = virtualClock();
    const selector = p2cSelector({ clock, random: seeded(5) });
    const nodes = testNodes("a", 2);
    const node = nth(nodes, 0);
    selector.select("a", nodes);
    fail(selector, node, refusedDial());
    await clock.advance(1001);
    for (let n = 0; n < 100 && selector.select("a", nodes) !== node; n++);
    selector.started("a", node);
    return { selector, node };
  }

  it("does not take a node back when it tells nothing", async () => {
    const { selector, node } = await probing();
    selector.ended("a", node, 100, undefined, "nothing");
    expect(ejected(selector)).toEqual([node.id]);
    expect(selector.snapshot()[0]?.inflight).toBe(0);
  });

  it("takes it back when it is alive", async () => {
    const { selector, node } = await probing();
    selector.ended("a", node, 1, undefined, "alive");
    expect(ejected(selector)).toEqual([]);
  });

  it("interrupts a row of failures only when it is alive", () => {
    for (const [tells, out] of [
      ["nothing", ["a-0"]],
      ["alive", []],
    ] as const) {
      const selector = p2cSelector({ clock: virtualClock() });
      const node = nth(testNodes("a", 1), 0);
      for (const error of [timeout, timeout, undefined, timeout]) {
        selector.started("a", node);
        selector.ended("a", node, 5, error, error === undefined ? tells : undefined);
      }
      expect(ejected(selector)).toEqual(out);
    }
  });

  it("is not taken for a fast answer, and is taken for a slow one", () => {
    for (const tells of ["nothing", "alive"] as const) {
      const selector = p2cSelector({ clock: virtualClock() });
      const node = nth(testNodes("a", 1), 0);
      const end = (ms: number, how?: typeof tells): void => {
        selector.started("a", node);
        selector.ended("a", node, ms, undefined, how);
      };
      const latency = () => selector.snapshot()[0]?.latency;
      end(10);
      end(1, tells);
      expect(latency()).toBe(10);
      end(30, tells);
      expect(latency()).toBe(20);
    }
  });
});
