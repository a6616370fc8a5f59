import type { MicroError } from "../errors.ts";
import { statusText } from "./error.ts";

/** Full name of Go Micro's error message. */
export const errorType = "errors.Error";

/** `errors.Error { 1: string id, 2: int32 code, 3: string detail, 4: string status }` (wire spec §4.5). */
export function encodeErrorProto(error: MicroError): Buffer {
  const { id, status, detail } = error;
  return Buffer.concat([text(1, id), int32(2, status), text(3, detail), text(4, statusText[status] ?? "")]);
}

/** `google.rpc.Status { 1: int32 code, 2: string message, 3: repeated Any details }` with the error as its one detail. */
export function encodeStatusProto(code: number, message: string, error: MicroError): Buffer {
  const any = Buffer.concat([text(1, `type.googleapis.com/${errorType}`), bytes(2, encodeErrorProto(error))]);
  return Buffer.concat([int32(1, code), text(2, message), bytes(3, any)]);
}

const none: Buffer = Buffer.alloc(0);

function bytes(field: number, value: Uint8Array): Buffer {
  return Buffer.concat([varint((field << 3) | 2), varint(value.length), value]);
}

// proto3: a field with its default value is not written.
function text(field: number, value: string): Buffer {
  return value === "" ? none : bytes(field, Buffer.from(value));
}

function int32(field: number, value: number): Buffer {
  const whole = Math.trunc(value) | 0;
  return whole === 0 ? none : Buffer.concat([varint(field << 3), varint(whole)]);
}

function varint(value: number): Buffer {
  const out: number[] = [];
  let rest = BigInt.asUintN(64, BigInt(value));
  for (; rest > 127n; rest >>= 7n) out.push(Number(rest & 127n) | 128);
  out.push(Number(rest));
  return Buffer.from(out);
}
