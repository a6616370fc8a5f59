import type { FlatBody } from "../flat-json.ts";
import { latin1Write, utf8Write } from "../utf8.ts";
import { odd } from "./reader.ts";

const smallest = 1024;
/** A buffer larger than this is not kept. */
const kept = 256 << 10;
/** Longer texts are written by the system. */
const long = 32;
const eight = new DataView(new ArrayBuffer(8));
const word = new Uint8Array(eight.buffer);

/** Fields of Protobuf messages, written one behind the other into a buffer that is used again. Throws `odd` for values of other types. */
export class Writer implements FlatBody {
  bytes: Buffer = Buffer.allocUnsafeSlow(smallest);
  length = 0;

  /** Forgets what was written. */
  clear(): void {
    this.length = 0;
    if (this.bytes.length > 2 * kept) this.bytes = Buffer.allocUnsafeSlow(smallest);
  }

  /** What was written, as bytes of the caller's own. */
  taken(): Uint8Array {
    const { bytes, length } = this;
    if (length > kept) {
      this.bytes = Buffer.allocUnsafeSlow(smallest);
      return new Uint8Array(bytes.buffer, 0, length);
    }
    const copy = new Uint8Array(length);
    bytes.copy(copy, 0, 0, length);
    return copy;
  }

  /** What was written; where it is small, until more is. */
  body(): FlatBody | Uint8Array {
    return this.length > kept ? this.taken() : this;
  }

  uint32(value: number): void {
    if (value >>> 0 !== value) throw odd;
    this.#room(5);
    this.#varint(value);
  }

  int32(value: number): void {
    if ((value | 0) !== value) throw odd;
    this.#room(10);
    if (value >= 0) this.#varint(value);
    else this.#long(value, -1);
  }

  sint32(value: number): void {
    if ((value | 0) !== value) throw odd;
    this.#room(5);
    this.#varint(((value << 1) ^ (value >> 31)) >>> 0);
  }

  bool(value: boolean): void {
    if (typeof value !== "boolean") throw odd;
    this.#room(1);
    this.bytes[this.length++] = value ? 1 : 0;
  }

  int64(value: bigint): void {
    signed(value);
    this.#room(10);
    this.#long(eight.getInt32(0, true), eight.getInt32(4, true));
  }

  uint64(value: bigint): void {
    unsigned(value);
    this.#room(10);
    this.#long(eight.getInt32(0, true), eight.getInt32(4, true));
  }

  sint64(value: bigint): void {
    signed(value);
    this.#room(10);
    const low = eight.getInt32(0, true);
    const high = eight.getInt32(4, true);
    const sign = high >> 31;
    this.#long((low << 1) ^ sign, ((high << 1) | (low >>> 31)) ^ sign);
  }

  fixed32(value: number): void {
    if (value >>> 0 !== value) throw odd;
    eight.setUint32(0, value, true);
    this.#fixed(4);
  }

  sfixed32(value: number): void {
    if ((value | 0) !== value) throw odd;
    eight.setInt32(0, value, true);
    this.#fixed(4);
  }

  fixed64(value: bigint): void {
    unsigned(value);
    this.#fixed(8);
  }

  sfixed64(value: bigint): void {
    signed(value);
    this.#fixed(8);
  }

  float(value: number): void {
    if (typeof value !== "number") throw odd;
    eight.setFloat32(0, value, true);
    if (Math.abs(eight.getFloat32(0, true)) === Infinity && Math.abs(value) !== Infinity) throw odd;
    this.#fixed(4);
  }

  double(value: number): void {
    if (typeof value !== "number") throw odd;
    eight.setFloat64(0, value, true);
    this.#fixed(8);
  }

  data(value: Uint8Array): void {
    if (!(value instanceof Uint8Array)) throw odd;
    this.uint32(value.length);
    this.raw(value);
  }

  raw(value: Uint8Array): void {
    const { length } = value;
    this.#room(length);
    this.bytes.set(value, this.length);
    this.length += length;
  }

  text(value: string): void {
    if (typeof value !== "string") throw odd;
    const n = value.length;
    if (n <= long) {
      this.#room(n + 1);
      const { bytes, length } = this;
      let at = length;
      bytes[at++] = n;
      let i = 0;
      for (; i < n; i++) {
        const c = value.charCodeAt(i);
        if (c > 127) break;
        bytes[at++] = c;
      }
      if (i === n) {
        this.length = at;
        return;
      }
    }
    const size = Buffer.byteLength(value);
    this.#room(5 + size);
    this.#varint(size);
    if (size === n) latin1Write(this.bytes, value, this.length);
    else utf8Write(this.bytes, value, this.length);
    this.length += size;
  }

  /** Begins something that has its length before it; {@link close} wants what this gives. */
  open(): number {
    this.#room(1);
    return ++this.length;
  }

  close(from: number): void {
    const size = this.length - from;
    if (size < 128) {
      this.bytes[from - 1] = size;
      return;
    }
    const more = size < 1 << 14 ? 1 : size < 1 << 21 ? 2 : size < 1 << 28 ? 3 : 4;
    this.#room(more);
    this.bytes.copyWithin(from + more, from, this.length);
    this.length = from - 1;
    this.#varint(size);
    this.length += size;
  }

  #varint(value: number): void {
    const { bytes } = this;
    let at = this.length;
    let rest = value;
    for (; rest > 127; rest >>>= 7) bytes[at++] = (rest & 127) | 128;
    bytes[at++] = rest;
    this.length = at;
  }

  #long(low: number, high: number): void {
    const { bytes } = this;
    let at = this.length;
    let l = low >>> 0;
    let h = high >>> 0;
    while (h > 0 || l > 127) {
      bytes[at++] = (l & 127) | 128;
      l = ((l >>> 7) | (h << 25)) >>> 0;
      h >>>= 7;
    }
    bytes[at++] = l;
    this.length = at;
  }

  #fixed(size: number): void {
    this.#room(size);
    for (let i = 0; i < size; i++) this.bytes[this.length++] = word[i] as number;
  }

  #room(more: number): void {
    const need = this.length + more;
    if (need <= this.bytes.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(need, this.bytes.length * 2));
    this.bytes.copy(larger, 0, 0, this.length);
    this.bytes = larger;
  }
}

function signed(value: bigint): void {
  if (typeof value !== "bigint") throw odd;
  eight.setBigInt64(0, value, true);
  if (eight.getBigInt64(0, true) !== value) throw odd;
}

function unsigned(value: bigint): void {
  if (typeof value !== "bigint") throw odd;
  eight.setBigUint64(0, value, true);
  if (eight.getBigUint64(0, true) !== value) throw odd;
}
