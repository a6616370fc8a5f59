import type { Clock } from "../clock.ts";

/** A clock that stands still until it is told to go on. */
export interface VirtualClock extends Clock {
  /** Goes forward by `ms`, fires what comes due in order, and lets promise chains run dry before, between and after. */
  advance(ms: number): Promise<void>;
  /** How many timers are armed. */
  pending(): number;
}

/** Virtual time for tests: exact, instant, and able to prove that no timer was left. */
export function virtualClock(start = 0): VirtualClock {
  let now = start;
  let due: { at: number; fn: () => void }[] = [];
  return {
    now: () => now,
    pending: () => due.length,
    after(ms, fn) {
      const entry = { at: now + Math.max(0, ms), fn };
      const i = due.findIndex((other) => other.at > entry.at);
      due.splice(i < 0 ? due.length : i, 0, entry);
      return entry;
    },
    cancel(timer) {
      due = due.filter((entry) => entry !== timer);
    },
    async advance(ms) {
      const end = now + ms;
      await settle();
      for (let next = due[0]; next !== undefined && next.at <= end; next = due[0]) {
        due.shift();
        now = Math.max(now, next.at);
        next.fn();
        await settle();
      }
      now = end;
    },
  };
}

async function settle(): Promise<void> {
  for (let i = 0; i < 3; i++) await new Promise((resolve) => setImmediate(resolve));
}
