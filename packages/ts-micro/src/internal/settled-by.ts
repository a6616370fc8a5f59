let resolving: ((value: unknown) => void) | undefined;
let rejecting: ((error: unknown) => void) | undefined;
/** One for all promises: V8 makes and looks up each executor anew otherwise. */
const executor = (resolve: (value: unknown) => void, reject: (error: unknown) => void): void => {
  resolving = resolve;
  rejecting = reject;
};

/** A promise settled by `of.resolve` and `of.reject`, which are set here. */
export function settledBy(of: {
  resolve: ((value: unknown) => void) | undefined;
  reject: ((error: unknown) => void) | undefined;
}): Promise<unknown> {
  const promise = new Promise(executor);
  of.resolve = resolving;
  of.reject = rejecting;
  resolving = rejecting = undefined;
  return promise;
}
