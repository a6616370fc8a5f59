import type { DescField } from "@bufbuild/protobuf";
import { odd } from "../../wire/protobuf/reader.ts";
import { writers, type Writer } from "../../wire/protobuf/writer.ts";
import type { Fields, Messages } from "./compiled.ts";
import { isObject, wide } from "./kinds.ts";
import { isWrapped } from "./read.ts";

/** Writes a field of the message `m` if it is set. `init`: it is to be a message. */
export type FieldWriter = (w: Writer, m: Fields, init: boolean) => void;
type ValueWriter = (w: Writer, value: unknown, init: boolean) => void;
type Typed = readonly [wireType: number, write: ValueWriter];

/** A FieldPresence. */
const required = 3;

/** With the tag of field `number`. */
function tagged([wireType, write]: Typed, number: number): ValueWriter {
  const tag = ((number << 3) | wireType) >>> 0;
  return (w, value, init) => {
    w.varint(tag);
    write(w, value, init);
  };
}

/** With its length. */
function framed(write: ValueWriter): Typed {
  return [
    2,
    (w, value, init) => {
      const from = w.open();
      write(w, value, init);
      w.close(from);
    },
  ];
}

function messageWriter(field: DescField & { message: object }, messages: Messages): ValueWriter {
  const type = messages(field.message);
  if (isWrapped(field)) return (w, value) => type.write(w, { value }, false);
  return (w, value, init) => {
    const made = (value as Fields)["$typeName"] === type.name;
    if (!made && !(init && isObject(value))) throw odd;
    type.write(w, value as Fields, !made);
  };
}

/** What is undefined or null is not set in an init, and odd in a message. */
function isUnset(value: unknown, init: boolean): boolean {
  if (value !== undefined && value !== null) return false;
  if (!init) throw odd;
  return true;
}

/** `empty`: the empty message. */
export function fieldWriter(field: DescField, messages: Messages, empty: Fields): FieldWriter {
  const { localName: name, number, oneof } = field;
  const scalar: number = field.scalar ?? 5;
  const presence: number = field.presence;
  const typed = field.message === undefined ? (writers[scalar] as Typed) : framed(messageWriter(field, messages));
  let write = tagged(typed, number);
  if (oneof !== undefined) {
    const group = oneof.localName;
    return (w, m, init) => {
      const chosen = m[group] as Fields;
      if (!isUnset(chosen, init) && chosen["case"] === name) write(w, chosen["value"], init);
    };
  }
  if (!Object.hasOwn(empty, name))
    return (w, m, init) => {
      if (init ? !isUnset(m[name], init) : Object.hasOwn(m, name)) write(w, m[name], init);
      else if (presence === required) throw odd;
    };
  if (field.fieldKind === "map") write = mapWriter(field, typed);
  if (field.fieldKind === "list") {
    const each = field.packed ? typed[1] : write;
    const all: ValueWriter = (w, items, init) => {
      if (!Array.isArray(items)) throw odd;
      for (const item of items) each(w, item, init);
    };
    const packed = tagged(framed(all), number);
    write = field.packed ? (w, items, init) => void ((items as unknown[]).length !== 0 && packed(w, items, init)) : all;
  }
  const zero = empty[name];
  const float = scalar < 3;
  return (w, m, init) => {
    const value = m[name];
    // -0 is not the zero of floating point; of empty bytes there are many.
    if (float ? Object.is(value, 0) : value === zero) return;
    if (isUnset(value, init) || (scalar === 12 && value instanceof Uint8Array && value.length === 0)) return;
    write(w, value, init);
  };
}

function mapWriter(field: DescField & { fieldKind: "map" }, typed: Typed): ValueWriter {
  const { mapKey, number }: { mapKey: number; number: number } = field;
  const keyOf = wide.has(mapKey) ? BigInt : mapKey === 8 ? isTrue : mapKey === 9 ? String : Number;
  const writeKey = tagged(writers[mapKey] as Typed, 1);
  const writeValue = tagged(typed, 2);
  const write = framed((w, entry, init) => {
    const [text, value] = entry as [string, unknown];
    const key = keyOf(text);
    if (String(key) !== text) throw odd;
    writeKey(w, key, init);
    writeValue(w, value, init);
  });
  const each = tagged(write, number);
  return (w, record, init) => {
    if (!isObject(record)) throw odd;
    for (const entry of Object.entries(record)) each(w, entry, init);
  };
}

const isTrue = (text: string): boolean => text === "true";
