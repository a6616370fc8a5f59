import { describe, expect, it } from "vitest";
import { Limiter } from "../../../src/registry/mdns/limiter.ts";
import { virtualClock } from "../../../src/testing/clock.ts";

describe("the limit for a source", () => {
  it("allows a burst, then a rate, and counts what it refused", async () => {
    const clock = virtualClock();
    const limiter = new Limiter(clock, 10, 20);
    const allowed = (): number => Array.from({ length: 100 }, () => limiter.allow("a")).filter(Boolean).length;
    expect(allowed()).toBe(20);
    await clock.advance(1000);
    expect(allowed()).toBe(10);
    await clock.advance(3_600_000);
    expect(allowed()).toBe(20);
    expect(limiter.refused).toBe(250);
  });

  it("remembers the 1024 sources that asked last", () => {
    const limiter = new Limiter(virtualClock(), 1, 1);
    expect(limiter.allow("busy")).toBe(true);
    for (let i = 0; i < 10_000; i++) {
      expect(limiter.allow(`other ${i}`)).toBe(true);
      if (i % 1000 === 0) expect(limiter.allow("busy")).toBe(false);
    }
    expect(limiter.size).toBe(1024);
    expect(limiter.allow("other 9999")).toBe(false);
    expect(limiter.allow("other 0")).toBe(true);
  });
});
