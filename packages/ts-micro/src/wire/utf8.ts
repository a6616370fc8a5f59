// What Buffer's own methods come down to; calling them directly saves the argument handling, a third of the cost of a short string.
interface Direct {
  utf8Write(text: string, at: number): number;
  utf8Slice(from: number, to: number): string;
  latin1Slice(from: number, to: number): string;
  latin1Write(text: string, at: number): number;
}

const direct = ["utf8Write", "utf8Slice", "latin1Slice", "latin1Write"].every((name) => name in Buffer.prototype);

/** Writes `text` as UTF-8 at `at` and returns where it ends. Needs room for three bytes a character; with less it may stop before the end. */
export function utf8Write(bytes: Buffer, text: string, at: number): number {
  const n = text.length;
  if (n < 48) {
    let to = at;
    for (let i = 0; i < n; i++) {
      const c = text.charCodeAt(i);
      if (c > 127) return at + write(bytes, text, at);
      bytes[to++] = c;
    }
    return to;
  }
  return at + write(bytes, text, at);
}

function write(bytes: Buffer, text: string, at: number): number {
  return direct ? (bytes as unknown as Direct).utf8Write(text, at) : bytes.write(text, at, "utf8");
}

/** The text of `bytes[from, to)`. What is no UTF-8 becomes U+FFFD. */
export function utf8Slice(bytes: Buffer, from: number, to: number): string {
  return direct ? (bytes as unknown as Direct).utf8Slice(from, to) : bytes.toString("utf8", from, to);
}

/** Of bytes that are there. */
const characters = String.fromCharCode as (...codes: (number | undefined)[]) => string;

/** The text of a few bytes, at half the cost of {@link utf8Slice}; undefined when one of them is not ASCII. */
export function asciiSlice(b: Buffer, from: number, to: number): string | undefined {
  for (let i = from; i < to; i++) if ((b[i] as number) > 127) return undefined;
  return knownAscii(b, from, to);
}

/** As {@link asciiSlice}, of bytes that were looked at. */
export function knownAscii(b: Buffer, from: number, to: number): string {
  let i = from;
  if (to - i < 8) return few(b, i, to - i);
  let text = "";
  for (; to - i > 7; i += 8)
    text += characters(b[i], b[i + 1], b[i + 2], b[i + 3], b[i + 4], b[i + 5], b[i + 6], b[i + 7]);
  return i === to ? text : text + few(b, i, to - i);
}

/** Less than eight characters in one step: adding them one by one makes a string each time. */
function few(b: Buffer, i: number, n: number): string {
  switch (n) {
    case 0:
      return "";
    case 1:
      return characters(b[i]);
    case 2:
      return characters(b[i], b[i + 1]);
    case 3:
      return characters(b[i], b[i + 1], b[i + 2]);
    case 4:
      return characters(b[i], b[i + 1], b[i + 2], b[i + 3]);
    case 5:
      return characters(b[i], b[i + 1], b[i + 2], b[i + 3], b[i + 4]);
    case 6:
      return characters(b[i], b[i + 1], b[i + 2], b[i + 3], b[i + 4], b[i + 5]);
    default:
      return characters(b[i], b[i + 1], b[i + 2], b[i + 3], b[i + 4], b[i + 5], b[i + 6]);
  }
}

/** Writes `text`, a byte a character. */
export function latin1Write(bytes: Buffer, text: string, at: number): void {
  if (direct) (bytes as unknown as Direct).latin1Write(text, at);
  else bytes.write(text, at, "latin1");
}

/** The text of `bytes[from, to)`, a character each. */
export function latin1Slice(bytes: Buffer, from: number, to: number): string {
  return direct ? (bytes as unknown as Direct).latin1Slice(from, to) : bytes.toString("latin1", from, to);
}

/** The 32 bits at `at`, big-endian; there must be four bytes. */
export function uint32(bytes: Uint8Array, at: number): number {
  return (
    (((bytes[at] as number) << 24) |
      ((bytes[at + 1] as number) << 16) |
      ((bytes[at + 2] as number) << 8) |
      (bytes[at + 3] as number)) >>>
    0
  );
}
