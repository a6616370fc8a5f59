import type { Codec } from "../codec.ts";
import { MicroError, fromUnknown } from "../errors.ts";
import type { PreparedCall } from "./prepared.ts";

/** The value of a reply or stream message. */
export function decodeReply(codec: Codec, body: Uint8Array, call: PreparedCall): unknown {
  const envelope = codec.enveloped ? { type: "response" as const, id: "", endpoint: call.endpoint } : undefined;
  try {
    return codec.decode(body, call.known?.descriptors?.response, envelope);
  } catch (error) {
    throw undecodable(error, call);
  }
}

export function undecodable(error: unknown, { service, endpoint }: { service: string; endpoint: string }): MicroError {
  return new MicroError({
    id: "go.micro.client.codec",
    code: "INTERNAL",
    detail: `reply of ${service} ${endpoint} does not decode: ${fromUnknown(error).detail}`,
    cause: error,
  });
}
