const first = 64;

/**
 * Calls under way by id, which only grows. A ring, at the place that the id's low bits name; the few that find theirs taken by an older
 * one that takes long go to a map.
 */
export class Pending<T> {
  #ring: (T | undefined)[] = Array.from<T | undefined>({ length: first });
  #ids: number[] = Array.from({ length: first }, () => 0);
  #mask = first - 1;
  readonly #others = new Map<number, T>();
  size = 0;

  add(id: number, call: T): void {
    this.size++;
    if (this.size * 2 > this.#mask && this.#mask < 65_535) this.#grow();
    const at = id & this.#mask;
    if (this.#ring[at] === undefined) {
      this.#ring[at] = call;
      this.#ids[at] = id;
    } else this.#others.set(id, call);
  }

  /** The call, which is under way no longer; undefined when there is none of this id. */
  take(id: number): T | undefined {
    if (this.size === 0) return undefined;
    const at = id & this.#mask;
    const call = this.#ring[at];
    if (call !== undefined && this.#ids[at] === id) {
      this.#ring[at] = undefined;
      this.size--;
      return call;
    }
    if (this.#others.size === 0) return undefined;
    const other = this.#others.get(id);
    if (other !== undefined) {
      this.#others.delete(id);
      this.size--;
    }
    return other;
  }

  get(id: number): T | undefined {
    const at = id & this.#mask;
    return this.#ids[at] === id ? this.#ring[at] : this.#others.get(id);
  }

  *entries(): IterableIterator<[number, T]> {
    for (let at = 0; at <= this.#mask; at++) {
      const call = this.#ring[at];
      if (call !== undefined) yield [this.#ids[at] as number, call];
    }
    yield* this.#others;
  }

  #grow(): void {
    const all = [...this.entries()];
    this.#mask = this.#mask * 4 + 3;
    this.#ring = Array.from<T | undefined>({ length: this.#mask + 1 });
    this.#ids = Array.from({ length: this.#mask + 1 }, () => 0);
    this.#others.clear();
    for (const [id, call] of all) {
      const at = id & this.#mask;
      if (this.#ring[at] === undefined) {
        this.#ring[at] = call;
        this.#ids[at] = id;
      } else this.#others.set(id, call);
    }
  }
}
