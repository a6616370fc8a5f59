import type { Clock, Timer } from "../clock.ts";
import { exitAmbient } from "./ambient.ts";

/** An entry of a table guarded by {@link Deadlines}. `deadline` is a time of the clock; Infinity for none. */
export interface Expiring {
  readonly deadline: number;
}

/** Milliseconds between two sweeps of a table of connections: of many idle ones, some deadline passes in each millisecond. */
export const connectionGrain = 100;

/**
 * Deadlines for a table of pending entries, with one lazy timer for all of them: adding is one comparison, finished entries are never
 * cancelled, they are simply gone at the sweep, which re-arms for the earliest one left. Exact to the timer's millisecond,
 * or to the grain that two sweeps are apart at least.
 */
export class Deadlines<T extends Expiring> {
  readonly #clock: Clock;
  readonly #each: () => Iterable<T>;
  readonly #expire: (entry: T) => void;
  readonly #grain: number;
  #timer: Timer | undefined;
  #wake = Infinity;
  /** No sweep before. */
  #least = -Infinity;

  constructor(clock: Clock, each: () => Iterable<T>, expire: (entry: T) => void, grain = 0) {
    this.#clock = clock;
    this.#each = each;
    this.#expire = expire;
    this.#grain = grain;
  }

  /** Tells that an entry with this deadline was put into the table. */
  add(deadline: number): void {
    if (deadline < this.#wake && this.#least < this.#wake) this.#arm(Math.max(deadline, this.#least));
  }

  close(): void {
    if (this.#timer !== undefined) this.#clock.cancel(this.#timer);
    this.#timer = undefined;
    this.#wake = Infinity;
  }

  #arm(at: number): void {
    if (this.#timer !== undefined) this.#clock.cancel(this.#timer);
    this.#wake = at;
    // Whoever it is armed by: it is for all.
    this.#timer = exitAmbient(() => this.#clock.after(at - this.#clock.now() + 0.5, this.#sweep));
  }

  #sweep = (): void => {
    const now = this.#clock.now();
    const due: T[] = [];
    let next = Infinity;
    this.#timer = undefined;
    this.#wake = Infinity;
    this.#least = now + this.#grain;
    for (const entry of this.#each()) {
      if (entry.deadline <= now) due.push(entry);
      else if (entry.deadline < next) next = entry.deadline;
    }
    if (next < Infinity) this.#arm(Math.max(next, this.#least));
    for (const entry of due) this.#expire(entry);
  };
}
