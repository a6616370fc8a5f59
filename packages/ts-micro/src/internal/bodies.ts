import type { FlatBody } from "../wire/flat-body.ts";
import { utf8Slice } from "../wire/utf8.ts";

/** A `Codec`, as far as bodies without an envelope are concerned. */
interface BodyCodec<D> {
  encode(value: unknown, descriptor?: D): Uint8Array;
  decode(body: Uint8Array, descriptor?: D): unknown;
  encodeText?(value: unknown, descriptor?: D): string;
  decodeText?(text: string, descriptor?: D): unknown;
  encodeFlat?(value: unknown, descriptor?: D): FlatBody | Uint8Array | undefined;
  decodeFlat?(bytes: Buffer, from: number, to: number, descriptor?: D): unknown;
}

/** The value of a body that stands in a buffer which is used again. */
export function decodeBody<D>(
  codec: BodyCodec<D>,
  descriptor: D | undefined,
  bytes: Buffer,
  from: number,
  to: number,
): unknown {
  if (codec.decodeFlat !== undefined) {
    const value = codec.decodeFlat(bytes, from, to, descriptor);
    if (value !== undefined) return value;
  }
  return codec.decodeText === undefined
    ? codec.decode(Buffer.from(bytes.subarray(from, to)), descriptor)
    : codec.decodeText(utf8Slice(bytes, from, to), descriptor);
}

/** The body of a value, in the form that costs least. */
export function encodeBody<D>(
  codec: BodyCodec<D>,
  descriptor: D | undefined,
  value: unknown,
): string | Uint8Array | FlatBody {
  if (codec.encodeFlat !== undefined) {
    const short = codec.encodeFlat(value, descriptor);
    if (short !== undefined) return short;
  }
  return codec.encodeText === undefined ? codec.encode(value, descriptor) : codec.encodeText(value, descriptor);
}
