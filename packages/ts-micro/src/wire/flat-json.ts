import type { FlatBody } from "./flat-body.ts";
import { plainEnd, special } from "./plain.ts";
import { knownAscii, latin1Slice, utf8Write } from "./utf8.ts";

/**
 * JSON of flat objects (`{"name":"Ada","n":3}`), which most requests and replies are, straight from and to bytes: for them the way over a
 * string and JSON.parse costs more than all the rest of a call. Whatever is not flat and plain ASCII is left to JSON itself, and so is
 * what has many members, for which it takes less time.
 */

const flat: FlatBody = { bytes: Buffer.allocUnsafeSlow(1024), length: 0 };
/** Longest body that is written or read. */
const most = 256 << 10;
/** Most members that are written. To count them asks for the keys once more, of which a proxy is told. */
const few = 16;
/** Most that is read behind, or without, one long string at the beginning. */
const longest = 128;
/** Strings of at least this length are written by the system. */
const long = 48;

let busy = false;

/**
 * Exactly what JSON.stringify gives, or undefined when the value is left to it. A getter that encodes something itself finds the buffer in
 * use, and what it throws is JSON's to throw.
 */
export function encodeFlat(value: unknown, descriptor?: object): FlatBody | undefined {
  if (busy || descriptor !== undefined || typeof value !== "object" || value === null) return undefined;
  busy = true;
  try {
    return write(value as Readonly<Record<string, unknown>>);
  } catch {
    return undefined;
  } finally {
    busy = false;
  }
}

function write(object: Readonly<Record<string, unknown>>): FlatBody | undefined {
  // JSON writes the own members of whatever has this constructor (a boxed primitive made to look so aside). Asking for the prototype is slow.
  if (object["constructor"] !== Object || Array.isArray(object)) return undefined;
  if (typeof object["toJSON"] === "function") return undefined;
  let members = 0;
  for (const _ in object) if (++members > few) return undefined;
  let at = 0;
  for (const key in object) {
    // Free in such a loop; Object.hasOwn is not.
    if (!Object.prototype.hasOwnProperty.call(object, key)) continue;
    const member = object[key];
    flat.bytes[at] = at === 0 ? 0x7b : 0x2c;
    at = writeString(at + 1, key);
    if (at < 0) return undefined;
    flat.bytes[at++] = 0x3a;
    if (typeof member === "string") at = writeString(at, member);
    else if (typeof member === "number" && member - member === 0) at = writePlain(at, `${member}`);
    else if (typeof member === "boolean") at = writePlain(at, member ? "true" : "false");
    else if (member === null) at = writePlain(at, "null");
    else return undefined;
    if (at < 0) return undefined;
  }
  if (at === 0) flat.bytes[at++] = 0x7b;
  flat.bytes[at++] = 0x7d;
  flat.length = at;
  return flat;
}

/** In quotes; where it ends, -1 when it is too long or needs escapes. */
function writeString(from: number, text: string): number {
  const n = text.length;
  let at = from;
  if (!room(at, n)) return -1;
  const { bytes } = flat;
  bytes[at++] = 0x22;
  if (n >= long) {
    // More bytes than characters, or less where there was no room for them, and it is not ASCII.
    if (utf8Write(bytes, text, at) !== at + n || plainEnd(bytes, at, at + n) !== at + n) return -1;
    at += n;
  } else {
    for (let i = 0; i < n; i++) {
      const c = text.charCodeAt(i);
      if (special(c)) return -1;
      bytes[at++] = c;
    }
  }
  bytes[at++] = 0x22;
  return at;
}

function writePlain(from: number, text: string): number {
  const n = text.length;
  if (!room(from, n)) return -1;
  for (let i = 0; i < n; i++) flat.bytes[from + i] = text.charCodeAt(i);
  return from + n;
}

/** Room for a text of `n` bytes and what stands between two of them; false when that is too much. */
function room(at: number, n: number): boolean {
  const need = at + n + 8;
  if (need <= flat.bytes.length) return true;
  if (need > most) return false;
  const larger = Buffer.allocUnsafeSlow(Math.min(most, Math.max(need, flat.bytes.length * 2)));
  flat.bytes.copy(larger, 0, 0, at);
  flat.bytes = larger;
  return true;
}

