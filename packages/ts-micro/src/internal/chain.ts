/** An entry of a {@link Chain}, which sets its links. */
export interface Linked<T> {
  previous: T | undefined;
  next: T | undefined;
}

/**
 * Entries that come and go by the thousand, the newest first. A Set makes a table anew every so often, and each of those keeps all that
 * was in it, and the next one, until the collector has marked everything: a kilobyte a call lived on.
 */
export class Chain<T extends Linked<T>> implements Iterable<T> {
  #newest: T | undefined;
  size = 0;

  enter(entry: T): void {
    const before = this.#newest;
    entry.previous = before;
    if (before !== undefined) before.next = entry;
    this.#newest = entry;
    this.size++;
  }

  /** Only for one that is in it. */
  leave(entry: T): void {
    const { previous, next } = entry;
    if (previous !== undefined) previous.next = next;
    if (next !== undefined) next.previous = previous;
    else this.#newest = previous;
    entry.previous = entry.next = undefined;
    this.size--;
  }

  *[Symbol.iterator](): Iterator<T> {
    for (let entry = this.#newest; entry !== undefined; entry = entry.previous) yield entry;
  }
}
