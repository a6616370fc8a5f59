import { constants, gunzipSync, gzipSync } from "node:zlib";
import { errors, isMicroError } from "../../errors.ts";
import type { ShortBody } from "../flat-json.ts";
import { compressedFlag, frame, frameLength, tooLarge } from "./frame.ts";

/** Shorter ones gain nothing. */
const least = 1024;
const id = "ts.micro.grpc";

/** A message with its prefix, compressed when that makes it shorter. */
export function gzipFrame(body: string | Uint8Array | ShortBody): Buffer {
  const length = frameLength(body);
  if (length < least) return frame(body);
  const bytes = typeof body === "string" || body instanceof Uint8Array ? body : body.bytes.subarray(0, length);
  const packed = gzipSync(bytes, { level: constants.Z_BEST_SPEED });
  return packed.length < length ? frame(packed, compressedFlag) : frame(body);
}

/**
 * The body of a message that arrived with `flags`, on a stream whose `grpc-encoding` is `encoding`.
 * @throws MicroError PROTOCOL for flags that are none or bytes that are no gzip, UNSUPPORTED for another encoding, RESOURCE_EXHAUSTED above `most`
 */
export function unpack(body: Buffer, flags: number, encoding: string | undefined, most: number): Buffer {
  if (flags === 0) return body;
  if (flags !== compressedFlag) throw errors.protocol(id, `a message with flags ${flags}`);
  if (encoding === undefined || encoding === "identity")
    throw errors.protocol(id, "a compressed message on a stream without grpc-encoding");
  if (encoding !== "gzip") throw errors.unsupported(id, `grpc-encoding ${encoding}: only gzip is known`);
  try {
    return gunzipSync(body, { maxOutputLength: most });
  } catch (error) {
    if (isMicroError(error)) throw error;
    if ((error as NodeJS.ErrnoException).code === "ERR_BUFFER_TOO_LARGE") throw tooLarge(most + 1, most);
    throw errors.protocol(id, `a compressed message cannot be read: ${(error as Error).message}`, error);
  }
}
