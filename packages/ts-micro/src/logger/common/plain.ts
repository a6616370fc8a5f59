import { isMicroError } from "../../errors.ts";

const maxDepth = 8;
const maxItems = 1000;
const maxText = 64 * 1024;
const maxBytes = 256;
/** Of a whole record, in characters or so: objects that are reached by many paths are written for each of them. */
const maxRecord = 256 * 1024;
/** What a value counts beside its text. */
const perValue = 8;
const cut = "[…]";

/** A message and its fields as {@link PlainRecord.fields} are. */
export interface PlainRecord {
  readonly message: unknown;
  readonly fields: Readonly<Record<string, unknown>>;
}

/**
 * A record as something that JSON.stringify takes without throwing: errors with name, message, code, stack and cause, Map, Set, bigint,
 * bytes, invalid dates; circles, depth, length and what is too much for one record cut off and marked. A getter or `toJSON` that throws
 * becomes its message.
 */
export function plainRecord(message: unknown, fields: Readonly<Record<string, unknown>>): PlainRecord {
  const plain = new Plain();
  return { message: plain.value(message, [], 0), fields: plain.object(fields, [], 0) };
}

class Plain {
  #left = maxRecord;

  value(value: unknown, above: readonly object[], depth: number): unknown {
    if (this.#left <= 0) return cut;
    this.#left -= perValue;
    switch (typeof value) {
      case "string":
        return this.#text(value);
      case "number":
        return Number.isFinite(value) ? value : String(value);
      case "boolean":
      case "undefined":
        return value;
      case "object":
        break;
      case "function":
        return this.#text(`[function ${value.name}]`);
      default:
        return this.#text(String(value));
    }
    if (value === null) return null;
    if (above.includes(value)) return "[circular]";
    if (depth >= maxDepth) return cut;
    try {
      return this.#content(value, [...above, value], depth + 1);
    } catch (error) {
      return this.#text(unreadable(error));
    }
  }

  object(value: object, above: readonly object[], depth: number): Record<string, unknown> {
    return this.#entries(Object.keys(value), (key) => read(value, key), above, depth);
  }

  #content(value: object, above: readonly object[], depth: number): unknown {
    if (isError(value)) return this.#error(value, above, depth);
    if (value instanceof Date) return Number.isNaN(value.getTime()) ? "Invalid Date" : value.toISOString();
    if (ArrayBuffer.isView(value)) return plainBytes(value);
    if (value instanceof RegExp || value instanceof URL) return this.#text(String(value));
    if (value instanceof Map) return this.#entries(value.keys(), (key) => value.get(key) as unknown, above, depth);
    if (value instanceof Set || Array.isArray(value)) return this.#list(value, above, depth);
    const json = (value as { toJSON?: unknown }).toJSON;
    if (typeof json === "function") return this.value(json.call(value), above, depth);
    return this.object(value, above, depth);
  }

  /**
   * Name, message, and what makes it specific: code, errno, status, id, detail, attempts … Of objects that hang on it, errors alone: others
   * (the request and its headers, with HTTP clients) hold what nobody asked to log.
   */
  #error(error: Error, above: readonly object[], depth: number): Record<string, unknown> {
    const { name, message, stack, cause } = error;
    const { errors } = error as Partial<AggregateError>;
    const out = bare(error, { name, message });
    if (typeof stack === "string") out["stack"] = stack;
    if (cause !== undefined) out["cause"] = bared(cause);
    if (Array.isArray(errors)) out["errors"] = errors.map(bared);
    return this.object(out, above, depth);
  }

  #list(items: Iterable<unknown>, above: readonly object[], depth: number): unknown[] {
    const out: unknown[] = [];
    for (const item of items) {
      if (out.length >= maxItems || this.#left <= 0) {
        out.push(cut);
        break;
      }
      out.push(this.value(item, above, depth) ?? null);
    }
    return out;
  }

  #entries<K>(
    keys: Iterable<K>,
    get: (key: K) => unknown,
    above: readonly object[],
    depth: number,
  ): Record<string, unknown> {
    const out: Record<string, unknown> = {};
    let count = 0;
    for (const key of keys) {
      if (count++ >= maxItems || this.#left <= 0) {
        out["…"] = cut;
        break;
      }
      const name =
        typeof key === "object" && key !== null
          ? JSON.stringify(this.value(key, above, depth))
          : this.#text(String(key));
      const value = this.value(get(key), above, depth);
      if (name === "__proto__") Object.defineProperty(out, name, { value, enumerable: true });
      else out[name] = value;
    }
    return out;
  }

  #text(text: string): string {
    const most = Math.max(0, Math.min(maxText, this.#left));
    this.#left -= text.length;
    return text.length > most ? `${text.slice(0, most)}… (${text.length} characters)` : text;
  }
}

/** A field, or of a getter that throws what it says. */
export function read(value: object, key: string): unknown {
  try {
    return (value as Record<string, unknown>)[key];
  } catch (error) {
    return unreadable(error);
  }
}

function unreadable(error: unknown): string {
  return `[unreadable: ${error instanceof Error ? error.message : typeof error}]`;
}

function isError(value: unknown): value is Error {
  return value instanceof Error || isMicroError(value);
}

/** What hangs on an error: of plain data its fields, of any other object the name. */
function bared(value: unknown): unknown {
  if (typeof value !== "object" || value === null || isLeaf(value)) return value;
  const { constructor } = value;
  return constructor === Object || constructor === undefined ? bare(value) : `[${constructor.name}]`;
}

/** The fields of an object that are no objects themselves, errors and dates apart. */
function bare(value: object, out: Record<string, unknown> = {}): Record<string, unknown> {
  for (const key of Object.keys(value)) {
    const field = read(value, key);
    if (isLeaf(field)) out[key] = field;
  }
  return out;
}

function isLeaf(value: unknown): boolean {
  if (typeof value !== "object") return typeof value !== "function";
  return value === null || value instanceof Date || isError(value);
}

function plainBytes(view: ArrayBufferView): string {
  const bytes = Buffer.from(view.buffer, view.byteOffset, view.byteLength);
  const hex = bytes.subarray(0, maxBytes).toString("hex");
  return bytes.length > maxBytes ? `${hex}… (${bytes.length} bytes)` : hex;
}
