/** Handle of a timer of a {@link Clock}. */
export type Timer = unknown;

/** The time seam: everything that waits takes one, so that tests can drive time. Times are milliseconds of a monotonic clock. */
export interface Clock {
  now(): number;
  /** Calls `fn` once, `ms` from now. The timer does not keep the process alive. */
  after(ms: number, fn: () => void): Timer;
  cancel(timer: Timer): void;
}

const longest = 2 ** 31 - 1;

/** Once: each read of the global runs a getter, which takes as long as the clock does. */
const time = performance;
const timers = setTimeout;

/** The real clock, or that of a test runner which has put its own in the place of the timers. */
export const systemClock: Clock = {
  now: () => (setTimeout === timers ? time : performance).now(),
  after: (ms, fn) => setTimeout(fn, Math.min(Math.max(ms, 0), longest)).unref(),
  cancel: (timer) => clearTimeout(timer as NodeJS.Timeout),
};

/** Resolves after `ms`; at once, without rejecting, when `signal` aborts. */
export function sleep(clock: Clock, ms: number, signal?: AbortSignal): Promise<void> {
  if (signal?.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const done = (): void => {
      clock.cancel(timer);
      signal?.removeEventListener("abort", done);
      resolve();
    };
    const timer = clock.after(ms, done);
    signal?.addEventListener("abort", done, { once: true });
  });
}
