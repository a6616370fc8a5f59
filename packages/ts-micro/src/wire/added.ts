import { errors, type MicroError } from "../errors.ts";
import type { Metadata, ResponseMetadata } from "../metadata.ts";
import { isPerHop } from "./headers.ts";
import { canonicalHeader } from "./http1/names.ts";

/** Of one hop, but an answer goes no further. */
const passing = new Set(["cache-control", "pragma"]);
/** HTTP's own, which Node refuses on HTTP/2 or adds by itself. */
const http = new Set(["http2-settings", "date"]);
const none: Readonly<Record<string, string>> = Object.freeze({});

/** Whether a name, in lower case, is one that a handler may add to its reply and a caller is shown: it is no protocol's own. */
export function isAddable(key: string): boolean {
  if (http.has(key) || key.startsWith("micro-") || canonicalHeader(key) === undefined) return false;
  return passing.has(key) || !isPerHop(key);
}

/** What a handler added to its reply, as headers or trailers: names in lower case, each behind `prefix`. None of what is too much. */
export function added(metadata: Metadata | undefined, prefix = ""): Readonly<Record<string, string>> {
  if (metadata === undefined || excess(metadata) !== undefined) return none;
  const out: Record<string, string> = {};
  for (const [name, value] of metadata) {
    const key = name.toLowerCase();
    if (isAddable(key)) out[prefix + key] = value.replace(/[\r\n\0]+/g, " ");
  }
  return out;
}

/** Most of what a handler may add as headers, and as trailers, in bytes: past what peers take nghttp2 says that the call did not run. */
const most = 16 * 1024;

/** The error that a reply to which too much was added ends with, if it has none of its own. */
export function excessOf(response: ResponseMetadata | undefined): MicroError | undefined {
  return response && (excess(response.givenHeader) ?? excess(response.givenTrailer));
}

function excess(metadata: Metadata | undefined): MicroError | undefined {
  if (metadata === undefined) return undefined;
  let size = 0;
  for (const [name, value] of metadata) size += name.length + Buffer.byteLength(value) + 32;
  if (size <= most) return undefined;
  const detail = `the handler added ${size} bytes to the head or the end of its reply: ${most} are the limit`;
  return errors.resourceExhausted("go.micro.server", detail);
}
