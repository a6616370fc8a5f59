import type { Metadata } from "../../metadata.ts";
import { isPerHop } from "../../wire/headers.ts";
import type { Headers } from "../../wire/http/browser.ts";
import { canonicalHeader } from "../../wire/http1/names.ts";

/** Of one hop, but an answer goes no further. */
const passing = new Set(["cache-control", "pragma"]);
const none: Headers = Object.freeze({});

/** What a handler added to its reply as headers or trailers, without what belongs to the protocols. */
export function added(metadata: Metadata | undefined, prefix = ""): Headers {
  if (metadata === undefined) return none;
  const out: Record<string, string> = {};
  for (const [name, value] of metadata) {
    const key = name.toLowerCase();
    // Node refuses that one on HTTP/2.
    const fit = key !== "http2-settings" && canonicalHeader(key) !== undefined;
    if (fit && (passing.has(key) || !isPerHop(key))) out[prefix + key] = value.replace(/[\r\n\0]+/g, " ");
  }
  return out;
}
