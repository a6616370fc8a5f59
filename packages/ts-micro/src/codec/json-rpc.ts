import type { Codec } from "../codec.ts";
import type { Driver } from "../internal/driver.ts";
import * as wire from "../wire/jsonrpc.ts";
import { LazyMessages } from "./protobuf/lazy.ts";

/**
 * `application/json-rpc`, JSON-RPC 1.0: JSON values in an envelope that also carries id, endpoint and error. Without an envelope, and for
 * events, the body is bare JSON. Protobuf messages have the form of Go's structs (`first_name`, numbers), not that of the json codec: Go reads
 * no other here, and no oneof in any. Mirrors v4:codec/jsonrpc (wire spec §1.6).
 */
export function jsonRpcCodec(): Codec {
  const messages = new LazyMessages("ts.micro.codec.json-rpc");
  return {
    name: "json-rpc",
    contentTypes: ["application/json-rpc"],
    enveloped: true,
    load: () => messages.tryLoad(),
    encode(value, descriptor, envelope) {
      if (envelope?.type === "error") return Buffer.from(wire.encodeJsonRpcError(envelope.error ?? ""));
      const body = descriptor === undefined ? (value === undefined ? {} : value) : messages.toStruct(value, descriptor);
      if (envelope?.type === "request")
        return Buffer.from(wire.encodeJsonRpcRequest(envelope.id, envelope.endpoint, body));
      if (envelope?.type === "response") return Buffer.from(wire.encodeJsonRpcResponse(envelope.id, body));
      return Buffer.from(wire.encodeJsonRpcEvent(body));
    },
    decode(bytes, descriptor, envelope) {
      let body: unknown;
      if (envelope?.type === "request") {
        const request = wire.decodeJsonRpcRequest(bytes);
        envelope.id = request.id;
        if (request.method !== "") envelope.endpoint = request.method;
        body = request.body;
      } else if (envelope?.type === "response" || envelope?.type === "error") {
        const response = wire.decodeJsonRpcResponse(bytes);
        envelope.id = response.id;
        envelope.type = response.error === undefined ? "response" : "error";
        envelope.error = response.error;
        if (response.error !== undefined) return undefined;
        body = response.body;
      } else body = bytes.length === 0 ? {} : wire.decodeJsonRpcEvent(bytes);
      return descriptor === undefined ? body : messages.fromJson(body, descriptor);
    },
  };
}

/** How it is chosen by name. */
export const driver: Driver<Codec> = {
  name: "json-rpc",
  fromAddress: jsonRpcCodec,
};
