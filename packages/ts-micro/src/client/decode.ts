import type { Codec, MessageDescriptor } from "../codec.ts";
import { MicroError, fromUnknown } from "../errors.ts";
import type { Body } from "../protocol.ts";
import { utf8Slice } from "../wire/utf8.ts";
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

/** The value of a body that stands in a buffer which is used again. */
export function decodeBody(
  codec: Codec,
  descriptor: MessageDescriptor | undefined,
  bytes: Buffer,
  from: number,
  to: number,
): unknown {
  if (descriptor === undefined && codec.decodeFlat !== undefined) {
    const value = codec.decodeFlat(bytes, from, to);
    if (value !== undefined) return value;
  }
  return codec.decodeText === undefined
    ? codec.decode(Buffer.from(bytes.subarray(from, to)), descriptor)
    : codec.decodeText(utf8Slice(bytes, from, to), descriptor);
}

/** The body of a value, in the form that costs least. */
export function encodeBody(codec: Codec, descriptor: MessageDescriptor | undefined, value: unknown): Body {
  if (descriptor === undefined && codec.encodeFlat !== undefined) {
    const short = codec.encodeFlat(value);
    if (short !== undefined) return short;
  }
  return codec.encodeText === undefined ? codec.encode(value, descriptor) : codec.encodeText(value, descriptor);
}

export function undecodable(error: unknown, { service, endpoint }: { service: string; endpoint: string }): MicroError {
  return new MicroError({
    id: "go.micro.client.codec",
    code: "INTERNAL",
    detail: `reply of ${service} ${endpoint} does not decode: ${fromUnknown(error).detail}`,
    cause: error,
  });
}
