import type { DescMessage, JsonValue, Message } from "@bufbuild/protobuf";
import type { FlatBody, MessageDescriptor } from "../../codec.ts";
import { errors, isMicroError } from "../../errors.ts";
import { loadPeer } from "../../internal/peer.ts";
import { odd, Reader } from "../../wire/protobuf/reader.ts";
import { Writer } from "../../wire/protobuf/writer.ts";
import { compiledOf, type CompiledMessage } from "./compiled.ts";
import type { MessageFormats } from "./lazy.ts";
import { isObject } from "./kinds.ts";
import { goStruct } from "./go-struct.ts";
import { normalise } from "./normalise.ts";

type Library = Pick<
  typeof import("@bufbuild/protobuf"),
  "create" | "toBinary" | "fromBinary" | "toJson" | "fromJson" | "protoInt64"
>;

const writer = new Writer();
/** Something is written: a getter that encodes something itself has it done by protobuf-es. */
let busy = false;

/** Loads `@bufbuild/protobuf`. Rejects with PACKAGE_MISSING. `id`: who reports the errors. */
export async function openMessages(id: string): Promise<MessageFormats> {
  return new Messages(id, await loadPeer("@bufbuild/protobuf", () => import("@bufbuild/protobuf")));
}

/** The type that was asked for last, which is most often the next. */
class Latest {
  readonly #library: Library;
  #desc: DescMessage | undefined;
  #type: CompiledMessage | false = false;

  constructor(library: Library) {
    this.#library = library;
  }

  of(desc: DescMessage): CompiledMessage | false {
    if (desc !== this.#desc) {
      this.#type = this.#library.protoInt64.supported && compiledOf(desc, this.#library.create);
      this.#desc = desc;
    }
    return this.#type;
  }
}

class Messages implements MessageFormats {
  readonly #id: string;
  readonly #library: Library;
  readonly #reading: Latest;
  readonly #writing: Latest;

  constructor(id: string, library: Library) {
    this.#id = id;
    this.#library = library;
    this.#reading = new Latest(library);
    this.#writing = new Latest(library);
  }

  toBody(value: unknown, descriptor: MessageDescriptor): FlatBody | Uint8Array {
    const type = this.#writing.of(descriptor as DescMessage);
    if (type && !busy && isObject(value)) {
      const { $typeName } = value;
      const init = $typeName === undefined;
      busy = true;
      try {
        writer.clear();
        if (!init && $typeName !== type.name) throw odd;
        type.write(writer, value, init);
        return writer;
      } catch {
        // What protobuf-es makes of it is what counts.
      } finally {
        busy = false;
      }
    }
    return this.#encode(descriptor, value, (desc, message) => this.#library.toBinary(desc, message));
  }

  fromBody(bytes: Buffer, from: number, to: number, descriptor: MessageDescriptor): unknown {
    const type = this.#reading.of(descriptor as DescMessage);
    if (type) {
      try {
        return type.read(type.make(), new Reader(bytes, from, to), to);
      } catch {
        // As above.
      }
    }
    // Fields of bytes are views of what they were read from.
    const own = new Uint8Array(bytes.subarray(from, to));
    return this.#decode(descriptor, (desc) => this.#library.fromBinary(desc, own));
  }

  toJson(value: unknown, descriptor: MessageDescriptor): JsonValue {
    return this.#encode(descriptor, value, (desc, message) => this.#library.toJson(desc, message));
  }

  toStruct(value: unknown, descriptor: MessageDescriptor): unknown {
    return this.#encode(descriptor, value, (desc, message) =>
      goStruct(desc, this.#library.toJson(desc, message, { useProtoFieldName: true, enumAsInteger: true })),
    );
  }

  fromJson(value: unknown, descriptor: MessageDescriptor): Message {
    return this.#decode(descriptor, (desc) =>
      this.#library.fromJson(desc, normalise(desc, value ?? nothing(desc)) as JsonValue, { ignoreUnknownFields: true }),
    );
  }

  #encode<T>(descriptor: MessageDescriptor, value: unknown, encode: (desc: DescMessage, message: Message) => T): T {
    const desc = descriptor as DescMessage;
    try {
      return encode(desc, this.#message(desc, value));
    } catch (error) {
      if (isMicroError(error)) throw error;
      throw errors.badRequest(this.#id, `no ${desc.typeName}: ${reason(error)}`, error);
    }
  }

  /** A message as it is, anything else as the init of one; nothing is the empty message. */
  #message(desc: DescMessage, value: unknown): Message {
    const init = value ?? {};
    if (!isObject(init))
      throw errors.badRequest(
        this.#id,
        `a ${desc.typeName} is an object, not ${Array.isArray(init) ? "an array" : typeof init}`,
      );
    const { $typeName } = init as { $typeName?: unknown };
    if ($typeName === desc.typeName) return init as Message;
    if ($typeName !== undefined)
      throw errors.badRequest(this.#id, `a message ${JSON.stringify($typeName)} where ${desc.typeName} is due`);
    return this.#library.create(desc, init);
  }

  #decode<T>(descriptor: MessageDescriptor, decode: (desc: DescMessage) => T): T {
    try {
      return decode(descriptor as DescMessage);
    } catch (error) {
      throw errors.badRequest(this.#id, `the body is no ${descriptor.typeName}: ${reason(error)}`, error);
    }
  }
}

/** What a body `null` stands for: the empty message, as for Go v4, but where null is a value. */
function nothing(desc: DescMessage): object | null {
  return desc.typeName === "google.protobuf.Value" ? null : {};
}

function reason(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
