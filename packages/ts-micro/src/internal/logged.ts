/** What was thrown as a field of a log record. Of what is no error the message says all: a request or a response that is thrown holds its headers. */
export function thrown(cause: unknown): { readonly error?: Error } {
  return cause instanceof Error ? { error: cause } : {};
}

const seen = new WeakSet<object>();

/** Remembers that `error` was logged, for whoever hears of it after. */
export function logged(error: object): void {
  seen.add(error);
}

export function isLogged(error: object): boolean {
  return seen.has(error);
}
