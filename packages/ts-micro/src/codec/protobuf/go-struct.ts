import type { DescField, DescMessage } from "@bufbuild/protobuf";
import { isObject, isWrapper, wide } from "./kinds.ts";

type JsonObject = Record<string, unknown>;

/**
 * Turns proto JSON, written with proto names and enum numbers, into the JSON that Go's encoding/json reads into a generated struct: 64-bit
 * integers as literals, well-known types as their fields, oneofs as wrapper objects. The inverse of `normalise`. Go's json-rpc knows no other
 * form, and loses without a word what has another name (v4:codec/jsonrpc).
 */
export function goStruct(desc: DescMessage, value: unknown): unknown {
  if (desc.typeName.startsWith("google.protobuf.")) return wellKnown(desc, value);
  if (!isObject(value)) return value;
  const out: JsonObject = {};
  for (const field of desc.fields) {
    if (!Object.hasOwn(value, field.name)) continue;
    const member = ofField(field, value[field.name]);
    // Go reads no oneof: it fails on this one as on its own, where a flat field would be lost.
    if (field.oneof === undefined) out[field.name] = member;
    else out[goName(field.oneof.name)] = { [goName(field.name)]: member };
  }
  return out;
}

function ofField(field: DescField, value: unknown): unknown {
  switch (field.fieldKind) {
    case "message":
      return goStruct(field.message, value);
    case "list":
      return Array.isArray(value) ? value.map((item) => ofItem(field, item)) : value;
    case "map": {
      if (!isObject(value)) return value;
      const out = Object.create(null) as JsonObject;
      for (const key of Object.keys(value)) out[key] = ofItem(field, value[key]);
      return out;
    }
    case "scalar":
      return scalar(field.scalar, value);
    default:
      return value;
  }
}

function ofItem(field: DescField & { fieldKind: "list" | "map" }, item: unknown): unknown {
  return field.message === undefined ? scalar(field.scalar, item) : goStruct(field.message, item);
}

/** Wide integers are the only ones that proto JSON writes as text. */
function scalar(type: number | undefined, value: unknown): unknown {
  return wide.has(type) && typeof value === "string" ? BigInt(value) : value;
}

/** Struct, Value and ListValue have their own JSON in Go, which is proto JSON; so has Any here, for want of a form that Go reads. */
function wellKnown(desc: DescMessage, value: unknown): unknown {
  switch (desc.typeName) {
    case "google.protobuf.Timestamp":
      return timestamp(String(value));
    case "google.protobuf.Duration":
      return duration(String(value));
    case "google.protobuf.FieldMask":
      return { paths: String(value).split(",").filter(Boolean).map(snake) };
    default: {
      const [field] = desc.fields;
      return isWrapper(desc) ? { value: ofField(field as DescField, value) } : value;
    }
  }
}

function timestamp(text: string): JsonObject {
  const [whole, fraction = ""] = text.replace(/Z$/, "").split(".");
  return { seconds: Date.parse(`${whole}Z`) / 1000, nanos: nanos(fraction) };
}

function duration(text: string): JsonObject {
  const [whole = "", fraction = ""] = text.replace(/s$/, "").split(".");
  const sign = whole.startsWith("-") ? -1 : 1;
  return { seconds: Number(whole) + 0, nanos: sign * nanos(fraction) + 0 };
}

function nanos(fraction: string): number {
  return Number(fraction.padEnd(9, "0"));
}

function snake(path: string): string {
  return path.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/** `choice_text` → `ChoiceText`. */
function goName(name: string): string {
  return name.replace(/(?:^|_)([a-z])/g, (_, letter: string) => letter.toUpperCase());
}
