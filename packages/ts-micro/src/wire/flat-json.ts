import { latin1Slice } from "./utf8.ts";

/**
 * JSON of small flat objects (`{"name":"Ada","n":3}`), which most requests and replies are, straight from and to bytes: for them the way
 * over a string and JSON.parse costs more than all the rest of a call. Whatever is not small, flat and plain ASCII is left to JSON itself.
 */

/** Bytes of a short body. There is one, written anew for each body: copy it at once. */
export interface ShortBody {
  readonly bytes: Buffer;
  length: number;
}

const size = 256;
const short: ShortBody = { bytes: Buffer.allocUnsafeSlow(size), length: 0 };
/** Longest text that is looked at. */
const longest = 128;
const hasOwn = Object.prototype.hasOwnProperty;

/** Exactly what JSON.stringify gives, or undefined when the value is left to it. */
export function encodeFlat(value: unknown): ShortBody | undefined {
  if (typeof value !== "object" || value === null || Object.getPrototypeOf(value) !== Object.prototype)
    return undefined;
  const { bytes } = short;
  const object = value as Readonly<Record<string, unknown>>;
  let at = 0;
  for (const key in object) {
    if (!hasOwn.call(object, key)) continue;
    const member = object[key];
    bytes[at] = at === 0 ? 0x7b : 0x2c;
    at = writeString(bytes, at + 1, key);
    if (at < 0) return undefined;
    bytes[at++] = 0x3a;
    if (typeof member === "string") at = writeString(bytes, at, member);
    else if (typeof member === "number" && member - member === 0) at = writePlain(bytes, at, `${member}`);
    else if (typeof member === "boolean") at = writePlain(bytes, at, member ? "true" : "false");
    else if (member === null) at = writePlain(bytes, at, "null");
    else return undefined;
    if (at < 0) return undefined;
  }
  if (at === 0) bytes[at++] = 0x7b;
  bytes[at++] = 0x7d;
  short.length = at;
  return short;
}

/** In quotes; where it ends, -1 when it is too long or needs escapes. Room is left for what stands between two strings. */
function writeString(bytes: Buffer, from: number, text: string): number {
  const n = text.length;
  let at = from;
  if (at + n > size - 8) return -1;
  bytes[at++] = 0x22;
  for (let i = 0; i < n; i++) {
    const c = text.charCodeAt(i);
    if (c < 0x20 || c > 0x7e || c === 0x22 || c === 0x5c) return -1;
    bytes[at++] = c;
  }
  bytes[at++] = 0x22;
  return at;
}

function writePlain(bytes: Buffer, from: number, text: string): number {
  const n = text.length;
  if (from + n > size - 8) return -1;
  for (let i = 0; i < n; i++) bytes[from + i] = text.charCodeAt(i);
  return from + n;
}

/** Keys seen before, each at a place of its own: reading one again makes no string. */
const keys: (string | undefined)[] = new Array<string | undefined>(256).fill(undefined);

/** Exactly what JSON.parse gives for `bytes[from, to)`, or undefined when the text is left to it. A newline may follow. */
export function decodeFlat(bytes: Buffer, from: number, to: number): Record<string, unknown> | undefined {
  let end = to;
  if (end - from > longest) return undefined;
  if (bytes[end - 1] === 0x0a) end--;
  if (end - from < 2 || bytes[from] !== 0x7b || bytes[end - 1] !== 0x7d) return undefined;
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
      if (valueEnd < 0) return undefined;
      out[key] = textOf(bytes, at + 1, valueEnd);
      at = valueEnd + 1;
    } else if (c >= 0x30 && c <= 0x39) {
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
    } else return undefined;
    if (bytes[at] === 0x2c) at++;
    else return at === end - 1 ? out : undefined;
  }
}

/** Where the quote is that ends a string of plain characters; -1 for any other string. */
function stringEnd(bytes: Buffer, from: number, end: number): number {
  for (let at = from; at < end; at++) {
    const c = bytes[at] as number;
    if (c === 0x22) return at;
    if (c < 0x20 || c > 0x7e || c === 0x5c) return -1;
  }
  return -1;
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
  return (keys[place] = latin1Slice(bytes, from, to));
}

function textOf(bytes: Buffer, from: number, to: number): string {
  const n = to - from;
  if (n > 6) return latin1Slice(bytes, from, to);
  let text = "";
  for (let at = from; at < to; at++) text += String.fromCharCode(bytes[at] as number);
  return text;
}

function isWord(bytes: Buffer, from: number, word: string): boolean {
  for (let i = 0; i < word.length; i++) if (bytes[from + i] !== word.charCodeAt(i)) return false;
  return true;
}
