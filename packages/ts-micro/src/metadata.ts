import { errors } from "./errors.ts";
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

  /** A new Metadata with the entries of `init`. @throws MicroError BAD_REQUEST for what is no text */
  static from(init?: MetadataInit): Metadata {
    const metadata = new Metadata();
    if (init !== undefined) metadata.merge(init);
    return metadata;
  }

  /** As `from`, but nothing is copied before it is looked at: `init`, which is {@link fitToSend}, must not change until then. */
  static over(init: MetadataInit | undefined): Metadata {
    const metadata = new Metadata();
    metadata.#pristine = init;
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

  /** @throws MicroError BAD_REQUEST for a name or value that is no text */
  set(name: string, value: string): this {
    check(name, value);
    this.#map.set(name.toLowerCase(), [name, value]);
    return this;
  }

  delete(name: string): boolean {
    return this.#map.delete(name.toLowerCase());
  }

  /** Sets every entry of `init` here; later ones win. */
  merge(init: MetadataInit): this {
    if (init instanceof Metadata) for (const [key, entry] of init.#map) this.#map.set(key, entry);
    else if (isIterable(init))
      for (const entry of init) {
        if (!Array.isArray(entry)) throw unfit("an entry", `${typeof entry}, not a pair of name and value`);
        this.set(entry[0], entry[1]);
      }
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

/**
 * `init`, if wires carry it: or what it gives when that is an iterator, which can be read once alone, and a retry reads it again.
 * @throws MicroError BAD_REQUEST for what is no text, or has a line end or zero byte in it
 */
export function fitToSend(init: MetadataInit): MetadataInit;
export function fitToSend(init: MetadataInit | undefined): MetadataInit | undefined;
export function fitToSend(init: MetadataInit | undefined): MetadataInit | undefined {
  if (init === undefined) return init;
  if (!(init instanceof Metadata) && !isIterable(init)) {
    const taken = taking(init);
    if (!isSame(init, taken)) remember(init);
    return init;
  }
  const metadata = init instanceof Metadata ? init : Metadata.from(init);
  for (const [name, value] of metadata.original()) fit(name, value);
  return metadata;
}

/** A plain object as it was when it was found fit, and what a wire made of it. Most callers give the same one again. */
export interface Snapshot {
  readonly names: readonly string[];
  readonly values: readonly string[];
  block: string | undefined;
}

const snapshots = new WeakMap<object, Snapshot>();
let lastObject: object | undefined;
let last: Snapshot | undefined;

/** Of a plain object that is {@link fitToSend}: as it was then. */
export function snapshotOf(object: Readonly<Record<string, string>>): Snapshot {
  return taking(object) ?? remember(object);
}

function taking(object: object): Snapshot | undefined {
  if (object !== lastObject) {
    lastObject = object;
    last = snapshots.get(object);
  }
  return last;
}

function remember(object: Readonly<Record<string, string>>): Snapshot {
  for (const name in object) fit(name, object[name]);
  last = { names: Object.keys(object), values: Object.values(object), block: undefined };
  lastObject = object;
  snapshots.set(object, last);
  return last;
}

function isSame(object: Readonly<Record<string, string>>, known: Snapshot | undefined): boolean {
  if (known === undefined) return false;
  const { names, values } = known;
  let n = 0;
  for (const name in object) {
    if (names[n] !== name || values[n] !== object[name]) return false;
    n++;
  }
  return n === names.length;
}

function isIterable(init: MetadataInit): init is Iterable<readonly [string, string]> {
  if (typeof init !== "object" || init === null)
    throw unfit(typeof init === "object" ? "null" : typeof init, "give an object, pairs, or Metadata");
  return Symbol.iterator in init;
}

const unsendable = /[\r\n\0]/;

function check(name: unknown, value: unknown): void {
  if (typeof name !== "string") throw unfit("a name", `${typeof name}, not text`);
  if (typeof value !== "string") throw unfit(JSON.stringify(name), `${kindOf(value)}, not text`);
}

function fit(name: string, value: unknown): void {
  check(name, value);
  if (unsendable.test(value as string) || unsendable.test(name))
    throw unfit(JSON.stringify(name.slice(0, 80)), "a line end or zero byte in it");
}

function kindOf(value: unknown): string {
  return value === null ? "null" : Array.isArray(value) ? "an array" : typeof value;
}

function unfit(what: string, why: string): Error {
  return errors.badRequest("ts.micro.metadata", `metadata: ${what}: ${why}`);
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
