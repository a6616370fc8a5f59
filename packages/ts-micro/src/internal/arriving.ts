import type { Clock } from "../clock.ts";
import { Deadlines, type Expiring } from "./deadlines.ts";

/** What may take too long to arrive. */
export interface Arrival extends Expiring {
  expire(): void;
}

/** Requests that have not arrived as a whole, of all connections of a server: for how long, and how much of them is kept. */
export class Arriving {
  readonly clock: Clock;
  /** Milliseconds that one may take. */
  readonly limit: number;
  readonly #most: number;
  readonly #arrivals = new Set<Arrival>();
  readonly #deadlines: Deadlines<Arrival>;
  #held = 0;

  /** `most`: bytes. */
  constructor(clock: Clock, limit: number, most: number = 256 << 20) {
    this.clock = clock;
    this.limit = limit;
    this.#most = most;
    this.#deadlines = new Deadlines(
      clock,
      () => this.#arrivals,
      (arrival) => arrival.expire(),
    );
  }

  add(arrival: Arrival): void {
    this.#arrivals.add(arrival);
    this.#deadlines.add(arrival.deadline);
  }

  delete(arrival: Arrival): void {
    this.#arrivals.delete(arrival);
  }

  /** Keeps more, or less; false when too much is kept. */
  hold(bytes: number): boolean {
    this.#held += bytes;
    return this.#held <= this.#most;
  }

  close(): void {
    this.#deadlines.close();
  }
}
