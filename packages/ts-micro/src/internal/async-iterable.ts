export function isAsyncIterable(value: unknown): value is AsyncIterable<unknown> {
  return typeof value === "object" && value !== null && Symbol.asyncIterator in value;
}

const handed = new WeakSet<object>();

/** An iterator of `source`. One that was given before, as a generator gives itself, has lost what was read then: that is `consumed`. */
export function iterateOnce<T>(source: AsyncIterable<T>, consumed: () => Error): AsyncIterator<T> {
  const iterator = source[Symbol.asyncIterator]();
  if (handed.has(iterator)) throw consumed();
  handed.add(iterator);
  return iterator;
}
