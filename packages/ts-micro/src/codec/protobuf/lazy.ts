import type { FlatBody, MessageDescriptor } from "../../codec.ts";
import { errors, isMicroError, type MicroError } from "../../errors.ts";
import { bytesOf } from "../../wire/body.ts";

/** Messages as protobuf bytes and as proto JSON. All methods throw BAD_REQUEST for what is no such message. */
export interface MessageFormats {
  /** To be copied at once. */
  toBody(value: unknown, descriptor: MessageDescriptor): FlatBody | Uint8Array;
  /** The message in `bytes[from, to)`, of which it keeps none. */
  fromBody(bytes: Buffer, from: number, to: number, descriptor: MessageDescriptor): unknown;
  /** Canonical proto JSON, which Go reads from v4 to v6 (wire spec §1.6). */
  toJson(value: unknown, descriptor: MessageDescriptor): unknown;
  /** The JSON of Go's generated structs, which its json-rpc reads and writes (wire spec §1.6). */
  toStruct(value: unknown, descriptor: MessageDescriptor): unknown;
  /** Reads what any Go version writes: proto JSON, and the encoding/json of a generated struct. */
  fromJson(value: unknown, descriptor: MessageDescriptor): unknown;
}

/** What codecs know of protobuf before they need it: nothing but where it is. */
export class LazyMessages {
  readonly #id: string;
  #formats: MessageFormats | undefined;
  #missing: MicroError | undefined;

  /** `id`: who reports the errors. */
  constructor(id: string) {
    this.#id = id;
  }

  /** Rejects with PACKAGE_MISSING. */
  async load(): Promise<void> {
    try {
      this.#formats ??= await (await import("./messages.ts")).openMessages(this.#id);
    } catch (error) {
      if (isMicroError(error)) this.#missing = error;
      throw error;
    }
  }

  /** {@link load} for those who need it only for values with a descriptor: then the first of these says what is missing. */
  async tryLoad(): Promise<void> {
    await this.load().catch((error: unknown) => {
      if (!isMicroError(error)) throw error;
    });
  }

  /** Throws UNSUPPORTED without a descriptor. */
  of(descriptor: MessageDescriptor | undefined): MessageFormats {
    if (descriptor === undefined)
      throw errors.unsupported(
        this.#id,
        "protobuf needs a message descriptor: use generated code, or application/json",
      );
    if (this.#formats !== undefined) return this.#formats;
    throw this.#missing ?? errors.invalidState(this.#id, "the codec is used before load()");
  }

  toBinary(value: unknown, descriptor: MessageDescriptor | undefined): Uint8Array {
    return bytesOf(this.toBody(value, descriptor));
  }

  fromBinary(body: Uint8Array, descriptor: MessageDescriptor | undefined): unknown {
    return this.fromBody(Buffer.from(body.buffer, body.byteOffset, body.length), 0, body.length, descriptor);
  }

  toBody(value: unknown, descriptor: MessageDescriptor | undefined): FlatBody | Uint8Array {
    return this.of(descriptor).toBody(value, descriptor as MessageDescriptor);
  }

  fromBody(bytes: Buffer, from: number, to: number, descriptor: MessageDescriptor | undefined): unknown {
    return this.of(descriptor).fromBody(bytes, from, to, descriptor as MessageDescriptor);
  }

  toJson(value: unknown, descriptor: MessageDescriptor): unknown {
    return this.of(descriptor).toJson(value, descriptor);
  }

  toStruct(value: unknown, descriptor: MessageDescriptor): unknown {
    return this.of(descriptor).toStruct(value, descriptor);
  }

  fromJson(value: unknown, descriptor: MessageDescriptor): unknown {
    return this.of(descriptor).fromJson(value, descriptor);
  }
}
