import type { DescField } from "@bufbuild/protobuf";
import { odd, readers, type Reader } from "../../wire/protobuf/reader.ts";
import type { Fields, Messages } from "./compiled.ts";
import { isWrapper } from "./kinds.ts";

/** Reads a field of the message `m`, before which stood `tag`. */
export type FieldReader = (m: Fields, r: Reader, tag: number) => void;
/** Reads a value; one that is a message is merged into `known`. */
type ValueReader = (r: Reader, known?: unknown) => unknown;

function scalarReader(type: number, strict: boolean): ValueReader {
  return type === 9 ? (r) => r.text(strict) : (readers[type] as ValueReader);
}

/** Whether a field holds the value of a wrapper in place of it. */
export function isWrapped({ fieldKind, oneof, message }: DescField): boolean {
  return fieldKind === "message" && oneof === undefined && isWrapper(message);
}

function valueReader(field: DescField, messages: Messages): ValueReader {
  const { message, utf8Validation } = field;
  if (message !== undefined) {
    const type = messages(message);
    const wrapped = isWrapped(field);
    return (r, known) => {
      const child = wrapped || known === undefined ? type.make() : (known as Fields);
      if (wrapped && known !== undefined) child["value"] = known;
      type.read(child, r, r.frame());
      return wrapped ? child["value"] : child;
    };
  }
  const read = scalarReader(field.scalar ?? 5, utf8Validation);
  if (field.fieldKind !== "enum" || field.enum.open) return read;
  const values = new Set<unknown>(field.enum.values.map(({ number }) => number));
  return (r) => {
    const value = read(r);
    // It is an unknown field then.
    if (!values.has(value)) throw odd;
    return value;
  };
}

export function fieldReader(field: DescField, messages: Messages): FieldReader {
  const { localName: name, oneof, message } = field;
  const scalar: number | undefined = field.scalar;
  const read = valueReader(field, messages);
  if (field.fieldKind === "list") {
    const unpackable = message !== undefined || scalar === 9 || scalar === 12;
    return (m, r, tag) => {
      const items = m[name] as unknown[];
      if (unpackable || (tag & 7) !== 2) return void items.push(read(r));
      for (const end = r.frame(); r.at < end;) items.push(read(r));
    };
  }
  if (field.fieldKind === "map") {
    const readKey = scalarReader(field.mapKey, field.utf8Validation);
    return (m, r) => {
      const end = r.frame();
      let key: unknown;
      let value: unknown;
      while (r.at < end) {
        const tag = r.tag() >>> 3;
        if (tag === 1) key = readKey(r);
        else if (tag === 2) value = read(r, value);
        else throw odd;
      }
      // What is not there is the zero of its type.
      if (key === undefined || value === undefined || key === "__proto__") throw odd;
      (m[name] as Fields)[key as string] = value;
    };
  }
  if (oneof !== undefined) {
    const group = oneof.localName;
    return (m, r) => {
      const chosen = m[group] as Fields;
      const known = chosen["case"] === name ? chosen["value"] : undefined;
      m[group] = { case: name, value: read(r, known) };
    };
  }
  if (message !== undefined) return (m, r) => void (m[name] = read(r, m[name]));
  return (m, r) => void (m[name] = read(r));
}
