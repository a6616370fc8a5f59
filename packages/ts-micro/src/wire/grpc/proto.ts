import { errors } from "../../errors.ts";

/**
 * As much of protobuf as gRPC itself is made of (status, health, reflection), so that none of these needs a library: varints and
 * length-delimited fields.
 */
export class ProtoWriter {
  readonly #parts: Buffer[] = [];

  /** A number; 0 is not written. */
  int(field: number, value: number): this {
    if (value !== 0) this.#parts.push(varint(field * 8), varint(value));
    return this;
  }

  /** Text; the empty one is not written. */
  text(field: number, value: string): this {
    return value === "" ? this : this.bytes(field, Buffer.from(value));
  }

  /** Bytes or a message, written also when empty. */
  bytes(field: number, value: Uint8Array): this {
    this.#parts.push(
      varint(field * 8 + 2),
      varint(value.length),
      Buffer.from(value.buffer, value.byteOffset, value.length),
    );
    return this;
  }

  done(): Buffer {
    return Buffer.concat(this.#parts);
  }
}

/** One field: a varint's value (to 53 bits exactly), or bytes. */
export interface ProtoField {
  readonly field: number;
  readonly value: number | Uint8Array;
}

/**
 * The fields of a message in their order. Fixed-size ones are skipped.
 * @throws MicroError BAD_REQUEST for bytes that are no message
 */
export function protoFields(bytes: Uint8Array): ProtoField[] {
  const out: ProtoField[] = [];
  let at = 0;
  const next = (): number => {
    let value = 0;
    let factor = 1;
    for (let i = 0; i < 10; i++) {
      const byte = bytes[at++];
      if (byte === undefined) throw malformed("a number is cut off");
      value += (byte & 127) * factor;
      if (byte < 128) return value;
      factor *= 128;
    }
    throw malformed("a number of more than ten bytes");
  };
  const span = (length: number): Uint8Array => {
    if (length > bytes.length - at) throw malformed("a field is cut off");
    at += length;
    return bytes.subarray(at - length, at);
  };
  while (at < bytes.length) {
    const tag = next();
    const field = Math.floor(tag / 8);
    if (field < 1 || field >= 2 ** 29) throw malformed("no such field number");
    const wire = tag % 8;
    if (wire === 0) out.push({ field, value: next() });
    else if (wire === 2) out.push({ field, value: span(next()) });
    else if (wire === 1) span(8);
    else if (wire === 5) span(4);
    else throw malformed(`wire type ${wire}`);
  }
  return out;
}

/** The text of a field; empty for a number. */
export function protoText(value: number | Uint8Array | undefined): string {
  return value instanceof Uint8Array ? Buffer.from(value.buffer, value.byteOffset, value.length).toString() : "";
}

function varint(value: number): Buffer {
  const out: number[] = [];
  // An int32 below zero takes ten bytes, as its 64-bit form.
  let rest = value < 0 ? (1n << 64n) + BigInt(value) : BigInt(value);
  for (; rest > 127n; rest >>= 7n) out.push(Number(rest & 127n) | 128);
  out.push(Number(rest));
  return Buffer.from(out);
}

function malformed(detail: string): Error {
  return errors.badRequest("ts.micro.grpc", `no protobuf message: ${detail}`);
}
