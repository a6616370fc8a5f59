import type { Codec } from "../codec.ts";
import type { Driver } from "../internal/driver.ts";
import * as wire from "../wire/protorpc.ts";
import { LazyMessages } from "./protobuf/lazy.ts";

/**
 * `application/proto-rpc`: the messages of the protobuf codec behind a header block with id, endpoint and error. Without an envelope, and
 * for events, the body is the bare message. Mirrors v4:codec/protorpc (wire spec §1.6).
 */
export function protoRpcCodec(): Codec {
  const messages = new LazyMessages("ts.micro.codec.proto-rpc");
  return {
    name: "proto-rpc",
    contentTypes: ["application/proto-rpc"],
    enveloped: true,
    load: () => messages.load(),
    encode(value, descriptor, envelope) {
      if (envelope?.type === "error") return wire.encodeProtoRpcError(envelope.error ?? "");
      const body = messages.toBinary(value, descriptor);
      if (envelope?.type === "request") return wire.encodeProtoRpcRequest(envelope.id, envelope.endpoint, body);
      return envelope?.type === "response" ? wire.encodeProtoRpcResponse(envelope.id, body) : body;
    },
    decode(bytes, descriptor, envelope) {
      let body = bytes;
      if (envelope?.type === "request") {
        const request = wire.decodeProtoRpcRequest(bytes);
        envelope.id = request.id;
        if (request.method !== "") envelope.endpoint = request.method;
        body = request.body;
      } else if (envelope?.type === "response" || envelope?.type === "error") {
        const response = wire.decodeProtoRpcResponse(bytes);
        envelope.id = response.id;
        envelope.type = response.error === undefined ? "response" : "error";
        envelope.error = response.error;
        if (response.error !== undefined) return undefined;
        body = response.body;
      }
      return messages.fromBinary(body, descriptor);
    },
  };
}

/** How it is chosen by name. */
export const driver: Driver<Codec> = {
  name: "proto-rpc",
  fromAddress: protoRpcCodec,
};
