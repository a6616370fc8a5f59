import type { Clock } from "../clock.ts";

/** `work`, or what `late` says when it has not settled after `ms`, of which `Infinity` is none. What it still does is ignored. */
export async function within<T, L>(clock: Clock, ms: number, work: Promise<T>, late: () => L): Promise<T | L> {
  if (ms === Infinity) return work;
  let timer: unknown;
  const over = new Promise<void>((resolve) => (timer = clock.after(ms, resolve))).then(late);
  try {
    return await Promise.race([work, over]);
  } finally {
    clock.cancel(timer);
  }
}
