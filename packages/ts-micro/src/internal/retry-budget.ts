import { systemClock, type Clock } from "../clock.ts";

export interface RetryBudgetOptions {
  readonly clock?: Clock | undefined;
  /** Retries as a share of calls. Default 0.1. */
  readonly ratio?: number | undefined;
  /** Retries per window that are always allowed, for clients that make few calls. Default 10. */
  readonly reserve?: number | undefined;
  /** Length of a window in milliseconds. Default 10,000. */
  readonly window?: number | undefined;
}

/**
 * Bounds the extra load of retries: in any window at most `ratio` of the calls made in it, or `reserve` where that is more. The reserve is
 * an advance on the share, not an addition to it, so that from 100 calls in a window on, retries never add more than a tenth, even when
 * every call fails. Counting a call reads no clock.
 */
export class RetryBudget {
  readonly #clock: Clock;
  readonly #ratio: number;
  readonly #reserve: number;
  readonly #window: number;
  #since: number;
  #calls = 0;
  #retries = 0;

  constructor(options: RetryBudgetOptions = {}) {
    this.#clock = options.clock ?? systemClock;
    this.#ratio = options.ratio ?? 0.1;
    this.#reserve = options.reserve ?? 10;
    this.#window = options.window ?? 10_000;
    this.#since = this.#clock.now();
  }

  /** A call begins: its first attempt. */
  request(): void {
    this.#calls++;
  }

  /** Takes a retry out of the budget; false when it is used up. */
  retry(): boolean {
    this.#roll();
    // The sum of a share of many calls must not lose a retry to rounding.
    if (this.#retries + 1 > Math.max(this.#reserve, this.#ratio * this.#calls + 1e-9)) return false;
    this.#retries++;
    return true;
  }

  /** Gives back a retry that was taken and not made. */
  refund(): void {
    if (this.#retries > 0) this.#retries--;
  }

  /** Retries left in the running window. */
  get left(): number {
    this.#roll();
    return Math.max(0, Math.floor(Math.max(this.#reserve, this.#ratio * this.#calls + 1e-9) - this.#retries));
  }

  #roll(): void {
    const now = this.#clock.now();
    if (now - this.#since < this.#window) return;
    this.#since = now;
    this.#calls = 0;
    this.#retries = 0;
  }
}
