import type { DescField, DescMessage, Message } from "@bufbuild/protobuf";
import { odd, type Reader } from "../../wire/protobuf/reader.ts";
import type { Writer } from "../../wire/protobuf/writer.ts";
import { fieldReader, type FieldReader } from "./read.ts";
import { fieldWriter, scalars, type FieldWriter } from "./write.ts";

/** A message, or its init. */
export interface Fields extends Record<string, unknown> {
  $unknown?: { no: number; wireType: number; data: Uint8Array }[];
}

type Create = (desc: DescMessage) => Message;

const compiled = new WeakMap<DescMessage, CompiledMessage | false>();

/** A message type as functions for its fields, made once; false when it, or a type that it reaches, has what these do not cover. */
export function compiledOf(desc: DescMessage, create: Create): CompiledMessage | false {
  const known = compiled.get(desc);
  if (known !== undefined) return known;
  if (covers(desc)) return CompiledMessage.of(desc, create);
  compiled.set(desc, false);
  return false;
}

/**
 * Not covered: google.protobuf.Struct as a field, which holds plain JSON, and what descriptors of a protobuf-es to come may know.
 */
function covers(root: DescMessage): boolean {
  const reached = new Set([root]);
  for (const desc of reached) {
    for (const field of desc.fields) {
      if (!isCovered(field)) return false;
      if (field.message !== undefined) reached.add(field.message);
    }
  }
  return true;
}

function isCovered(field: DescField): boolean {
  if (field.message !== undefined)
    return field.message.typeName !== "google.protobuf.Struct" || field.parent.typeName === "google.protobuf.Value";
  return field.enum !== undefined || (field.scalar !== undefined && field.scalar in scalars);
}

type Kind = "list" | "map" | "oneof" | "value";

/** Reads and writes the messages of one type. */
export class CompiledMessage {
  readonly name: string;
  readonly #prototype: object | undefined;
  /** What the empty message has, in its order. */
  readonly #names: string[] = [];
  readonly #kinds: Kind[] = [];
  readonly #zeros: unknown[] = [];
  /** By number. */
  readonly #readers: (FieldReader | undefined)[] = [];
  readonly #writers: FieldWriter[] = [];

  static of(desc: DescMessage, create: Create): CompiledMessage {
    return compiled.get(desc) || new CompiledMessage(desc, create);
  }

  private constructor(desc: DescMessage, create: Create) {
    // At once: it may be a field of itself.
    compiled.set(desc, this);
    this.name = desc.typeName;
    const zero = create(desc) as unknown as Fields;
    const prototype = Object.getPrototypeOf(zero) as object;
    if (prototype !== Object.prototype) this.#prototype = prototype;
    for (const member of desc.members) {
      const { localName } = member;
      if (!Object.hasOwn(zero, localName)) continue;
      this.#names.push(localName);
      this.#zeros.push(zero[localName]);
      const kind = member.kind === "oneof" ? "oneof" : member.fieldKind;
      this.#kinds.push(kind === "oneof" || kind === "list" || kind === "map" ? kind : "value");
    }
    const messages = (of: DescMessage): CompiledMessage => CompiledMessage.of(of, create);
    for (const field of desc.fields.toSorted((a, b) => a.number - b.number)) {
      this.#readers[field.number] = fieldReader(field, messages);
      this.#writers.push(fieldWriter(field, messages));
    }
  }

  /** The empty message. */
  make(): Fields {
    let message: Fields;
    if (this.#prototype === undefined) message = { $typeName: this.name };
    else {
      message = Object.create(this.#prototype) as Fields;
      message["$typeName"] = this.name;
    }
    for (let i = 0; i < this.#names.length; i++) {
      const name = this.#names[i] as string;
      switch (this.#kinds[i]) {
        case "list":
          message[name] = [];
          break;
        case "map":
          message[name] = {};
          break;
        case "oneof":
          message[name] = { case: undefined };
          break;
        default:
          message[name] = this.#zeros[i];
      }
    }
    return message;
  }

  /** Adds what stands up to `end`, or to the end of the group `group` where that is not 0. */
  read(message: Fields, reader: Reader, end: number, group: number): void {
    reader.enter();
    let unknown = message.$unknown;
    const readers = this.#readers;
    let tag = 0;
    while (reader.at < end) {
      tag = reader.tag();
      if (group !== 0 && (tag & 7) === 4) break;
      const read = readers[tag >>> 3];
      if (read !== undefined) read(message, reader, tag);
      else (unknown ??= []).push({ no: tag >>> 3, wireType: tag & 7, data: reader.unknown(tag) });
    }
    if (group !== 0 && tag !== ((group << 3) | 4) >>> 0) throw odd;
    if (unknown !== undefined) message.$unknown = unknown;
    reader.depth--;
  }

  /** Without a look at whose message it is. `init`: it is none yet. */
  write(writer: Writer, message: Fields, init: boolean): void {
    const writers = this.#writers;
    for (let i = 0; i < writers.length; i++) (writers[i] as FieldWriter)(writer, message, init);
    if (init || message.$unknown === undefined) return;
    for (const { no, wireType, data } of message.$unknown) {
      if (!(data instanceof Uint8Array)) throw odd;
      writer.uint32(((no << 3) | wireType) >>> 0);
      writer.raw(data);
    }
  }
}
