import type { FlatBody } from "../flat-body.ts";
import { latin1Write, utf8Write } from "../utf8.ts";
import { eight, getterOf, octets, odd, type Kind } from "./reader.ts";

const smallest = 1024;
/** A larger buffer is not kept. */
const largest = 512 << 10;
/** The length of a text of so many characters is one byte. */
const short = 42;

/** What Protobuf messages are made of, written into a buffer that is used again. Throws `odd`. */
export class Writer implements FlatBody {
  bytes: Buffer = Buffer.allocUnsafeSlow(smallest);
  length = 0;

  clear(): void {
    this.length = 0;
    if (this.bytes.length > largest) this.bytes = Buffer.allocUnsafeSlow(smallest);
  }

  varint(value: number): void {
    if (value > 127) return this.long(value, 0);
    this.room(1);
    this.bytes[this.length++] = value;
  }

  long(low: number, high: number): void {
    this.room(10);
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

  data(value: unknown): void {
    if (!(value instanceof Uint8Array)) throw odd;
    this.varint(value.length);
    this.raw(value);
  }

  raw(value: Uint8Array): void {
    const { length } = value;
    this.room(length);
    this.bytes.set(value, this.length);
    this.length += length;
  }

  text(value: unknown): void {
    if (typeof value !== "string") throw odd;
    const n = value.length;
    if (n <= short) {
      this.room(1 + n * 3);
      const from = this.length + 1;
      this.length = utf8Write(this.bytes, value, from);
      this.bytes[from - 1] = this.length - from;
      return;
    }
    const size = Buffer.byteLength(value);
    this.varint(size);
    this.room(size);
    (size === n ? latin1Write : utf8Write)(this.bytes, value, this.length);
    this.length += size;
  }

  /** Begins what has its length before it; {@link close} wants what this gives. */
  open(): number {
    this.room(1);
    return ++this.length;
  }

  close(from: number): void {
    const size = this.length - from;
    if (size < 128) {
      this.bytes[from - 1] = size;
      return;
    }
    let more = 0;
    for (let rest = size; rest > 127; rest >>>= 7) more++;
    this.room(more);
    this.bytes.copyWithin(from + more, from, this.length);
    this.length = from - 1;
    this.varint(size);
    this.length += size;
  }

  room(more: number): void {
    const need = this.length + more;
    if (need <= this.bytes.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(need, this.bytes.length * 2));
    this.bytes.copy(larger, 0, 0, this.length);
    this.bytes = larger;
  }
}

type Scalar = readonly [wireType: number, write: (w: Writer, value: unknown) => void];
type Set = (this: DataView, at: number, value: unknown, littleEndian: boolean) => void;

/** Puts a number of this kind into {@link eight}. */
function setterOf(kind: Kind): (value: unknown) => void {
  const set = eight[`set${kind}`] as Set;
  const get = getterOf(kind);
  return (value) => {
    set.call(eight, 0, value, true);
    const is = get();
    if (Object.is(is, value)) return;
    // The nearest one of 32 bits.
    if (kind !== "Float32" || typeof value !== "number" || Math.abs(is as number) === Infinity) throw odd;
  };
}

function fixed(kind: Kind): Scalar {
  const size = Number(kind.slice(-2)) / 8;
  const set = setterOf(kind);
  return [
    size === 8 ? 1 : 5,
    (w, value) => {
      set(value);
      w.room(size);
      for (let i = 0; i < size; i++) w.bytes[w.length++] = octets[i] as number;
    },
  ];
}

/** A varint of 64 bits. */
function long(kind: Kind, zigzag = false): Scalar {
  const set = setterOf(kind);
  return [
    0,
    (w, value) => {
      set(value);
      if (zigzag) eight.setBigInt64(0, ((value as bigint) << 1n) ^ ((value as bigint) >> 63n), true);
      w.long(eight.getInt32(0, true), eight.getInt32(4, true));
    },
  ];
}

function int32(value: unknown): number {
  if (((value as number) | 0) !== value) throw odd;
  return value;
}

/** By ScalarType. */
export const writers: Readonly<Record<number, Scalar>> = {
  1: fixed("Float64"),
  2: fixed("Float32"),
  3: long("BigInt64"),
  4: long("BigUint64"),
  5: [0, (w, value) => (int32(value) < 0 ? w.long(value as number, -1) : w.varint(value as number))],
  6: fixed("BigUint64"),
  7: fixed("Uint32"),
  8: [
    0,
    (w, value) => {
      if (typeof value !== "boolean") throw odd;
      w.varint(value ? 1 : 0);
    },
  ],
  9: [2, (w, value) => w.text(value)],
  12: [2, (w, value) => w.data(value)],
  13: [
    0,
    (w, value) => {
      if ((value as number) >>> 0 !== value) throw odd;
      w.varint(value);
    },
  ],
  15: fixed("Int32"),
  16: fixed("BigInt64"),
  17: [0, (w, value) => w.varint(((int32(value) << 1) ^ (int32(value) >> 31)) >>> 0)],
  18: long("BigInt64", true),
};
