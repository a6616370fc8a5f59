import { isUtf8 } from "node:buffer";
import { asciiSlice, utf8Slice } from "../utf8.ts";

/** What a reader or writer throws of what it does not know: {@link Reader} of bytes that are no message. */
export const odd: Error = new Error("not in the form that is known");

const none = Buffer.alloc(0);
/** Nested messages and groups. */
const deepest = 100;
const eight = new DataView(new ArrayBuffer(8));

/**
 * Fields of Protobuf messages, read where they stand. It takes what protobuf-es takes: over-long varints up to ten bytes, and fields that
 * end behind their message's end, but not behind that of the whole. Throws {@link odd}.
 */
export class Reader {
  bytes: Buffer = none;
  at = 0;
  end = 0;
  depth = 0;
  /** Of the last {@link long}. */
  low = 0;
  high = 0;

  open(bytes: Buffer, from: number, to: number): void {
    this.bytes = bytes;
    this.at = from;
    this.end = to;
    this.depth = 0;
  }

  /** Lets go of the bytes. */
  close(): void {
    this.bytes = none;
  }

  enter(): void {
    if (++this.depth > deepest) throw odd;
  }

  /** Number of a field << 3 | its wire type. */
  tag(): number {
    const { at } = this;
    const first = this.bytes[at] as number;
    if (first > 7 && first < 128 && at < this.end && (first & 7) < 6) {
      this.at = at + 1;
      return first;
    }
    const tag = this.uint32();
    const length = this.at - at;
    if (length > 5 || (length === 5 && (this.bytes[at + 4] as number) > 15)) throw odd;
    if (tag < 8 || (tag & 7) > 5) throw odd;
    return tag;
  }

  /** The low 32 bits of a varint. */
  uint32(): number {
    const { bytes } = this;
    let { at } = this;
    let byte = bytes[at++] as number;
    let value = byte & 127;
    for (let shift = 7; byte > 127; shift += 7) {
      if (shift > 63) throw odd;
      byte = bytes[at++] as number;
      if (shift < 32) value |= (byte & 127) << shift;
    }
    this.#upTo(at);
    return value >>> 0;
  }

  int32(): number {
    return this.uint32() | 0;
  }

  sint32(): number {
    const value = this.uint32();
    return (value >>> 1) ^ -(value & 1);
  }

  bool(): boolean {
    this.long();
    return (this.low | this.high) !== 0;
  }

  /** A varint, whole. */
  long(): void {
    const { bytes } = this;
    let { at } = this;
    let low = 0;
    let high = 0;
    let byte: number;
    let shift = 0;
    do {
      if (shift > 63) throw odd;
      byte = bytes[at++] as number;
      const bits = byte & 127;
      if (shift < 32) low |= bits << shift;
      if (shift === 28) high = bits >> 4;
      else if (shift > 28) high |= bits << (shift - 32);
      shift += 7;
    } while (byte > 127);
    this.#upTo(at);
    this.low = low;
    this.high = high;
  }

  int64(): bigint {
    this.long();
    return signed(this.low, this.high);
  }

  uint64(): bigint {
    this.long();
    return unsigned(this.low, this.high);
  }

  sint64(): bigint {
    this.long();
    const { low, high } = this;
    const sign = -(low & 1);
    return signed(((low >>> 1) | (high << 31)) ^ sign, (high >>> 1) ^ sign);
  }

  fixed32(): number {
    return this.sfixed32() >>> 0;
  }

  sfixed32(): number {
    const { bytes, at } = this;
    this.#upTo(at + 4);
    return (
      (bytes[at] as number) |
      ((bytes[at + 1] as number) << 8) |
      ((bytes[at + 2] as number) << 16) |
      ((bytes[at + 3] as number) << 24)
    );
  }

  fixed64(): bigint {
    return unsigned(this.sfixed32(), this.sfixed32());
  }

  sfixed64(): bigint {
    return signed(this.sfixed32(), this.sfixed32());
  }

  float(): number {
    eight.setInt32(0, this.sfixed32(), true);
    return eight.getFloat32(0, true);
  }

  double(): number {
    eight.setInt32(0, this.sfixed32(), true);
    eight.setInt32(4, this.sfixed32(), true);
    return eight.getFloat64(0, true);
  }

  /** A copy. */
  data(): Uint8Array {
    const length = this.uint32();
    const from = this.at;
    this.#upTo(from + length);
    return this.#copy(from);
  }

  /** `strict`: what is no UTF-8 is refused, else it becomes U+FFFD. */
  text(strict: boolean): string {
    const { bytes } = this;
    const length = this.uint32();
    const from = this.at;
    const to = from + length;
    this.#upTo(to);
    const short = length > 16 ? undefined : asciiSlice(bytes, from, to);
    if (short !== undefined) return short;
    const text = utf8Slice(bytes, from, to);
    if (strict && text.includes("\ufffd") && !isUtf8(bytes.subarray(from, to))) throw odd;
    return text;
  }

  /** The value of a field that is not known, its bytes as they are. */
  unknown(tag: number): Uint8Array {
    const from = this.at;
    this.skip(tag, deepest - this.depth);
    return this.#copy(from);
  }

  /** `groups`: how many may stand in each other. */
  skip(tag: number, groups: number = deepest - this.depth): void {
    switch (tag & 7) {
      case 0:
        do if (this.at >= this.end) throw odd;
        while ((this.bytes[this.at++] as number) > 127);
        return;
      case 1:
        this.#upTo(this.at + 8);
        return;
      case 2: {
        const length = this.uint32();
        this.#upTo(this.at + length);
        return;
      }
      case 3: {
        if (groups <= 0) throw odd;
        for (;;) {
          const inner = this.tag();
          if ((inner & 7) !== 4) this.skip(inner, groups - 1);
          else if (inner >>> 3 === tag >>> 3) return;
          else throw odd;
        }
      }
      case 5:
        this.#upTo(this.at + 4);
        return;
      default:
        throw odd;
    }
  }

  #upTo(at: number): void {
    if (at > this.end) throw odd;
    this.at = at;
  }

  #copy(from: number): Uint8Array {
    const copy = new Uint8Array(this.at - from);
    this.bytes.copy(copy, 0, from, this.at);
    return copy;
  }
}

function signed(low: number, high: number): bigint {
  eight.setInt32(0, low, true);
  eight.setInt32(4, high, true);
  return eight.getBigInt64(0, true);
}

function unsigned(low: number, high: number): bigint {
  eight.setInt32(0, low, true);
  eight.setInt32(4, high, true);
  return eight.getBigUint64(0, true);
}
