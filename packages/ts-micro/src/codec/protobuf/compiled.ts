import type { DescMessage, Message } from "@bufbuild/protobuf";
import { odd, type Reader } from "../../wire/protobuf/reader.ts";
import { writers, type Writer } from "../../wire/protobuf/writer.ts";
import { fieldReader, type FieldReader } from "./read.ts";
import { fieldWriter, type FieldWriter } from "./write.ts";

/** A message, or its init. */
export interface Fields extends Record<string, unknown> {
  $unknown?: { no: number; wireType: number; data: Uint8Array }[] | undefined;
}

export type Messages = (desc: DescMessage) => CompiledMessage;
type Create = (desc: DescMessage) => Message;

const compiled = new WeakMap<DescMessage, CompiledMessage | false>();

/** The functions of a message type, made once; false when it, or a type that it reaches, has a field that they do not cover. */
export function compiledOf(desc: DescMessage, create: Create): CompiledMessage | false {
  let type = compiled.get(desc);
  if (type === undefined) {
    if (isCovered(desc)) type = new CompiledMessage(desc, create);
    else compiled.set(desc, (type = false));
  }
  return type;
}

/** Not covered: groups, 64-bit integers as strings, google.protobuf.Struct where it is plain JSON, and what descriptors may come to hold. */
function isCovered(root: DescMessage): boolean {
  const reached = new Set([root]);
  for (const { fields, typeName } of reached) {
    for (const field of fields as readonly AnyField[]) {
      const { message, scalar = 5 } = field;
      if (field.longAsString || field.delimitedEncoding || !(scalar in writers)) return false;
      if (message?.typeName === "google.protobuf.Struct" && typeName !== "google.protobuf.Value") return false;
      if (message !== undefined) reached.add(message);
    }
  }
  return true;
}

/** A field of any kind. */
interface AnyField {
  readonly message: DescMessage | undefined;
  readonly scalar: number | undefined;
  readonly longAsString?: boolean;
  readonly delimitedEncoding?: boolean;
}

/** Messages in each other. */
const deepest = 100;

/** Reads and writes the messages of one type. */
export class CompiledMessage {
  readonly name: string;
  readonly #prototype: object | undefined;
  /** What the empty message has, in its order. */
  readonly #parts: { name: string; zero: unknown; kind: string }[] = [];
  /** By number. */
  readonly #readers: (FieldReader | undefined)[] = [];
  readonly #writers: FieldWriter[];

  constructor(desc: DescMessage, create: Create) {
    // At once: it may be a field of itself.
    compiled.set(desc, this);
    this.name = desc.typeName;
    const zero = create(desc) as unknown as Fields;
    const prototype = Object.getPrototypeOf(zero) as object;
    if (prototype !== Object.prototype) this.#prototype = prototype;
    for (const member of desc.members) {
      const { localName: name } = member;
      if (!Object.hasOwn(zero, name)) continue;
      const kind = member.kind === "oneof" ? member.kind : member.fieldKind;
      this.#parts.push({ name, zero: zero[name], kind });
    }
    const messages: Messages = (of) => compiled.get(of) || new CompiledMessage(of, create);
    for (const field of desc.fields) this.#readers[field.number] = fieldReader(field, messages);
    const fields = desc.fields.toSorted((a, b) => a.number - b.number);
    this.#writers = fields.map((field) => fieldWriter(field, messages, zero));
  }

  /** The empty message. */
  make(): Fields {
    const m = (this.#prototype === undefined ? {} : Object.create(this.#prototype)) as Fields;
    m["$typeName"] = this.name;
    for (const { name, zero, kind } of this.#parts)
      m[name] = kind === "list" ? [] : kind === "map" ? {} : kind === "oneof" ? { case: undefined } : zero;
    return m;
  }

  /** Adds to a message what stands up to `end`. */
  read(m: Fields, r: Reader, end: number): Fields {
    if (++r.depth > deepest) throw odd;
    while (r.at < end) {
      const tag = r.tag();
      const read = this.#readers[tag >>> 3];
      if (read !== undefined) read(m, r, tag);
      else (m.$unknown ??= []).push({ no: tag >>> 3, wireType: tag & 7, data: r.unknown(tag) });
    }
    r.depth--;
    return m;
  }

  /** Does not look whose message it is. `init`: it is none yet. */
  write(w: Writer, m: Fields, init: boolean): void {
    for (const write of this.#writers) write(w, m, init);
    if (init || m.$unknown === undefined) return;
    for (const { no, wireType, data } of m.$unknown) {
      w.varint(((no << 3) | wireType) >>> 0);
      w.raw(data);
    }
  }
}
