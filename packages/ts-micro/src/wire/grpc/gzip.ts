import { errors } from "../../errors.ts";
import { bytesOf } from "../body.ts";
import type { FlatBody } from "../flat-body.ts";
import { compressedFlag, frame } from "./frame.ts";

/** Shorter messages gain nothing, in bytes. */
const least = 1024;
const id = "ts.micro.grpc";
// Loaded when something is compressed: most services never need it.
const zlib = (): typeof import("node:zlib") => process.getBuiltinModule("node:zlib");

/** A message compressed, when that makes it shorter; else as it is. */
export function deflated(body: Uint8Array): Uint8Array {
  if (body.length < least) return body;
  const packed = zlib().gzipSync(body, { level: 1 });
  return packed.length < body.length ? packed : body;
}

/** A message with its prefix, compressed when that makes it shorter. */
export function gzipFrame(body: string | Uint8Array | FlatBody): Buffer {
  const bytes = bytesOf(body);
  const packed = deflated(bytes);
  return frame(packed, packed === bytes ? 0 : compressedFlag);
}

/** @throws MicroError `fault` (PROTOCOL) for what is no gzip, RESOURCE_EXHAUSTED as soon as it is longer than `most` */
export function inflated(body: Uint8Array, most: number, fault: typeof errors.protocol = errors.protocol): Buffer {
  // An empty message needs no header of gzip.
  if (body.length === 0) return Buffer.alloc(0);
  try {
    return zlib().gunzipSync(body, { maxOutputLength: Math.max(1, most) });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ERR_BUFFER_TOO_LARGE")
      throw errors.resourceExhausted(id, `a message of more than ${most} bytes when decompressed`);
    throw fault(id, `a compressed message cannot be read: ${(error as Error).message}`, error);
  }
}

/**
 * Whether messages in this encoding are compressed.
 * @throws MicroError UNSUPPORTED for an encoding other than gzip and identity
 */
export function isGzip(encoding: string | undefined): boolean {
  if (encoding === undefined || encoding === "" || encoding === "identity") return false;
  if (encoding === "gzip") return true;
  throw errors.unsupported(id, `encoding ${JSON.stringify(encoding)}: gzip and identity are what there is`);
}

/** Whether a list of encodings (`gzip, br;q=0.5`) takes gzip. */
export function acceptsGzip(list: string | undefined): boolean {
  return (list ?? "").split(",").some((each) => /^\s*gzip\s*(?:;\s*q=(?!0(?:\.0*)?\s*$).*)?$/i.test(each));
}

/**
 * The body of a message that arrived with `flags`, on a stream whose encoding is `encoding`.
 * @throws MicroError PROTOCOL for flags that are none and for a compressed message without an encoding, and as {@link isGzip} and {@link inflated}
 */
export function unpack(body: Buffer, flags: number, encoding: string | undefined, most: number): Buffer {
  if (flags === 0) return body;
  if (flags !== compressedFlag) throw errors.protocol(id, `a message with flags ${flags}`);
  if (!isGzip(encoding)) throw errors.protocol(id, "a compressed message on a stream without an encoding");
  return inflated(body, most);
}
