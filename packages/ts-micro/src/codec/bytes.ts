import type { Codec } from "../codec.ts";
import type { Driver } from "../internal/driver.ts";
import { errors } from "../errors.ts";

/** `application/octet-stream`: the body is the value, a Uint8Array; nothing else has that form. Mirrors v4:codec/bytes. */
export function bytesCodec(): Codec {
  return {
    name: "bytes",
    contentTypes: ["application/octet-stream"],
    empty: new Uint8Array(),
    encode(value) {
      if (value instanceof Uint8Array) return value;
      throw errors.badRequest(
        "ts.micro.codec.bytes",
        `application/octet-stream takes a Uint8Array, not ${kindOf(value)}`,
      );
    },
    decode: (body) => body,
  };
}

/** How it is chosen by name. */
export const driver: Driver<Codec> = { name: "bytes", fromAddress: bytesCodec };

function kindOf(value: unknown): string {
  return value === null ? "null" : typeof value === "object" ? (value.constructor?.name ?? "an object") : typeof value;
}
