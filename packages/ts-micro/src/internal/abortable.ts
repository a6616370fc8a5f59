import { onAbort } from "./on-abort.ts";

/** `work`, but over when `signal` aborts, with what `why` says then, even if `work` does not look at it. What it still does is ignored. */
export function abortable<T>(work: Promise<T>, signal: AbortSignal, why: () => unknown): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = (): void => reject(why());
    let unlink = (): void => {};
    if (signal.aborted) stop();
    else unlink = onAbort(signal, stop);
    void work.then(resolve, reject).finally(unlink);
  });
}
