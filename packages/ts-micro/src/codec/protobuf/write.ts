import type { DescField, DescMessage } from "@bufbuild/protobuf";
import { odd } from "../../wire/protobuf/reader.ts";
import type { Writer } from "../../wire/protobuf/writer.ts";
import type { CompiledMessage, Fields } from "./compiled.ts";
import { zeroOf } from "./read.ts";
import { isWrapped } from "./wrapped.ts";

/** Writes a field of a message if it is set. `init`: of what becomes a message. */
export type FieldWriter = (writer: Writer, message: Fields, init: boolean) => void;
type ValueWriter = (writer: Writer, value: unknown, init: boolean) => void;
type Messages = (desc: DescMessage) => CompiledMessage;

interface Scalar {
  readonly wireType: number;
  readonly write: ValueWriter;
}

const of = <T>(wireType: number, write: (writer: Writer, value: T) => void): Scalar => ({
  wireType,
  write: write as ValueWriter,
});

/** By ScalarType. */
export const scalars: Readonly<Record<number, Scalar>> = {
  1: of<number>(1, (writer, value) => writer.double(value)),
  2: of<number>(5, (writer, value) => writer.float(value)),
  3: of<bigint>(0, (writer, value) => writer.int64(value)),
  4: of<bigint>(0, (writer, value) => writer.uint64(value)),
  5: of<number>(0, (writer, value) => writer.int32(value)),
  6: of<bigint>(1, (writer, value) => writer.fixed64(value)),
  7: of<number>(5, (writer, value) => writer.fixed32(value)),
  8: of<boolean>(0, (writer, value) => writer.bool(value)),
  9: of<string>(2, (writer, value) => writer.text(value)),
  12: of<Uint8Array>(2, (writer, value) => writer.data(value)),
  13: of<number>(0, (writer, value) => writer.uint32(value)),
  15: of<number>(5, (writer, value) => writer.sfixed32(value)),
  16: of<bigint>(1, (writer, value) => writer.sfixed64(value)),
  17: of<number>(0, (writer, value) => writer.sint32(value)),
  18: of<bigint>(0, (writer, value) => writer.sint64(value)),
};
const int32 = 5;
const implicit = 2;
const required = 3;

export function fieldWriter(field: DescField, messages: Messages): FieldWriter {
  switch (field.fieldKind) {
    case "list":
      return list(field, messages);
    case "map":
      return map(field, messages);
    default:
      return singular(field, messages);
  }
}

function scalarOf(type: number, asString: boolean): Scalar {
  const scalar = scalars[type] as Scalar;
  if (!asString) return scalar;
  return {
    ...scalar,
    write: (writer, value, init) => scalar.write(writer, typeof value === "string" ? BigInt(value) : value, init),
  };
}

function tagOf(field: DescField, wireType: number): number {
  return ((field.number << 3) | wireType) >>> 0;
}

type Singular = DescField & { fieldKind: "scalar" | "enum" | "message" };

function singular(field: Singular, messages: Messages): FieldWriter {
  const { localName, oneof } = field;
  const write = valueWriter(field, messages);
  if (oneof !== undefined) {
    const group = oneof.localName;
    return (writer, message, init) => {
      const chosen = message[group] as { case?: unknown; value?: unknown } | null | undefined;
      if (init && (chosen === undefined || chosen === null)) return;
      if ((chosen as { case?: unknown }).case === localName) write(writer, chosen?.value, init);
    };
  }
  if (field.presence === implicit) return implicitly(field, write);
  const must = field.presence === required;
  return (writer, message, init) => {
    const value = message[localName];
    const set = init ? value !== undefined && value !== null : value !== undefined && Object.hasOwn(message, localName);
    if (set) write(writer, value, init);
    else if (must) throw odd;
  };
}

/** Set when it is not the zero. */
function implicitly(field: Singular, write: ValueWriter): FieldWriter {
  const { localName } = field;
  let isZero: (value: unknown) => boolean;
  const scalar = field.fieldKind === "scalar" ? field.scalar : int32;
  const zero = field.fieldKind === "enum" ? field.enum.values[0]?.number : zeroOf(scalar);
  if (scalar < 3) isZero = (value) => Object.is(value, 0);
  else if (scalar === 12) isZero = (value) => value instanceof Uint8Array && value.length === 0;
  else if (field.fieldKind === "scalar" && field.longAsString)
    isZero = (value) => (typeof value === "string" ? BigInt(value) : value) === 0n;
  else
    return (writer, message, init) => {
      const value = message[localName];
      if (value === zero || (init && (value === undefined || value === null))) return;
      write(writer, value, init);
    };
  return (writer, message, init) => {
    const value = message[localName];
    if (isZero(value) || (init && (value === undefined || value === null))) return;
    write(writer, value, init);
  };
}

