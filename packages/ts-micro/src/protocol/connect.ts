import type { Protocol } from "../protocol.ts";
import { connectType } from "../wire/connect/request.ts";
import { baseType } from "../wire/http/browser.ts";
import { webProtocol, type WebProtocolOptions } from "./common/web-protocol.ts";

/** Options of {@link connectProtocol}. */
export interface ConnectOptions extends WebProtocolOptions {}

/**
 * The Connect protocol for its own clients, for pages and for curl: `POST /Greeter/Hello` with JSON or protobuf, streams as enveloped
 * messages, and GET for endpoints without side effects. Two-way streams are so on HTTP/2 alone: on HTTP/1.1 most clients send everything first.
 */
export function connectProtocol(options: ConnectOptions = {}): Protocol {
  return webProtocol({
    name: "connect",
    options,
    match(method, { endpoint }, headers, calls) {
      const kind = calls.kindOf(endpoint);
      if (method === "GET") return kind === "unary";
      const type = baseType(headers["content-type"]);
      if (method !== "POST" || type.startsWith("application/grpc")) return false;
      // JSON alone says little: it is ours when there is such an endpoint, or when the client says that it speaks Connect.
      if (kind !== undefined || headers["connect-protocol-version"] !== undefined) return true;
      return type !== "application/json" && connectType(type) !== undefined;
    },
    load: async () => (await import("./connect/handle.ts")).handleConnect,
  });
}
