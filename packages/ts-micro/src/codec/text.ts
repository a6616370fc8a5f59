import type { Codec } from "../codec.ts";
import type { Driver } from "../internal/driver.ts";
import { errors } from "../errors.ts";

const id = "ts.micro.codec.text";
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** `text/plain`: a string as UTF-8. Mirrors v4:codec/text, which Go registers nowhere by default. */
export function textCodec(): Codec {
  return {
    name: "text",
    contentTypes: ["text/plain"],
    empty: "",
    encode(value) {
      if (typeof value === "string") return Buffer.from(value);
      if (value instanceof Uint8Array) return value;
      throw errors.badRequest(id, `text/plain takes a string, not ${value === null ? "null" : typeof value}`);
    },
    decode(body) {
      try {
        return utf8.decode(body);
      } catch (cause) {
        throw errors.badRequest(id, "the body is no UTF-8 text", cause);
      }
    },
  };
}

/** How it is chosen by name. */
export const driver: Driver<Codec> = { name: "text", fromAddress: textCodec };
