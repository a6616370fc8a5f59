import { promisify } from "node:util";
import { gunzip as inflate, gzip as deflate } from "node:zlib";
import { errors } from "../../errors.ts";

const id = "go.micro.server";
/** Messages shorter than this are not worth compressing, in bytes. */
export const worthwhile = 1024;

const inflateAsync = promisify(inflate);
const deflateAsync = promisify(deflate);

/** Rejects with RESOURCE_EXHAUSTED as soon as the result is longer than `limit`, with BAD_REQUEST for what is no gzip. */
export async function gunzip(body: Uint8Array, limit: number): Promise<Uint8Array> {
  // An empty message needs no header of gzip.
  if (body.length === 0) return body;
  try {
    return await inflateAsync(body, { maxOutputLength: Math.max(1, limit) });
  } catch (error) {
    const { code } = error as { code?: string };
    if (code === "ERR_BUFFER_TOO_LARGE")
      throw errors.resourceExhausted(id, `a message of more than ${limit} bytes when decompressed`);
    throw errors.badRequest(id, "the message is no gzip", error);
  }
}

export async function gzip(body: Uint8Array): Promise<Uint8Array> {
  return deflateAsync(body);
}

/**
 * Whether messages in this encoding are compressed.
 * @throws MicroError UNSUPPORTED for an encoding other than gzip and identity.
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
