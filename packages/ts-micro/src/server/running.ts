import type { Clock } from "../clock.ts";
import type { Cancellation } from "../context.ts";
import { errors, type MicroError } from "../errors.ts";
import { Chain, type Linked } from "../internal/chain.ts";
import { Deadlines } from "../internal/deadlines.ts";

/** Something under way. */
export interface RunningEntry extends Linked<RunningEntry> {
  readonly deadline: number;
  expire(): void;
  /** Settles with `reason`, of which the handler is told. */
  cut(reason: MicroError): void;
}

/** Calls under way: each settles by its deadline at the latest, whatever its handler does. */
export class Running {
  readonly #clock: Clock;
  readonly #service: string;
  readonly #deadlines: Deadlines<RunningEntry>;
  readonly #entries = new Chain<RunningEntry>();
  #idle: (() => void)[] = [];
  /** Handlers that go on after their call has settled without them. They count as work, and a stop does not wait for them. */
  abandoned = 0;
  closed = false;

  constructor(clock: Clock, service: string) {
    this.#clock = clock;
    this.#service = service;
    this.#deadlines = new Deadlines(
      clock,
      () => this.#entries,
      (entry) => entry.expire(),
    );
  }

  get size(): number {
    return this.#entries.size;
  }

  enter(entry: RunningEntry): void {
    this.#entries.enter(entry);
    if (entry.deadline !== Infinity) this.#deadlines.add(entry.deadline);
  }

  leave(entry: RunningEntry): void {
    this.#entries.leave(entry);
    if (this.size === 0) this.#wake();
  }

  /** Counts `work`, which nobody waits for any more, until it has settled. */
  #outlives(work: Promise<unknown>, outlives: ((goesOn: boolean) => void) | undefined): void {
    this.abandoned++;
    outlives?.(true);
    const over = (): void => {
      this.abandoned--;
      outlives?.(false);
    };
    work.then(over, over);
  }

  /**
   * Runs `work`; rejects with TIMEOUT at the deadline and with the reason of the cancellation, both of which `work` is told of. `outlives`
   * hears of work that goes on after that, and of its end.
   */
  run<T>(
    endpoint: string,
    deadline: number,
    cancellation: Cancellation,
    work: () => T | Promise<T>,
    outlives?: (goesOn: boolean) => void,
  ): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      let open = true;
      let pending: Promise<T> | undefined;
      const settle = (): boolean => {
        if (!open) return false;
        open = false;
        this.leave(entry);
        unlink?.();
        return true;
      };
      const fail = (error: unknown): void => {
        // As it was thrown: who contains it logs it.
        if (settle()) reject(error);
      };
      const abandon = (error: unknown): void => {
        if (open && pending !== undefined) this.#outlives(pending, outlives);
        fail(error);
      };
      const entry: RunningEntry = {
        deadline,
        previous: undefined,
        next: undefined,
        expire: () => entry.cut(errors.timeout(this.#service, `${endpoint}: the deadline has passed`)),
        cut: (reason) => {
          abandon(reason);
          cancellation.cancel(reason);
        },
      };
      let unlink: (() => void) | undefined;
      this.enter(entry);
      if (deadline < Infinity && deadline <= this.#clock.now()) {
        entry.expire();
        return;
      }
      unlink = cancellation.onCancel(abandon);
      if (!open) {
        unlink();
        return;
      }
      let result: T | Promise<T>;
      try {
        result = work();
      } catch (error) {
        fail(error);
        return;
      }
      if (result instanceof Promise) {
        pending = result;
        result.then((value) => {
          if (settle()) resolve(value);
        }, fail);
      } else if (settle()) resolve(result);
    });
  }

  /** Resolves when nothing is under way. */
  whenIdle(): Promise<void> {
    return this.size === 0 ? Promise.resolve() : new Promise((resolve) => this.#idle.push(resolve));
  }

  /** What is still under way is cut off: nobody else would settle a call within the process. */
  close(): void {
    this.closed = true;
    this.#deadlines.close();
    for (const entry of [...this.#entries]) entry.cut(stopping(this.#service));
  }

  #wake(): void {
    const waiting = this.#idle;
    this.#idle = [];
    for (const resolve of waiting) resolve();
  }
}

/** The error of work that is cut short because the server ends. */
export function stopping(service: string): MicroError {
  return errors.draining(service, "the server is stopping");
}
