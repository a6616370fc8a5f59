import type { FlatBody } from "./flat-body.ts";
import { utf8Write } from "./utf8.ts";

/** A body, written at `at`; where it ends. Text needs room for three bytes a character. */
export function putBody(into: Buffer, body: string | Uint8Array | FlatBody, at: number): number {
  if (typeof body === "string") return utf8Write(into, body, at);
  if (body instanceof Uint8Array) into.set(body, at);
  else if (body.length > 64) body.bytes.copy(into, at, 0, body.length);
  else for (let i = 0; i < body.length; i++) into[at + i] = body.bytes[i] as number;
  return at + body.length;
}

/** A body as bytes that stay as they are. */
export function bytesOf(body: string | Uint8Array | FlatBody): Uint8Array {
  if (typeof body === "string") return Buffer.from(body);
  return body instanceof Uint8Array ? body : Buffer.from(body.bytes.subarray(0, body.length));
}