/** With its tag. */
function valueWriter(field: Singular, messages: Messages): ValueWriter {
  if (field.fieldKind === "message") {
    if (!isWrapped(field)) return childWriter(field, messages);
    const tag = tagOf(field, 2);
    const type = messages(field.message);
    return (writer, value) => {
      writer.uint32(tag);
      const from = writer.open();
      type.write(writer, { value }, false);
      writer.close(from);
    };
  }
  const { wireType, write } =
    field.fieldKind === "scalar" ? scalarOf(field.scalar, field.longAsString) : scalarOf(int32, false);
  const tag = tagOf(field, wireType);
  return (writer, value, init) => {
    writer.uint32(tag);
    write(writer, value, init);
  };
}

function childWriter(field: DescField & { message: DescMessage }, messages: Messages, at?: number): ValueWriter {
  const type = messages(field.message);
  const group = "delimitedEncoding" in field && field.delimitedEncoding;
  const tag = at ?? tagOf(field, group ? 3 : 2);
  return (writer, value, init) => {
    if (typeof value !== "object" || value === null || Array.isArray(value)) throw odd;
    const made = (value as Fields).$typeName === type.name;
    if (!made && !init) throw odd;
    writer.uint32(tag);
    if (group) {
      type.write(writer, value as Fields, !made);
      writer.uint32(tag + 1);
    } else {
      const from = writer.open();
      type.write(writer, value as Fields, !made);
      writer.close(from);
    }
  };
}

function list(field: DescField & { fieldKind: "list" }, messages: Messages): FieldWriter {
  const { localName } = field;
  let tag: number | undefined;
  let write: ValueWriter;
  if (field.listKind === "message") write = childWriter(field, messages);
  else {
    const scalar =
      field.listKind === "enum" ? scalarOf(int32, false) : scalarOf(field.scalar, field.longAsString);
    ({ write } = scalar);
    if (field.packed) {
      tag = tagOf(field, 2);
      return (writer, message, init) => {
        const items = itemsOf(message[localName], init);
        if (items.length === 0) return;
        writer.uint32(tag as number);
        const from = writer.open();
        for (let i = 0; i < items.length; i++) write(writer, items[i], init);
        writer.close(from);
      };
    }
    tag = tagOf(field, scalar.wireType);
  }
  return (writer, message, init) => {
    const items = itemsOf(message[localName], init);
    for (let i = 0; i < items.length; i++) {
      if (tag !== undefined) writer.uint32(tag);
      write(writer, items[i], init);
    }
  };
}

const nothing: readonly unknown[] = [];

function itemsOf(value: unknown, init: boolean): readonly unknown[] {
  if (Array.isArray(value)) return value;
  if (init && (value === undefined || value === null)) return nothing;
  throw odd;
}

function map(field: DescField & { fieldKind: "map" }, messages: Messages): FieldWriter {
  const { localName } = field;
  const tag = tagOf(field, 2);
  const key = scalars[field.mapKey] as Scalar;
  const keyOf = keyReader(field.mapKey);
  const keyTag = 8 | key.wireType;
  let valueTag = 0;
  let write: ValueWriter;
  if (field.mapKind === "message") write = childWriter(field, messages, 18);
  else {
    const scalar = scalarOf(field.mapKind === "enum" ? int32 : field.scalar, false);
    valueTag = 16 | scalar.wireType;
    ({ write } = scalar);
  }
  return (writer, message, init) => {
    const record = message[localName];
    if (init && (record === undefined || record === null)) return;
    if (typeof record !== "object" || record === null || Array.isArray(record)) throw odd;
    for (const name of Object.keys(record)) {
      writer.uint32(tag);
      const from = writer.open();
      writer.uint32(keyTag);
      key.write(writer, keyOf(name), init);
      if (valueTag !== 0) writer.uint32(valueTag);
      write(writer, (record as Record<string, unknown>)[name], init);
      writer.close(from);
    }
  };
}

/** What a key of an object is as a ScalarType. */
function keyReader(type: number): (name: string) => unknown {
  if (type === 9) return (name) => name;
  if (type === 8)
    return (name) => {
      if (name !== "true" && name !== "false") throw odd;
      return name === "true";
    };
  return typeof zeroOf(type) === "bigint" ? BigInt : (name) => Number.parseInt(name);
}
