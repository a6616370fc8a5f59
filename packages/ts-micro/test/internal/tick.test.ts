import { describe, expect, it, vi } from "vitest";
import { systemClock, type Clock } from "../../src/clock.ts";
import { atTickEnd, beginTurn, endTurn, tickTime } from "../../src/internal/tick.ts";

const later = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe("the end of a turn", () => {
  it("flushes what has registered, in order, and what registers meanwhile in the next one", async () => {
    const seen: string[] = [];
    atTickEnd({ flush: () => (seen.push("a"), atTickEnd({ flush: () => void seen.push("c") })) });
    atTickEnd({ flush: () => void seen.push("b") });
    expect(seen).toEqual([]);
    await later();
    expect(seen).toEqual(["a", "b", "c"]);
  });

  it("flushes the others when one throws, now and later", async () => {
    const thrown: unknown[] = [];
    const others = process.listeners("uncaughtException");
    process.removeAllListeners("uncaughtException");
    process.on("uncaughtException", (error) => thrown.push(error.message));
    try {
      const seen: number[] = [];
      for (let n = 0; n < 3; n++) {
        atTickEnd({
          flush: () => {
            throw new Error("broken");
          },
        });
        atTickEnd({ flush: () => void seen.push(n) });
        await later();
      }
      expect(seen).toEqual([0, 1, 2]);
      expect(thrown).toEqual(["broken", "broken", "broken"]);
    } finally {
      process.removeAllListeners("uncaughtException");
      for (const each of others) process.on("uncaughtException", each);
    }
  });
});

describe("the time of a turn", () => {
  it("is read for the first few that ask, then rarely, and anew in the next turn", async () => {
    let time = 0;
    const now = vi.spyOn(systemClock, "now").mockImplementation(() => time);
    try {
      // Work that blocks between two calls costs the later one nothing.
      for (let n = 0; n < 8; n++) {
        time += 2000;
        expect(tickTime(systemClock)).toBe(time);
      }
      const before = now.mock.calls.length;
      for (let n = 0; n < 32_000; n++) tickTime(systemClock);
      expect(now.mock.calls.length - before).toBe(1000);
      // Nor does it matter for long to a turn that makes thousands.
      time += 2000;
      for (let n = 0; n < 32; n++) tickTime(systemClock);
      expect(tickTime(systemClock)).toBe(time);
      const read = now.mock.calls.length;
      expect(beginTurn(systemClock)).toBe(time);
      expect(now.mock.calls.length).toBe(read);
      await later();
      time += 1;
      expect(tickTime(systemClock)).toBe(time);
    } finally {
      now.mockRestore();
    }
    await later();
  });

  it("costs nothing to forget where few ask, or where somebody says that it ends", async () => {
    await later();
    const nextTick = vi.spyOn(process, "nextTick");
    const now = vi.spyOn(systemClock, "now");
    try {
      for (let n = 0; n < 3; n++) tickTime(systemClock);
      endTurn();
      beginTurn(systemClock);
      for (let n = 0; n < 20; n++) tickTime(systemClock);
      endTurn();
      // The next turn has nothing of what was read in this one.
      for (let n = 0; n < 3; n++) tickTime(systemClock);
      expect([nextTick.mock.calls.length, now.mock.calls.length]).toEqual([0, 3 + 8 + 3]);
      // Of two turns without an end, the second to ask much is exact four times at least.
      for (let n = 0; n < 6; n++) tickTime(systemClock);
      expect([nextTick.mock.calls.length, now.mock.calls.length]).toEqual([1, 14 + 5]);
    } finally {
      nextTick.mockRestore();
      now.mockRestore();
    }
    await later();
  });

  it("that began with a chunk ends with it", async () => {
    await later();
    const now = vi.spyOn(systemClock, "now");
    beginTurn(systemClock);
    endTurn();
    beginTurn(systemClock);
    endTurn();
    expect(now).toHaveBeenCalledTimes(2);
    now.mockRestore();
  });

  it("of another clock is asked each time", () => {
    let time = 0;
    const clock: Clock = { ...systemClock, now: () => ++time };
    expect([tickTime(clock), tickTime(clock), beginTurn(clock)]).toEqual([1, 2, 3]);
  });
});
