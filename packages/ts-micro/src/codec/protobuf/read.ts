import type { DescField, DescMessage } from "@bufbuild/protobuf";
import type { Reader } from "../../wire/protobuf/reader.ts";
import type { CompiledMessage, Fields } from "./compiled.ts";
import { isWrapped } from "./wrapped.ts";

/** Reads the value of a field into its message. `tag`: what stood before it. */
export type FieldReader = (message: Fields, reader: Reader, tag: number) => void;
type ValueReader = (reader: Reader) => unknown;
type Messages = (desc: DescMessage) => CompiledMessage;

/** By ScalarType. */
const scalars: Readonly<Record<number, ValueReader>> = {
  1: (reader) => reader.double(),
  2: (reader) => reader.float(),
  3: (reader) => reader.int64(),
  4: (reader) => reader.uint64(),
  5: (reader) => reader.int32(),
  6: (reader) => reader.fixed64(),
  7: (reader) => reader.fixed32(),
  8: (reader) => reader.bool(),
  9: (reader) => reader.text(false),
  12: (reader) => reader.data(),
  13: (reader) => reader.uint32(),
  15: (reader) => reader.sfixed32(),
  16: (reader) => reader.sfixed64(),
  17: (reader) => reader.sint32(),
  18: (reader) => reader.sint64(),
};
const strictText: ValueReader = (reader) => reader.text(true);
const int32 = 5;
const string = 9;
const bytes = 12;

function scalarReader(type: number, strict: boolean, asString: boolean): ValueReader {
  if (type === string && strict) return strictText;
  const read = scalars[type] as ValueReader;
  return asString ? (reader) => String(read(reader)) : read;
}

export function fieldReader(field: DescField, messages: Messages): FieldReader {
  switch (field.fieldKind) {
    case "scalar":
      return setter(field, scalarReader(field.scalar, field.utf8Validation, field.longAsString));
    case "enum":
      return field.enum.open ? setter(field, scalars[int32] as ValueReader) : closedEnum(field);
    case "message":
      return isWrapped(field) ? wrapper(field, messages) : message(field, messages);
    case "list":
      return list(field, messages);
    case "map":
      return map(field, messages);
  }
}

function setter({ localName, oneof }: DescField, read: ValueReader): FieldReader {
  if (oneof === undefined) return (into, reader) => void (into[localName] = read(reader));
  const group = oneof.localName;
  return (into, reader) => void (into[group] = { case: localName, value: read(reader) });
}

/** What is none of its values is an unknown field. */
function closedEnum(field: DescField & { fieldKind: "enum" }): FieldReader {
  const values = new Set(field.enum.values.map(({ number }) => number));
  let value = 0;
  const set = setter(field, () => value);
  return (into, reader, tag) => {
    value = reader.int32();
    if (values.has(value)) return set(into, reader, tag);
    (into.$unknown ??= []).push({ no: field.number, wireType: tag & 7, data: varint(value) });
  };
}

function varint(value: number): Uint8Array {
  const data: number[] = [];
  let rest = BigInt.asUintN(64, BigInt(value));
  for (; rest > 127n; rest >>= 7n) data.push(Number(rest & 127n) | 128);
  return Uint8Array.of(...data, Number(rest));
}

/** Reads a message into another one. */
function childReader(
  field: DescField & { message: DescMessage },
  type: CompiledMessage,
): (child: Fields, reader: Reader) => void {
  const { number } = field;
  if ("delimitedEncoding" in field && field.delimitedEncoding)
    return (child, reader) => type.read(child, reader, reader.end, number);
  return (child, reader) => {
    const length = reader.uint32();
    type.read(child, reader, reader.at + length, 0);
  };
}

function message(field: DescField & { fieldKind: "message" }, messages: Messages): FieldReader {
  const { localName, oneof } = field;
  const type = messages(field.message);
  const read = childReader(field, type);
  if (oneof === undefined)
    return (into, reader) => {
      const child = (into[localName] as Fields | undefined) ?? type.make();
      read(child, reader);
      into[localName] = child;
    };
  const group = oneof.localName;
  return (into, reader) => {
    const known = into[group] as { case: string; value: Fields };
    const child = known.case === localName ? known.value : type.make();
    read(child, reader);
    into[group] = { case: localName, value: child };
  };
}

/** A message of one value, of which the field has the value alone. */
function wrapper(field: DescField & { fieldKind: "message" }, messages: Messages): FieldReader {
  const { localName } = field;
  const type = messages(field.message);
  const read = childReader(field, type);
  return (into, reader) => {
    const child = type.make();
    const known = into[localName];
    if (known !== undefined) child["value"] = known;
    read(child, reader);
    into[localName] = child["value"];
  };
}

function list(field: DescField & { fieldKind: "list" }, messages: Messages): FieldReader {
  const { localName } = field;
  if (field.listKind === "message") {
    const type = messages(field.message);
    const read = childReader(field, type);
    return (into, reader) => {
      const child = type.make();
      read(child, reader);
      (into[localName] as unknown[]).push(child);
    };
  }
  const scalar = field.listKind === "enum" ? int32 : field.scalar;
  const read = scalarReader(scalar, field.utf8Validation, field.listKind === "scalar" && field.longAsString);
  const packable = scalar !== string && scalar !== bytes;
  return (into, reader, tag) => {
    const items = into[localName] as unknown[];
    if (!packable || (tag & 7) !== 2) return void items.push(read(reader));
    const length = reader.uint32();
    for (const end = reader.at + length; reader.at < end; ) items.push(read(reader));
  };
}

function map(field: DescField & { fieldKind: "map" }, messages: Messages): FieldReader {
  const { localName } = field;
  const readKey = scalarReader(field.mapKey, field.utf8Validation, false);
  const zeroKey = field.mapKey === string ? "" : field.mapKey === 8 ? false : 0;
  let readValue: (reader: Reader, known: unknown) => unknown;
  let zero: () => unknown;
  if (field.mapKind === "message") {
    const type = messages(field.message);
    const read = childReader(field, type);
    readValue = (reader, known) => {
      const child = (known as Fields | undefined) ?? type.make();
      read(child, reader);
      return child;
    };
    zero = () => type.make();
  } else {
    const scalar = field.mapKind === "enum" ? int32 : field.scalar;
    readValue = scalarReader(scalar, field.utf8Validation, false);
    const value = field.mapKind === "enum" ? field.enum.values[0]?.number : zeroOf(scalar);
    zero = scalar === bytes ? () => new Uint8Array(0) : () => value;
  }
  return (into, reader) => {
    const length = reader.uint32();
    const end = reader.at + length;
    let key: unknown;
    let value: unknown;
    while (reader.at < end) {
      const tag = reader.tag();
      if (tag >>> 3 === 1) key = readKey(reader);
      else if (tag >>> 3 === 2) value = readValue(reader, value);
      else reader.skip(tag);
    }
    const name = String(key ?? zeroKey);
    value ??= zero();
    const record = into[localName] as Record<string, unknown>;
    if (name !== "__proto__") record[name] = value;
    else Object.defineProperty(record, name, { value, writable: true, enumerable: true, configurable: true });
  };
}

/** The zero of a ScalarType. */
export function zeroOf(type: number): unknown {
  if (type === string) return "";
  if (type === 8) return false;
  return type === 3 || type === 4 || type === 6 || type === 16 || type === 18 ? 0n : 0;
}
