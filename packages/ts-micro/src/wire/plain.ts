/** So many bytes are looked at one by one: most strings end before. */
const near = 64;
/** Beyond it words have no place that fits 32 bits. */
const farthest = 2 ** 31 - 1;

/** Where in `bytes[from, to)` the first is that JSON escapes or that ends a string, or that is not ASCII; `to` where none is. */
export function plainEnd(bytes: Buffer, from: number, to: number): number {
  const soon = to - from > near ? from + near : to;
  const at = bytewise(bytes, from, soon);
  return at < soon || soon === to ? at : wordwise(bytes, soon, to);
}

/** The last buffer that was looked at by words: a client's connection reads into one, and what is written goes through one. */
let viewed: ArrayBufferLike | undefined;
let view: Int32Array<ArrayBufferLike> = new Int32Array(0);
/** Larger ones are let go. */
const kept = 1 << 18;

function viewOf(buffer: ArrayBufferLike): Int32Array<ArrayBufferLike> {
  const words = new Int32Array(buffer, 0, buffer.byteLength >> 2);
  if (buffer.byteLength > kept) return words;
  viewed = buffer;
  return (view = words);
}

/** A quote, with this bit turned, is next to the control characters: what then is below `control` is one of them. */
const turned = 0x02020202;
const control = 0x21212121;
const slash = 0x5c5c5c5c;
const one = 0x01010101;
const high = ~0x7f7f7f7f;

/** Sixteen bytes at a time: of each that is special, and perhaps of the one after, the high bit is set. In one piece, as V8 may leave a call as it is. */
function wordwise(bytes: Buffer, from: number, to: number): number {
  const { buffer, byteOffset } = bytes;
  if (byteOffset + to > farthest) return bytewise(bytes, from, to);
  const words = buffer === viewed ? view : viewOf(buffer);
  const aligned = from + (-(byteOffset + from) & 3);
  const at = bytewise(bytes, from, Math.min(aligned, to));
  if (at < aligned) return at;
  let word = (byteOffset + aligned) >> 2;
  for (const last = ((byteOffset + to) >> 2) - 4; word <= last; word += 4) {
    const a = words[word] as number;
    const b = words[word + 1] as number;
    const c = words[word + 2] as number;
    const d = words[word + 3] as number;
    const controls =
      ((a ^ turned) - control) | ((b ^ turned) - control) | ((c ^ turned) - control) | ((d ^ turned) - control);
    const slashes = ((a ^ slash) - one) | ((b ^ slash) - one) | ((c ^ slash) - one) | ((d ^ slash) - one);
    if (((controls | slashes | a | b | c | d) & high) !== 0) break;
  }
  return bytewise(bytes, (word << 2) - byteOffset, to);
}

function bytewise(bytes: Buffer, from: number, to: number): number {
  for (let at = from; at < to; at++) if (special(bytes[at] as number)) return at;
  return to;
}

/** Of a character as of a byte. */
export function special(c: number): boolean {
  return c < 0x20 || c > 0x7f || c === 0x22 || c === 0x5c;
}
