import { errors } from "../../errors.ts";

/** One of several answers: null when it failed, undefined while it is pending. */
export type Answer<T> = T | null | undefined;

/**
 * The answers as soon as they are `enough`, at the latest when all are in. Rejects with the first error when all failed, and with CANCELLED
 * when `signal` aborts.
 */
export function first<T>(
  work: readonly Promise<T>[],
  enough: (soFar: readonly Answer<T>[]) => boolean,
  signal?: AbortSignal,
): Promise<Answer<T>[]> {
  return new Promise((resolve, reject) => {
    const answers: Answer<T>[] = work.map(() => undefined);
    let left = work.length;
    let failure: { readonly error: unknown } | undefined;
    const abort = (): void => reject(errors.cancelled("registry", "the caller gave up"));
    const settled = (i: number, answer: T | null): void => {
      answers[i] = answer;
      left--;
      const over = left === 0 || (answer !== null && enough(answers));
      // A preferred one that failed may have been what the others waited for.
      if (!over && !(answer === null && enough(answers))) return;
      signal?.removeEventListener("abort", abort);
      if (failure !== undefined && answers.every((each) => each === null)) reject(failure.error);
      else resolve([...answers]);
    };
    signal?.addEventListener("abort", abort, { once: true });
    work.forEach((each, i) => {
      each.then(
        (value) => settled(i, value),
        (error: unknown) => {
          failure ??= { error };
          settled(i, null);
        },
      );
    });
  });
}
