const least = 64;
/** Places that are kept once it is empty. */
const most = 8192;

/** A queue of values, each with a number, in an array that is used again. */
export class Ring {
  /** A value, then its number. */
  #places: unknown[] = [];
  #head = 0;
  count = 0;

  push(value: unknown, number: number): void {
    if (this.count * 2 === this.#places.length) this.#grow();
    const places = this.#places;
    const at = (this.#head + this.count++ * 2) & (places.length - 1);
    places[at] = value;
    places[at + 1] = number;
  }

  /** The number of the oldest value. */
  get number(): number {
    return this.#places[this.#head + 1] as number;
  }

  /** Takes the oldest value. There has to be one. */
  shift(): unknown {
    const places = this.#places;
    const value = places[this.#head];
    places[this.#head] = undefined;
    this.#head = (this.#head + 2) & (places.length - 1);
    if (--this.count === 0 && places.length > most) this.clear();
    return value;
  }

  clear(): void {
    this.#places = [];
    this.#head = this.count = 0;
  }

  #grow(): void {
    const old = this.#places;
    const places: unknown[] = Array.from({ length: Math.max(least, old.length * 2) });
    for (let i = 0; i < old.length; i++) places[i] = old[(this.#head + i) & (old.length - 1)];
    this.#places = places;
    this.#head = 0;
  }
}
