const seen = new WeakSet<object>();

/** Remembers that `error` was logged, for whoever hears of it after. */
export function logged(error: object): void {
  seen.add(error);
}

export function isLogged(error: object): boolean {
  return seen.has(error);
}
