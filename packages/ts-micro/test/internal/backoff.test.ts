import { describe, expect, it } from "vitest";
import { Backoff, backoff } from "../../src/internal/backoff.ts";
import { virtualClock } from "../../src/testing/clock.ts";
import { seeded } from "../selector/seeded.ts";

describe("backoff", () => {
  it("doubles from the first delay to the cap and stays there", () => {
    const delays = Array.from({ length: 9 }, (_, i) => backoff(i + 1, { jitter: "none", min: 50, max: 2000 }));
    expect(delays).toEqual([50, 100, 200, 400, 800, 1600, 2000, 2000, 2000]);
    expect(backoff(5000, { jitter: "none" })).toBe(10_000);
    expect(backoff(5000, { jitter: "none", min: 0 })).toBe(0);
  });

  it("full jitter spreads over all of the delay, equal jitter over its upper half", () => {
    const random = seeded(1);
    for (const [jitter, least] of [
      ["full", 0],
      ["equal", 400],
    ] as const) {
      const drawn = Array.from({ length: 2000 }, () => backoff(4, { jitter }, random));
      expect(Math.min(...drawn)).toBeGreaterThanOrEqual(least);
      expect(Math.min(...drawn)).toBeLessThan(least + 20);
      expect(Math.max(...drawn)).toBeLessThan(800);
      expect(Math.max(...drawn)).toBeGreaterThan(780);
    }
  });

  it("begins anew after reset", () => {
    const delays = new Backoff({ jitter: "none" });
    expect([delays.next(), delays.next(), delays.failures]).toEqual([100, 200, 2]);
    delays.reset();
    expect([delays.next(), delays.failures]).toEqual([100, 1]);
  });

  it("waits by the clock, ends at once on abort, and leaves no timer", async () => {
    const clock = virtualClock();
    const delays = new Backoff({ jitter: "none" });
    let done = 0;
    void delays.wait(clock).then(() => done++);
    await clock.advance(99);
    expect(done).toBe(0);
    await clock.advance(1);
    expect(done).toBe(1);
    const stop = new AbortController();
    const waiting = delays.wait(clock, stop.signal);
    expect(clock.pending()).toBe(1);
    stop.abort();
    await waiting;
    expect(clock.pending()).toBe(0);
  });
});
