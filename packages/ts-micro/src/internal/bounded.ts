import type { Clock, Timer } from "../clock.ts";
import type { Cancellation } from "../context.ts";
import type { MicroError } from "../errors.ts";

/** What bounds a wait. */
export interface Bounds {
  readonly clock: Clock;
  /** Clock time; Infinity for none. */
  readonly deadline: number;
  readonly cancellation?: Cancellation | undefined;
  /** The error when the deadline passes. */
  readonly late: () => MicroError;
}

/** `work`, but settled by the deadline or the cancellation at the latest. What it does afterwards is ignored; `signal` tells it to stop. */
export function bounded<T>(bounds: Bounds, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const { clock, deadline, cancellation } = bounds;
    const control = new AbortController();
    let timer: Timer | undefined;
    let unlink: (() => void) | undefined;
    let settled = false;
    const finish = (settle: () => void): void => {
      if (settled) return;
      settled = true;
      if (timer !== undefined) clock.cancel(timer);
      unlink?.();
      settle();
    };
    const stop = (error: MicroError): void => {
      finish(() => reject(error));
      control.abort(error);
    };
    if (deadline < Infinity) timer = clock.after(deadline - clock.now(), () => stop(bounds.late()));
    unlink = cancellation?.onCancel(stop);
    if (settled) {
      unlink?.();
      return;
    }
    work(control.signal).then(
      (value) => finish(() => resolve(value)),
      (error: unknown) => finish(() => reject(error)),
    );
  });
}
