import type { HttpExchange, HttpRoute } from "../../server.ts";
import type { Wants } from "../../transport.ts";
import { H } from "../../wire/headers.ts";
import { headerValue } from "../../wire/http1/headers.ts";

/** What only mucp says, under its name or with `X-` before it. */
const telling = [H.endpoint, H.method, H.topic, H.stream, H.service, H.target, H.protocol, H.id];
const names = new Set(telling.flatMap((name) => [name, `X-${name}`]));
const lower = [...names].map((name) => name.toLowerCase());

/**
 * Whether a request is mucp. Go clients say so by a header, since 2018 or so; those before them `POST /` an envelope that names the endpoint
 * (wire spec §1.3, §1.4). Anything else, which a Go server takes for JSON-RPC, is plain HTTP here.
 */
export const isMucp: Wants = ({ method, target, headers }) => {
  // Their answers have no body on the wire: a proxy would take ours for the next answer.
  if (method === "HEAD" || method === "CONNECT") return false;
  for (let i = 0; i < headers.length; i += 2) if (names.has(headers[i] as string)) return true;
  return method === "POST" && target === "/" && enveloped(headerValue(headers, H.contentType));
};

function enveloped(contentType: string | undefined): boolean {
  return contentType === "application/json-rpc" || contentType === "application/proto-rpc";
}

/**
 * Unary calls of mucp on connections of plain HTTP, where proxies mix them with other requests. Streams need a connection of their own,
 * which proxies cannot give them (wire spec §2.6).
 */
export function mucpRoute(handle: (exchange: HttpExchange) => Promise<void>): HttpRoute {
  return {
    name: "mucp",
    match: (method, path, headers) =>
      lower.some((name) => headers[name] !== undefined) ||
      (method === "POST" && path === "/" && enveloped(headers["content-type"])),
    handle,
  };
}
