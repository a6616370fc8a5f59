import type { Codec } from "../codec.ts";
import type { Driver } from "../internal/driver.ts";
import { decodeFlat, encodeFlat } from "../wire/flat-json.ts";
import { goJsonDecode, goJsonEncode, plainJsonText } from "../wire/go-json.ts";
import { LazyMessages } from "./protobuf/lazy.ts";

const empty: Uint8Array = Buffer.from("{}\n");

/**
 * `application/json`, as Go reads and writes it (wire spec §1.6). Plain values; with a descriptor proto JSON, which then needs the package
 * `@bufbuild/protobuf`. An empty body is the empty message, an undefined value is written as `{}`, and a Uint8Array is JSON already.
 */
export function jsonCodec(): Codec {
  const messages = new LazyMessages("ts.micro.codec.json");
  return {
    name: "json",
    contentTypes: ["application/json"],
    load: () => messages.tryLoad(),
    encode(value, descriptor) {
      if (descriptor !== undefined) return Buffer.from(goJsonEncode(messages.toJson(value, descriptor)));
      if (value === undefined) return empty;
      return value instanceof Uint8Array && value.length > 0 ? value : Buffer.from(goJsonEncode(value));
    },
    decode(body, descriptor) {
      const value = body.length === 0 ? {} : goJsonDecode(body);
      return descriptor === undefined ? value : messages.fromJson(value, descriptor);
    },
    encodeFlat,
    decodeFlat,
    encodeText(value, descriptor) {
      if (descriptor !== undefined) return plainJsonText(messages.toJson(value, descriptor));
      if (value === undefined) return "{}";
      return value instanceof Uint8Array && value.length > 0 ? Buffer.from(value).toString() : plainJsonText(value);
    },
    decodeText(text, descriptor) {
      const value = text === "" ? {} : goJsonDecode(text);
      return descriptor === undefined ? value : messages.fromJson(value, descriptor);
    },
  };
}

/** How it is chosen by name. */
export const driver: Driver<Codec> = { name: "json", fromAddress: jsonCodec };
