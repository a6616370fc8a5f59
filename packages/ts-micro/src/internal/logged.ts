/**
 * What was thrown as a field of a log record: an error, or of a literal what is no object itself. Of other objects the message says all: a
 * request or a response that is thrown holds its headers.
 */
export function thrown(cause: unknown): { readonly error?: Error; readonly thrown?: object } {
  if (cause instanceof Error) return { error: cause };
  if (typeof cause !== "object" || cause === null || Object.getPrototypeOf(cause) !== Object.prototype) return {};
  return { thrown: Object.fromEntries(Object.entries(cause).filter(([, value]) => Object(value) !== value)) };
}

const seen = new WeakSet<object>();

/** Remembers that `error` was logged, for whoever hears of it after. */
export function logged(error: object): void {
  seen.add(error);
}

export function isLogged(error: object): boolean {
  return seen.has(error);
}
