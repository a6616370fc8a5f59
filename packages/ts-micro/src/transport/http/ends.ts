import type { Clock } from "../../clock.ts";
import { connectionGrain, Deadlines, type Expiring } from "../../internal/deadlines.ts";

export interface Ending extends Expiring {
  /** Its deadline has passed. */
  expire(): void;
}

/** What an end tells its {@link Ends}. */
export interface Home {
  readonly clock: Clock;
  add(end: Ending): void;
  /** Nothing more happens on it. */
  over(end: Ending): void;
  /** Its socket is closed. */
  gone(end: Ending): void;
  /** The deadline of one of them has changed. */
  watch(deadline: number): void;
}

/** The sockets of one transport or acceptor, with one table for all their deadlines. */
export class Ends<E extends Ending> implements Home {
  readonly clock: Clock;
  /** In use, or of use. */
  readonly open: Set<E> = new Set<E>();
  /** Also those that only wait for their socket to end. */
  readonly all: Set<E> = new Set<E>();
  readonly #deadlines: Deadlines<E>;
  #empty: (() => void)[] = [];

  constructor(clock: Clock) {
    this.clock = clock;
    this.#deadlines = new Deadlines(
      clock,
      () => this.all,
      (end) => end.expire(),
      connectionGrain,
    );
  }

  add(end: E): void {
    this.open.add(end);
    this.all.add(end);
  }

  over(end: E): void {
    this.open.delete(end);
    if (this.open.size > 0 || this.#empty.length === 0) return;
    const empty = this.#empty;
    this.#empty = [];
    for (const resolve of empty) resolve();
  }

  gone(end: E): void {
    this.over(end);
    this.all.delete(end);
    if (this.all.size === 0) this.#deadlines.close();
  }

  watch(deadline: number): void {
    this.#deadlines.add(deadline);
  }

  /** Resolves when none is open. */
  async whenEmpty(): Promise<void> {
    if (this.open.size > 0) await new Promise<void>((resolve) => this.#empty.push(resolve));
  }
}
