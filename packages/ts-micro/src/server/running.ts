import type { Clock } from "../clock.ts";
import type { Cancellation } from "../context.ts";
import { errors, fromUnknown, type MicroError } from "../errors.ts";
import { Deadlines } from "../internal/deadlines.ts";

interface Entry {
  deadline: number;
  expire(): void;
}

/** Calls under way: each settles by its deadline at the latest, whatever its handler does. */
export class Running {
  readonly #clock: Clock;
  readonly #service: string;
  readonly #entries = new Set<Entry>();
  readonly #deadlines: Deadlines<Entry>;
  #idle: (() => void)[] = [];

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

  /** Runs `work`; rejects with TIMEOUT at the deadline and with the reason of the cancellation, both of which `work` is told of. */
  run<T>(endpoint: string, deadline: number, cancellation: Cancellation, work: () => T | Promise<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      let open = true;
      const settle = (): boolean => {
        if (!open) return false;
        open = false;
        this.#entries.delete(entry);
        unlink?.();
        if (this.#entries.size === 0) this.#wake();
        return true;
      };
      const fail = (error: unknown): void => {
        if (settle()) reject(fromUnknown(error, this.#service));
      };
      const entry: Entry = {
        deadline,
        expire: () => {
          const error = errors.timeout(this.#service, `${endpoint}: the deadline has passed`);
          fail(error);
          cancellation.cancel(error);
        },
      };
      let unlink: (() => void) | undefined;
      this.#entries.add(entry);
      if (deadline < Infinity) {
        if (deadline <= this.#clock.now()) {
          entry.expire();
          return;
        }
        this.#deadlines.add(deadline);
      }
      unlink = cancellation.onCancel(fail);
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
        result.then((value) => {
          if (settle()) resolve(value);
        }, fail);
      } else if (settle()) resolve(result);
    });
  }

  /** Resolves when nothing is under way. */
  whenIdle(): Promise<void> {
    return this.#entries.size === 0 ? Promise.resolve() : new Promise((resolve) => this.#idle.push(resolve));
  }

  close(): void {
    this.#deadlines.close();
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
