import { canonicalName, isPerHop } from "./wire/headers.ts";

/** What is accepted wherever metadata is given. */
export type MetadataInit = Metadata | Readonly<Record<string, string>> | Iterable<readonly [string, string]>;

/**
 * Metadata of a call or message: text by name, names compared without case. `set` with an empty value keeps it (unlike Go's Set, which
 * deletes): use {@link Metadata.delete}. Iteration gives canonical names (`X-User-Id`), in order of first insertion.
 */
export class Metadata implements Iterable<[string, string]> {
  #entries: Map<string, [name: string, value: string]> | undefined;
  /** What it is to be made of when somebody looks. */
  #pristine: MetadataInit | undefined;

  /** A new Metadata with the entries of `init`. */
  static from(init?: MetadataInit): Metadata {
    const metadata = new Metadata();
    if (init !== undefined) metadata.merge(init);
    return metadata;
  }

  /** As `from`, but nothing is copied before it is looked at: `init` must not change until then. */
  static over(init: MetadataInit | undefined): Metadata {
    const metadata = new Metadata();
    metadata.#pristine = lasting(init);
    return metadata;
  }

  /** What `over` was given, as long as nobody has looked; an engine may read that instead. */
  get pristine(): MetadataInit | undefined {
    return this.#pristine;
  }

  get #map(): Map<string, [name: string, value: string]> {
    if (this.#entries === undefined) {
      this.#entries = new Map();
      const init = this.#pristine;
      this.#pristine = undefined;
      if (init !== undefined) this.merge(init);
    }
    return this.#entries;
  }

  get size(): number {
    return this.#map.size;
  }

  get(name: string): string | undefined {
    return this.#map.get(name.toLowerCase())?.[1];
  }

  has(name: string): boolean {
    return this.#map.has(name.toLowerCase());
  }

  set(name: string, value: string): this {
    this.#map.set(name.toLowerCase(), [name, value]);
    return this;
  }

  delete(name: string): boolean {
    return this.#map.delete(name.toLowerCase());
  }

  /** Sets every entry of `init` here; later ones win. */
  merge(init: MetadataInit): this {
    if (init instanceof Metadata) for (const [key, entry] of init.#map) this.#map.set(key, entry);
    else if (Symbol.iterator in init)
      for (const [name, value] of init as Iterable<readonly [string, string]>) this.set(name, value);
    else for (const [name, value] of Object.entries(init)) this.set(name, value);
    return this;
  }

  copy(): Metadata {
    return Metadata.from(this);
  }

  /**
   * What a handler's metadata hands to the calls it makes: everything but per-hop headers (wire spec appendix A) and `Authorization`,
   * which flows only when it is passed on purpose.
   */
  forwarded(): Metadata {
    const out = new Metadata();
    for (const [key, entry] of this.#map) if (key !== "authorization" && !isPerHop(key)) out.#map.set(key, entry);
    return out;
  }

  *[Symbol.iterator](): Iterator<[string, string]> {
    for (const [name, value] of this.#map.values()) yield [canonicalName(name), value];
  }

  /** Entries in the spelling they were given, for envelopes that keep case. */
  *original(): IterableIterator<[string, string]> {
    for (const [name, value] of this.#map.values()) yield [name, value];
  }

  /** A plain object with canonical names. */
  toObject(): Record<string, string> {
    const out: Record<string, string> = Object.create(null) as Record<string, string>;
    for (const [name, value] of this) out[name] = value;
    return out;
  }

  toJSON(): Record<string, string> {
    return { ...this.toObject() };
  }
}

/** `init`, or what it gives when that is an iterator, which can be read once alone: a retry reads it again. */
export function lasting(init: MetadataInit | undefined): MetadataInit | undefined {
  return typeof (init as { next?: unknown } | undefined)?.next === "function" ? Metadata.from(init) : init;
}

/** What a handler adds to its reply: before its first message, and behind its last. Made when somebody asks. */
export class ResponseMetadata {
  #header: Metadata | undefined;
  #trailer: Metadata | undefined;

  get header(): Metadata {
    return (this.#header ??= new Metadata());
  }

  get trailer(): Metadata {
    return (this.#trailer ??= new Metadata());
  }

  /** Undefined when nobody asked for one, as in most calls. */
  get givenHeader(): Metadata | undefined {
    return this.#header;
  }

  get givenTrailer(): Metadata | undefined {
    return this.#trailer;
  }
}
