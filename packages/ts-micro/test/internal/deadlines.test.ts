import { describe, expect, it } from "vitest";
import { Deadlines } from "../../src/internal/deadlines.ts";
import { virtualClock } from "../../src/testing/clock.ts";

interface Entry {
  id: string;
  deadline: number;
}

function table() {
  const clock = virtualClock();
  const entries = new Set<Entry>();
  const expired: [string, number][] = [];
  const deadlines = new Deadlines<Entry>(
    clock,
    () => entries,
    (entry) => {
      entries.delete(entry);
      expired.push([entry.id, clock.now()]);
    },
  );
  const add = (id: string, ms: number): Entry => {
    const entry = { id, deadline: clock.now() + ms };
    entries.add(entry);
    deadlines.add(entry.deadline);
    return entry;
  };
  return { clock, entries, expired, deadlines, add };
}

describe("Deadlines", () => {
  it("expires entries at their time, whatever order they came in", async () => {
    const { clock, expired, add } = table();
    add("long", 30_000);
    add("short", 100);
    await clock.advance(99);
    expect(expired).toEqual([]);
    await clock.advance(2);
    expect(expired.map(([id]) => id)).toEqual(["short"]);
    await clock.advance(30_000);
    expect(expired.map(([id]) => id)).toEqual(["short", "long"]);
    expect(clock.pending()).toBe(0);
  });

  it("arms one timer for a thousand entries, and none when all are done", async () => {
    const { clock, entries, expired, add } = table();
    for (let i = 0; i < 1000; i++) add(String(i), 1000 + i);
    expect(clock.pending()).toBe(1);
    entries.clear();
    await clock.advance(1001);
    expect(expired).toEqual([]);
    expect(clock.pending()).toBe(0);
  });

  it("sweeps a table with a grain no more often, and none of it early or later than that", async () => {
    const clock = virtualClock();
    const entries = new Set<Entry>();
    const late: number[] = [];
    let sweeps = 0;
    const deadlines = new Deadlines<Entry>(
      clock,
      () => (sweeps++, entries),
      (entry) => {
        entries.delete(entry);
        late.push(clock.now() - entry.deadline);
      },
      100,
    );
    for (let n = 0; n < 1000; n++) {
      const entry = { id: String(n), deadline: 1000 + n };
      entries.add(entry);
      deadlines.add(entry.deadline);
    }
    for (let n = 0; n < 2200; n++) {
      await clock.advance(1);
      // One that moves its own deadline does not bring the sweep forward.
      deadlines.add(clock.now() + 1);
    }
    expect(late).toHaveLength(1000);
    expect(Math.min(...late)).toBeGreaterThanOrEqual(0);
    expect(Math.max(...late)).toBeLessThanOrEqual(101);
    expect(late[0]).toBeLessThan(101);
    expect(sweeps).toBeLessThanOrEqual(23);
    deadlines.close();
  });

  it("takes entries that an expiry adds", async () => {
    const clock = virtualClock();
    const entries = new Set<Entry>();
    let runs = 0;
    const deadlines = new Deadlines<Entry>(
      clock,
      () => entries,
      (entry) => {
        entries.delete(entry);
        if (++runs < 3) {
          const next = { id: "again", deadline: clock.now() + 10 };
          entries.add(next);
          deadlines.add(next.deadline);
        }
      },
    );
    entries.add({ id: "first", deadline: 10 });
    deadlines.add(10);
    await clock.advance(100);
    expect(runs).toBe(3);
  });

  it("is silent after close", async () => {
    const { clock, expired, deadlines, add } = table();
    add("a", 10);
    deadlines.close();
    await clock.advance(100);
    expect(expired).toEqual([]);
    expect(clock.pending()).toBe(0);
  });
});
