import { sleep, type Clock } from "../clock.ts";

export interface BackoffOptions {
  /** First delay in milliseconds. Default 100. */
  readonly min?: number | undefined;
  /** Longest delay in milliseconds. Default 10,000. */
  readonly max?: number | undefined;
  /** Each delay over the one before. Default 2. */
  readonly factor?: number | undefined;
  /** `full`: anywhere between 0 and the delay; `equal`: between half of it and all; `none`. Default `equal`. */
  readonly jitter?: "full" | "equal" | "none" | undefined;
}

/** The delay in milliseconds after `failures` in a row (1: the first delay). `random` is uniform in [0, 1). */
export function backoff(failures: number, options: BackoffOptions = {}, random: () => number = Math.random): number {
  const { min = 100, max = 10_000, factor = 2, jitter = "equal" } = options;
  // A large exponent gives Infinity, which the cap turns into `max`; 0 × Infinity would be NaN.
  const delay = min === 0 ? 0 : Math.min(max, min * factor ** Math.max(0, failures - 1));
  if (jitter === "none") return delay;
  return jitter === "full" ? random() * delay : delay / 2 + (random() * delay) / 2;
}

/** Counts failures in a row and waits after each. */
export class Backoff {
  readonly #options: BackoffOptions;
  readonly #random: (() => number) | undefined;
  #failures = 0;

  constructor(options: BackoffOptions = {}, random?: () => number) {
    this.#options = options;
    this.#random = random;
  }

  /** Failures since the last {@link reset}. */
  get failures(): number {
    return this.#failures;
  }

  /** Counts a failure and returns the delay in milliseconds before the next try. */
  next(): number {
    return backoff(++this.#failures, this.#options, this.#random);
  }

  /** It works again: the next delay is the first one. */
  reset(): void {
    this.#failures = 0;
  }

  /** Counts a failure and waits; resolves early, without rejecting, when `signal` aborts. */
  wait(clock: Clock, signal?: AbortSignal): Promise<void> {
    return sleep(clock, this.next(), signal);
  }
}
