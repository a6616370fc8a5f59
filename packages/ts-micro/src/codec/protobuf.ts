import type { Codec } from "../codec.ts";
import type { Driver } from "../internal/driver.ts";
import { LazyMessages } from "./protobuf/lazy.ts";

/**
 * `application/protobuf`: one serialized message, no framing; the empty message is an empty body. Needs a descriptor on every call
 * (UNSUPPORTED without one) and the package `@bufbuild/protobuf`. A value may be a message or the init of one. Mirrors v4:codec/proto.
 */
export function protobufCodec(): Codec {
  const messages = new LazyMessages("ts.micro.codec.protobuf");
  return {
    name: "protobuf",
    contentTypes: ["application/protobuf"],
    load: () => messages.load(),
    encode: (value, descriptor) => messages.toBinary(value, descriptor),
    decode: (body, descriptor) => messages.fromBinary(body, descriptor),
    encodeFlat: (value, descriptor) => messages.toBody(value, descriptor),
    decodeFlat: (bytes, from, to, descriptor) => messages.fromBody(bytes, from, to, descriptor),
  };
}

/** How it is chosen by name. */
export const driver: Driver<Codec> = {
  name: "protobuf",
  fromAddress: protobufCodec,
};
