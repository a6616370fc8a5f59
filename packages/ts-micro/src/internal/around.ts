/** Something that may act before and after the rest of a chain. */
export type Around<C, R> = (call: C, next: (call: C) => Promise<R>) => Promise<R>;

/** `all` around `inner`, the first one outermost; built once, so that a call makes nothing for it. What one of them throws is a rejection. */
export function compile<C, R>(all: readonly Around<C, R>[], inner: (call: C) => Promise<R>): (call: C) => Promise<R> {
  return all.reduceRight<(call: C) => Promise<R>>(
    (next, one) => (call) => {
      try {
        const result = one(call, next);
        return result instanceof Promise ? result : Promise.resolve(result);
      } catch (error) {
        return Promise.reject(error as Error);
      }
    },
    inner,
  );
}