/** Keys seen before, each at a place of its own: reading one again makes no string. */
const keys: (string | undefined)[] = Array.from({ length: 256 }, () => undefined);

/** Exactly what JSON.parse gives for `bytes[from, to)`, or undefined when the text is left to it. A newline may follow. */
export function decodeFlat(
  bytes: Buffer,
  from: number,
  to: number,
  descriptor?: object,
): Record<string, unknown> | undefined {
  let end = to;
  if (end - from > most || descriptor !== undefined) return undefined;
  if (bytes[end - 1] === 0x0a) end--;
  if (end - from < 2 || bytes[from] !== 0x7b || bytes[end - 1] !== 0x7d) return undefined;
  // Ends with something nested: not to be found out at the end of a long string.
  const last = bytes[end - 2];
  if (last === 0x7d || last === 0x5d) return undefined;
  const out: Record<string, unknown> = {};
  let at = from + 1;
  if (at === end - 1) return out;
  for (;;) {
    if (bytes[at] !== 0x22) return undefined;
    const keyEnd = stringEnd(bytes, at + 1, end);
    if (keyEnd < 0 || bytes[keyEnd + 1] !== 0x3a) return undefined;
    const key = keyOf(bytes, at + 1, keyEnd);
    if (key === undefined) return undefined;
    at = keyEnd + 2;
    const c = bytes[at] as number;
    if (c === 0x22) {
      const valueEnd = stringEnd(bytes, at + 1, end);
      if (valueEnd < 0 || end - valueEnd > longest) return undefined;
      out[key] = (valueEnd - at > 17 ? latin1Slice : knownAscii)(bytes, at + 1, valueEnd);
      at = valueEnd + 1;
    } else if (end - at > longest) return undefined;
    else if (c >= 0x30 && c <= 0x39) {
      let n = c - 0x30;
      const first = at++;
      for (let d = bytes[at] as number; d >= 0x30 && d <= 0x39; d = bytes[++at] as number) n = n * 10 + d - 0x30;
      if (at - first > 15 || (c === 0x30 && at - first > 1)) return undefined;
      out[key] = n;
    } else if (c === 0x74 && isWord(bytes, at, "true")) {
      out[key] = true;
      at += 4;
    } else if (c === 0x66 && isWord(bytes, at, "false")) {
      out[key] = false;
      at += 5;
    } else if (c === 0x6e && isWord(bytes, at, "null")) {
      out[key] = null;
      at += 4;
    } else return undefined;
    if (bytes[at] === 0x2c) at++;
    else return at === end - 1 ? out : undefined;
  }
}

/** Where the quote is that ends a string of plain characters; -1 for any other string. */
function stringEnd(bytes: Buffer, from: number, end: number): number {
  const at = plainEnd(bytes, from, end);
  return at < end && bytes[at] === 0x22 ? at : -1;
}

function keyOf(bytes: Buffer, from: number, to: number): string | undefined {
  const n = to - from;
  // `__proto__` is none of ours; an index would be an element.
  const first = bytes[from] as number;
  if (n === 0 || n > 64 || first === 0x5f || (first >= 0x30 && first <= 0x39)) return undefined;
  const place = (n * 31 + first * 7 + (bytes[to - 1] as number) * 3) & 255;
  const known = keys[place];
  if (known !== undefined && known.length === n) {
    let i = 0;
    while (i < n && known.charCodeAt(i) === bytes[from + i]) i++;
    if (i === n) return known;
  }
  const key = latin1Slice(bytes, from, to);
  // What is inherited may be frozen, and then cannot be set.
  return key in Object.prototype ? undefined : (keys[place] = key);
}

function isWord(bytes: Buffer, from: number, word: string): boolean {
  for (let i = 0; i < word.length; i++) if (bytes[from + i] !== word.charCodeAt(i)) return false;
  return true;
}
