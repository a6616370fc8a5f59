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
  #pristine: Taken | undefined;

  /** A new Metadata with the entries of `init`. @throws MicroError BAD_REQUEST as `set` */
  static from(init?: MetadataInit): Metadata {
    const metadata = new Metadata();
    if (init !== undefined) metadata.merge(init);
    return metadata;
  }

  /** As `from`, but nothing is copied before it is looked at. */
  static over(init: Taken | undefined): Metadata {
    const metadata = new Metadata();
    metadata.#pristine = init;
    return metadata;
  }

  /** What `over` was given, as long as nobody has looked; an engine may read that instead. */
  get pristine(): Taken | undefined {
    return this.#pristine;
  }

  /** What came over a wire: of what other wires cannot carry each run of characters becomes a space. */
  static received(init: Readonly<Record<string, string>> | Iterable<readonly [string, string]>): Metadata {
    const metadata = new Metadata();
    for (const [name, value] of isIterable(init) ? init : Object.entries(init))
      metadata.#put(clean(name), clean(value));
    return metadata;
  }

  #map(): Map<string, [name: string, value: string]> {
    if (this.#entries === undefined) {
      this.#entries = new Map();
      const init = this.#pristine;
      this.#pristine = undefined;
      if (init !== undefined) this.merge(init);
    }
    return this.#entries;
  }

  get size(): number {
    return this.#map().size;
  }

  get(name: string): string | undefined {
    return this.#map().get(name.toLowerCase())?.[1];
  }

  has(name: string): boolean {
    return this.#map().has(name.toLowerCase());
  }

  /** @throws MicroError BAD_REQUEST for a name or value that is no text, or has a line end or zero byte in it */
  set(name: string, value: string): this {
    fit(name, value);
    return this.#put(name, value);
  }

  #put(name: string, value: string): this {
    this.#map().set(name.toLowerCase(), [name, value]);
    return this;
  }

  delete(name: string): boolean {
    return this.#map().delete(name.toLowerCase());
  }

  /** Sets every entry of `init` here; later ones win. */
  merge(init: MetadataInit): this {
    if (init instanceof Metadata) for (const [key, entry] of init.#map()) this.#map().set(key, entry);
    else if (init instanceof Snapshot) for (const [name, value] of init) this.#put(name, value);
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
    for (const [key, entry] of this.#map()) if (key !== "authorization" && !isPerHop(key)) out.#map().set(key, entry);
    return out;
  }

  *[Symbol.iterator](): Iterator<[string, string]> {
    for (const [name, value] of this.#map().values()) yield [canonicalName(name), value];
  }

  /** Entries in the spelling they were given, for envelopes that keep case. */
  *original(): IterableIterator<[string, string]> {
    for (const [name, value] of this.#map().values()) yield [name, value];
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

/** A plain object as it was when it was found fit, and what a wire made of it. Most callers give the same one again. */
export class Snapshot implements Iterable<[string, string]> {
  readonly names: readonly string[];
  readonly values: readonly string[];
  block: string | undefined = undefined;

  /** @throws as {@link fitToSend} */
  constructor(object: Readonly<Record<string, string>>) {
    this.names = Object.keys(object);
    this.values = this.names.map((name) => {
      const value = object[name];
      fit(name, value);
      return value as string;
    });
  }

  *[Symbol.iterator](): Iterator<[string, string]> {
    for (let n = 0; n < this.names.length; n++) yield [this.names[n] as string, this.values[n] as string];
  }

  isOf(object: Readonly<Record<string, string>>): boolean {
    const { names, values } = this;
    let n = 0;
    for (const name in object) {
      if (names[n] !== name || values[n] !== object[name]) return false;
      n++;
    }
    return n === names.length;
  }
}

/** Metadata that its caller can change no more. */
export type Taken = Metadata | Snapshot;

const snapshots = new WeakMap<object, Snapshot>();
let lastObject: object | undefined;
let last: Snapshot | undefined;

/**
 * `init` as it is now, if wires carry it.
 * @throws MicroError BAD_REQUEST for what is no text, or has a line end or zero byte in it
 */
export function fitToSend(init: MetadataInit): Taken;
export function fitToSend(init: MetadataInit | undefined): Taken | undefined;
export function fitToSend(init: MetadataInit | undefined): Taken | undefined {
  if (init === undefined || init instanceof Snapshot) return init;
  if (init instanceof Metadata || isIterable(init)) return Metadata.from(init);
  const known = init === lastObject ? last : snapshots.get(init);
  if (known?.isOf(init) === true) {
    lastObject = init;
    return (last = known);
  }
  const taken = new Snapshot(init);
  snapshots.set(init, taken);
  lastObject = init;
  return (last = taken);
}

function isIterable(init: MetadataInit): init is Iterable<readonly [string, string]> {
  if (typeof init !== "object" || init === null)
    throw unfit(typeof init === "object" ? "null" : typeof init, "give an object, pairs, or Metadata");
  return Symbol.iterator in init;
}

const unsendable = /[\r\n\0]/;
const allUnsendable = /[\r\n\0]+/g;

function fit(name: unknown, value: unknown): void {
  if (typeof name !== "string") throw unfit("a name", `${typeof name}, not text`);
  if (typeof value !== "string") throw unfit(JSON.stringify(name), `${kindOf(value)}, not text`);
  if (unsendable.test(value) || unsendable.test(name))
    throw unfit(JSON.stringify(name.slice(0, 80)), "a line end or zero byte in it");
}

function clean(text: string): string {
  return unsendable.test(text) ? text.replace(allUnsendable, " ") : text;
}

function kindOf(value: unknown): string {
  return value === null ? "null" : Array.isArray(value) ? "an array" : typeof value;
}

function unfit(what: string, why: string): Error {
  return errors.badRequest("ts.micro.metadata", `metadata: ${what}: ${why}`);
}

/** Most of what a handler may add as headers, and as trailers, in bytes as HPACK counts: past what peers take nghttp2 says that the call did not run. */
const mostAdded = 16 * 1024;

class AddedMetadata extends Metadata {
  #bytes = 0;

  /** @throws MicroError RESOURCE_EXHAUSTED too, for more than replies carry */
  override set(name: string, value: string): this {
    fit(name, value);
    const bytes = this.#bytes - bytesOf(name, this.get(name)) + bytesOf(name, value);
    if (bytes > mostAdded) {
      const detail = `the handler added ${bytes} bytes to the head or the end of its reply: ${mostAdded} are the limit`;
      throw errors.resourceExhausted("go.micro.server", detail);
    }
    super.set(name, value);
    this.#bytes = bytes;
    return this;
  }

  override merge(init: MetadataInit): this {
    for (const [name, value] of Metadata.from(init).original()) this.set(name, value);
    return this;
  }

  override delete(name: string): boolean {
    this.#bytes -= bytesOf(name, this.get(name));
    return super.delete(name);
  }
}

function bytesOf(name: string, value: string | undefined): number {
  return value === undefined ? 0 : name.length + Buffer.byteLength(value) + 32;
}

/** What a handler adds to its reply: before its first message, and behind its last. Made when somebody asks. */
export class ResponseMetadata {
  #header: Metadata | undefined;
  #trailer: Metadata | undefined;

  get header(): Metadata {
    return (this.#header ??= new AddedMetadata());
  }

  get trailer(): Metadata {
    return (this.#trailer ??= new AddedMetadata());
  }

  /** Undefined when nobody asked for one, as in most calls. */
  get givenHeader(): Metadata | undefined {
    return this.#header;
  }

  get givenTrailer(): Metadata | undefined {
    return this.#trailer;
  }
}
