import { isUtf8 } from "node:buffer";
import { asciiSlice, utf8Slice } from "../utf8.ts";

/** Thrown of what is not as it is known here, be it wrong or only rare. */
export const odd: Error = new Error("not in a form that is known");

/** A number as its bytes. */
export const octets: Uint8Array = new Uint8Array(8);
export const eight: DataView = new DataView(octets.buffer);

/**
 * What Protobuf messages are made of, read where it stands. Takes nothing that protobuf-es does not take: that includes varints that are
 * longer than need be, and fields that end behind their own message, but not behind the whole. Throws {@link odd}.
 */
export class Reader {
  // Set by the constructor alone: there is one of these for every body.
  declare readonly bytes: Buffer;
  declare readonly end: number;
  declare at: number;
  /** How many messages it is in. */
  declare depth: number;
  /** What the last {@link long} has read. */
  declare low: number;
  declare high: number;

  constructor(bytes: Buffer, from: number, to: number) {
    this.bytes = bytes;
    this.end = to;
    this.at = from;
    this.depth = this.low = this.high = 0;
  }

  /** Number of a field << 3 | its wire type. */
  tag(): number {
    const from = this.at;
    const tag = this.uint32();
    const length = this.at - from;
    if (tag < 8 || (tag & 7) > 5 || (length > 4 && (length > 5 || (this.bytes[from + 4] as number) > 15))) throw odd;
    return tag;
  }

  /** The low 32 bits of a varint. */
  uint32(): number {
    const { bytes, at } = this;
    const first = bytes[at] as number;
    if (first < 128 && at < this.end) {
      this.at = at + 1;
      return first;
    }
    this.long();
    return this.low >>> 0;
  }

  /** A varint. */
  long(): void {
    const { bytes } = this;
    let { at } = this;
    let low = 0;
    let high = 0;
    let shift = 0;
    let byte: number;
    do {
      if (shift > 63 || at >= this.end) throw odd;
      byte = bytes[at++] as number;
      const bits = byte & 127;
      if (shift < 32) low |= bits << shift;
      if (shift > 31) high |= bits << (shift - 32);
      else if (shift === 28) high = bits >> 4;
      shift += 7;
    } while (byte > 127);
    this.at = at;
    this.low = low;
    this.high = high;
  }

  /** Goes over `length` bytes; where they begin. */
  pass(length: number): number {
    const from = this.at;
    if (from + length > this.end) throw odd;
    this.at = from + length;
    return from;
  }

  /** Where what has its length before it ends. */
  frame(): number {
    const length = this.uint32();
    return this.at + length;
  }

  /** A copy. */
  data(): Uint8Array {
    return this.#copy(this.pass(this.uint32()));
  }

  /** `strict`: what is no UTF-8 is refused, else it becomes U+FFFD. */
  text(strict: boolean): string {
    const { bytes } = this;
    const length = this.uint32();
    const from = this.pass(length);
    const short = length > 16 ? undefined : asciiSlice(bytes, from, this.at);
    if (short !== undefined) return short;
    const text = utf8Slice(bytes, from, this.at);
    if (strict && text.includes("\ufffd") && !isUtf8(bytes.subarray(from, this.at))) throw odd;
    return text;
  }

  /** A copy of the value of a field that is not known. */
  unknown(tag: number): Uint8Array {
    const from = this.at;
    const type = tag & 7;
    if (type === 0) this.long();
    else if (type === 2) this.pass(this.uint32());
    else if (type === 1 || type === 5) this.pass(type === 1 ? 8 : 4);
    else throw odd;
    return this.#copy(from);
  }

  #copy(from: number): Uint8Array {
    return new Uint8Array(this.bytes.subarray(from, this.at));
  }
}

type Scalar = (r: Reader) => unknown;
export type Kind = "Float32" | "Float64" | "Int32" | "Uint32" | "BigInt64" | "BigUint64";
type Get = (this: DataView, at: number, littleEndian: boolean) => unknown;

/** Takes a number of this kind from {@link eight}. */
export function getterOf(kind: Kind): () => unknown {
  const get: Get = eight[`get${kind}`];
  return () => get.call(eight, 0, true);
}

function fixed(kind: Kind): Scalar {
  const size = Number(kind.slice(-2)) / 8;
  const get = getterOf(kind);
  return (r) => {
    const from = r.pass(size);
    for (let i = 0; i < size; i++) octets[i] = r.bytes[from + i] as number;
    return get();
  };
}

/** A varint of 64 bits. */
function long(kind: Kind): Scalar {
  const get = getterOf(kind);
  return (r) => {
    r.long();
    eight.setInt32(0, r.low, true);
    eight.setInt32(4, r.high, true);
    return get();
  };
}

const unsigned = long("BigUint64") as (r: Reader) => bigint;

/** By ScalarType, all but string. */
export const readers: Readonly<Record<number, Scalar>> = {
  1: fixed("Float64"),
  2: fixed("Float32"),
  3: long("BigInt64"),
  4: unsigned,
  5: (r) => r.uint32() | 0,
  6: fixed("BigUint64"),
  7: fixed("Uint32"),
  8(r) {
    r.long();
    return (r.low | r.high) !== 0;
  },
  12: (r) => r.data(),
  13: (r) => r.uint32(),
  15: fixed("Int32"),
  16: fixed("BigInt64"),
  17(r) {
    const value = r.uint32();
    return (value >>> 1) ^ -(value & 1);
  },
  18(r) {
    const value = unsigned(r);
    return (value >> 1n) ^ -(value & 1n);
  },
};
