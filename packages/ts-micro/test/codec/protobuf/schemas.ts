// The messages of test/fixtures/proto, compiled by our own compiler, and random values of them.
import {
  create,
  createFileRegistry,
  type DescField,
  type DescMessage,
  type FileRegistry,
  ScalarType,
} from "@bufbuild/protobuf";
import { FeatureSet_FieldPresence, type FileDescriptorProto, FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { readFileSync } from "node:fs";
import { compile } from "../../../../protoc-gen-micro/src/compile.ts";
import type { Random } from "../../support/damage.ts";

const folder = new URL("../../fixtures/proto/", import.meta.url);
const files = ["kinds.proto", "legacy.proto", "modern.proto"];
const read = (name: string): string | undefined =>
  files.includes(name) ? readFileSync(new URL(name, folder), "utf8") : undefined;
const set = create(FileDescriptorSetSchema);
// The compiler has a copy of protobuf-es of its own.
const made: unknown = compile(files, read);
set.file = made as FileDescriptorProto[];
export const registry: FileRegistry = createFileRegistry(set);

export function schema(name: string): DescMessage {
  const desc = registry.getMessage(name);
  if (desc === undefined) throw new Error(`no message ${name}`);
  return desc;
}

const texts = [
  "",
  "a",
  "Adam",
  "twelve bytes",
  "sixteen bytes ok",
  "Zoë",
  "日本",
  "😀 grin",
  "\ud800",
  "\ufffd",
  "\ufeffx",
  "x".repeat(31),
  "y".repeat(32),
  "é".repeat(20),
  "z".repeat(127),
  "w".repeat(200),
  "\0",
];
const ints = [0, 1, -1, 127, 128, 300, -128, 16_384, 2_097_152, 268_435_456, 2_147_483_647, -2_147_483_648];
const longs = [
  0n,
  1n,
  -1n,
  127n,
  128n,
  -129n,
  1n << 31n,
  1n << 32n,
  -(1n << 32n),
  (1n << 53n) + 1n,
  (1n << 63n) - 1n,
  -(1n << 63n),
];
const doubles = [0, -0, 1, -1.5, NaN, Infinity, -Infinity, 1e300, 5e-324, Math.PI];

function one<T>(random: Random, all: readonly T[]): T {
  return all[random(all.length)] as T;
}

function bytesOf(random: Random): Uint8Array {
  return Uint8Array.from({ length: one(random, [0, 1, 5, 40, 130]) }, () => random(256));
}

function scalarOf(type: ScalarType, random: Random): unknown {
  switch (type) {
    case ScalarType.STRING:
      return one(random, texts);
    case ScalarType.BOOL:
      return random(2) === 1;
    case ScalarType.BYTES:
      return bytesOf(random);
    case ScalarType.DOUBLE:
      return one(random, doubles);
    case ScalarType.FLOAT:
      return Math.fround(one(random, [...doubles.slice(0, 7), 0.1, 3.4e38]));
    case ScalarType.INT64:
    case ScalarType.SINT64:
    case ScalarType.SFIXED64:
      return one(random, longs);
    case ScalarType.UINT64:
    case ScalarType.FIXED64:
      return BigInt.asUintN(64, one(random, longs));
    case ScalarType.UINT32:
    case ScalarType.FIXED32:
      return one(random, ints) >>> 0;
    default:
      return one(random, ints);
  }
}

function valueOf(field: DescField, random: Random, depth: number): unknown {
  if (field.message !== undefined) {
    const value = initOf(field.message, random, depth - 1);
    const { fields, typeName } = field.message;
    const wrapped =
      field.fieldKind === "message" &&
      field.oneof === undefined &&
      /\w(?<!List)Value$/.test(typeName) &&
      fields.length === 1;
    return wrapped
      ? (value["value"] ?? scalarOf(fields[0]?.scalar as ScalarType, random))
      : random(3) === 0
        ? create(field.message, value)
        : value;
  }
  if (field.enum === undefined) return scalarOf(field.scalar, random);
  return field.enum.open && random(8) === 0 ? one(random, ints) : one(random, field.enum.values).number;
}

function keyOf(type: ScalarType, random: Random): string {
  return type === ScalarType.STRING
    ? one(random, ["", "k", "key", "length", "__proto_", "Zoë"])
    : String(scalarOf(type, random));
}

/** The init of a message with random fields. */
export function initOf(desc: DescMessage, random: Random, depth: number): Record<string, unknown> {
  const init: Record<string, unknown> = {};
  for (const field of desc.fields) {
    const required = field.presence === FeatureSet_FieldPresence.LEGACY_REQUIRED;
    if (!required && random(desc.fields.length) > 6) continue;
    if (field.message !== undefined && depth === 0) continue;
    const many = Array.from({ length: random(4) });
    const value =
      field.fieldKind === "list"
        ? many.map(() => valueOf(field, random, depth))
        : field.fieldKind === "map"
          ? Object.fromEntries(many.map(() => [keyOf(field.mapKey, random), valueOf(field, random, depth)]))
          : valueOf(field, random, depth);
    if (field.oneof === undefined) init[field.localName] = value;
    else init[field.oneof.localName] = { case: field.localName, value };
  }
  return init;
}
