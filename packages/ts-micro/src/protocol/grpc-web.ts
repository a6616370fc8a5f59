import type { Protocol } from "../protocol.ts";
import { baseType } from "../wire/http/browser.ts";
import { webProtocol, type WebProtocolOptions } from "./common/web-protocol.ts";

/** Options of {@link grpcWebProtocol}. */
export interface GrpcWebOptions extends WebProtocolOptions {}

/** gRPC-Web, binary and text, JSON or protobuf: gRPC for clients that see no HTTP trailers, browsers first. */
export function grpcWebProtocol(options: GrpcWebOptions = {}): Protocol {
  return webProtocol({
    name: "grpc-web",
    options,
    match: (method, _, headers) =>
      method === "POST" && baseType(headers["content-type"]).startsWith("application/grpc-web"),
    load: async () => (await import("./grpc-web/handle.ts")).handleGrpcWeb,
  });
}
