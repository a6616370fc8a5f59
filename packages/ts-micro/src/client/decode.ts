import type { Codec } from "../codec.ts";
import { MicroError, fromUnknown } from "../errors.ts";
import type { PreparedCall } from "./prepared.ts";

/** The value of a reply or stream message. */
export function decodeReply(codec: Codec, body: Uint8Array, call: PreparedCall): unknown {
  const envelope = codec.enveloped ? { type: "response" as const, id: "", endpoint: call.endpoint } : undefined;
  try {
    return codec.decode(body, call.known?.descriptors?.response, envelope);
  } catch (error) {
    const failure = fromUnknown(error);
    throw new MicroError({
      id: "go.micro.client.codec",
      code: "INTERNAL",
      detail: `reply of ${call.service} ${call.endpoint} does not decode: ${failure.detail}`,
      cause: error,
    });
  }
}
