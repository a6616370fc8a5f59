import type { DescField, DescMessage, DescOneof } from "@bufbuild/protobuf";
import { isObject, isWrapper } from "./kinds.ts";

type JsonObject = Record<string, unknown>;

/** The numbers of ScalarType for string and bytes. */
const texts: ReadonlySet<number | undefined> = new Set([9, 12]);

/**
 * Turns the JSON that Go v2 and v4 write of a generated struct (encoding/json: oneofs as wrapper objects, well-known types as their fields,
 * 64-bit integers as literals) into proto JSON. Proto JSON goes through unchanged; unknown keys are left out (wire spec §1.6).
 */
export function normalise(desc: DescMessage, value: unknown): unknown {
  if (desc.typeName.startsWith("google.protobuf.")) {
    const known = wellKnown(desc, value);
    if (known !== undefined) return known;
  }
  if (!isObject(value)) return value;
  const plan = planOf(desc);
  const out: JsonObject = {};
  for (const key of Object.keys(value)) {
    const field = plan.fields.get(key);
    if (field !== undefined) out[key] = ofField(field, value[key]);
    else unwrap(plan, key, value[key], out);
  }
  return out;
}

interface Plan {
  readonly fields: ReadonlyMap<string, DescField>;
  /** By Go's name, folded. */
  readonly oneofs: ReadonlyMap<string, DescOneof>;
}

const plans = new WeakMap<DescMessage, Plan>();

function planOf(desc: DescMessage): Plan {
  let plan = plans.get(desc);
  if (plan === undefined) {
    const fields = new Map<string, DescField>();
    for (const field of desc.fields) fields.set(field.name, field).set(field.jsonName, field);
    plan = { fields, oneofs: new Map(desc.oneofs.map((oneof) => [fold(oneof.name), oneof])) };
    plans.set(desc, plan);
  }
  return plan;
}

// Go's `Choice`, `String_` for the proto names `choice`, `string`.
function fold(name: string): string {
  return name.replaceAll("_", "").toLowerCase();
}

/** `"Choice":{"ChoiceText":"x"}` → `"choice_text":"x"`; `"Choice":null` is an unset one. */
function unwrap(plan: Plan, key: string, value: unknown, out: JsonObject): void {
  const oneof = plan.oneofs.get(fold(key));
  if (oneof === undefined || !isObject(value)) return;
  for (const name of Object.keys(value)) {
    const field = oneof.fields.find((member) => fold(member.name) === fold(name));
    if (field !== undefined) out[field.name] = ofField(field, value[name]);
  }
}

function ofField(field: DescField, value: unknown): unknown {
  switch (field.fieldKind) {
    case "message":
      return value === null ? null : normalise(field.message, value);
    case "list":
      if (!Array.isArray(value)) return value;
      return value.map((item) => (field.message === undefined ? scalar(item, field) : normalise(field.message, item)));
    case "map": {
      if (!isObject(value)) return value;
      const out = Object.create(null) as JsonObject;
      for (const key of Object.keys(value))
        out[key] = field.message === undefined ? scalar(value[key], field) : normalise(field.message, value[key]);
      return out;
    }
    default:
      return scalar(value, field);
  }
}

/** Where no number is due a big one is refused as any other is, not read as text. */
function scalar(value: unknown, field: DescField | undefined): unknown {
  if (typeof value !== "bigint") return value;
  const type = field?.scalar;
  return type === undefined || texts.has(type) ? Number(value) : value.toString();
}

/** The object forms of well-known types; undefined for a type, or a form, that is read like any other message. */
function wellKnown(desc: DescMessage, value: unknown): unknown {
  switch (desc.typeName) {
    case "google.protobuf.Timestamp":
      return isObject(value) ? timestamp(value) : value;
    case "google.protobuf.Duration":
      return isObject(value) ? duration(value) : value;
    case "google.protobuf.FieldMask":
      return isObject(value) ? (Array.isArray(value["paths"]) ? value["paths"].map(camel).join() : "") : value;
    case "google.protobuf.Struct":
    case "google.protobuf.Value":
    case "google.protobuf.ListValue":
      return doubles(value);
    case "google.protobuf.Any":
      return value;
    default:
      // {"value":1}
      if (!isWrapper(desc)) return undefined;
      return isObject(value) ? (scalar(value["value"], desc.fields[0]) ?? zero(desc)) : scalar(value, desc.fields[0]);
  }
}

function timestamp(value: JsonObject): string {
  const { seconds, nanos } = parts(value);
  const date = new Date(seconds * 1000).toISOString();
  return `${date.slice(0, -"000Z".length)}${String(nanos).padStart(9, "0")}Z`;
}

function duration(value: JsonObject): string {
  const { seconds, nanos } = parts(value);
  const sign = seconds < 0 || nanos < 0 ? "-" : "";
  return `${sign}${Math.abs(seconds)}.${String(Math.abs(nanos)).padStart(9, "0")}s`;
}

function parts(value: JsonObject): { seconds: number; nanos: number } {
  const seconds = Number(value["seconds"] ?? 0);
  const nanos = Number(value["nanos"] ?? 0);
  // The widest of the two types is a Duration: 10,000 years.
  if (!Number.isInteger(seconds) || Math.abs(seconds) > 315_576_000_000) throw new RangeError("seconds out of range");
  if (!Number.isInteger(nanos) || Math.abs(nanos) > 999_999_999) throw new RangeError("nanos out of range");
  return { seconds, nanos };
}

function camel(path: unknown): string {
  return String(path).replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

/** Free JSON knows doubles only. */
function doubles(value: unknown): unknown {
  if (typeof value === "bigint") return Number(value);
  if (Array.isArray(value)) return value.map(doubles);
  if (!isObject(value)) return value;
  const out = Object.create(null) as JsonObject;
  for (const key of Object.keys(value)) out[key] = doubles(value[key]);
  return out;
}

function zero(desc: DescMessage): unknown {
  if (desc.typeName.endsWith("BoolValue")) return false;
  return /(String|Bytes)Value$/.test(desc.typeName) ? "" : 0;
}
