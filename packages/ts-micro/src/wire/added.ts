import type { Metadata } from "../metadata.ts";
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

/** What a handler added to its reply, as headers or trailers: names in lower case, each behind `prefix`. */
export function added(metadata: Metadata | undefined, prefix = ""): Readonly<Record<string, string>> {
  if (metadata === undefined) return none;
  const out: Record<string, string> = {};
  for (const [name, value] of metadata) {
    const key = name.toLowerCase();
    if (isAddable(key)) out[prefix + key] = value;
  }
  return out;
}
