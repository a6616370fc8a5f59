import type { FlatBody } from "./wire/flat-body.ts";

export type { FlatBody } from "./wire/flat-body.ts";

/** A protobuf message descriptor (protobuf-es `DescMessage`), named by structure so that nothing here needs that package. */
export interface MessageDescriptor {
  readonly kind: "message";
  readonly typeName: string;
}

/** What an enveloped codec (json-rpc, proto-rpc) puts around a body, and finds around one. */
export interface Envelope {
  type: "request" | "response" | "error" | "event";
  /** Call id; empty when there is none. */
  id: string;
  /** `Greeter.Hello` */
  endpoint: string;
  /** Text of an error; only with type `error`. */
  error?: string | undefined;
}

/**
 * Turns values into bodies and back, by content type. Pure: no I/O except `load`.
 * `decode` throws BAD_REQUEST for bytes that are no value, `encode` for a value that has no such form.
 */
export interface Codec {
  readonly name: string;
  /** Exact content types it serves, the one it writes first. */
  readonly contentTypes: readonly [string, ...string[]];
  /** True when it puts an envelope around bodies, so that errors have a body as well. */
  readonly enveloped?: boolean;
  /** The reply of a handler that returns nothing. Default: an empty object. */
  readonly empty?: unknown;
  /** Loads an optional package, which only descriptors need. Engines await it once before the first use with one. Rejects with PACKAGE_MISSING. */
  load?(): Promise<void>;
  /** `value` as bytes. With a descriptor the value is a message of it (or an init of one). */
  encode(value: unknown, descriptor?: MessageDescriptor, envelope?: Envelope): Uint8Array;
  /** The value of `body`. Enveloped codecs fill in `envelope` from what they find. */
  decode(body: Uint8Array, descriptor?: MessageDescriptor, envelope?: Envelope): unknown;
  /** Codecs whose bodies are text: the same between ends of ours, without the way over bytes. Both or none. */
  encodeText?(value: unknown, descriptor?: MessageDescriptor): string;
  decodeText?(text: string, descriptor?: MessageDescriptor): unknown;
  /** The same between ends of ours, straight to and from bytes that are others soon; undefined for what is left to the methods above. */
  encodeFlat?(value: unknown, descriptor?: MessageDescriptor): FlatBody | Uint8Array | undefined;
  decodeFlat?(bytes: Buffer, from: number, to: number, descriptor?: MessageDescriptor): unknown;
}

/** The codecs of one engine by content type, each loaded once. */
export class Codecs {
  readonly #byType = new Map<string, Codec>();
  readonly #loaded = new Set<Codec>();
  readonly #loading = new Map<Codec, Promise<void>>();

  constructor(codecs: Iterable<Codec>) {
    for (const codec of codecs) for (const type of codec.contentTypes) this.#byType.set(type, codec);
  }

  get(contentType: string): Codec | undefined {
    return this.#byType.get(contentType);
  }

  /** Makes every codec ready for descriptors. */
  async load(): Promise<void> {
    for (const codec of new Set(this.#byType.values())) await this.ready(codec, true);
  }

  /** Undefined when the codec is ready to use, with descriptors if `described`; else the promise of it. */
  ready(codec: Codec, described: boolean): Promise<void> | undefined {
    if (!described || codec.load === undefined || this.#loaded.has(codec)) return undefined;
    let loading = this.#loading.get(codec);
    if (loading === undefined) {
      loading = codec.load().then(
        () => {
          this.#loaded.add(codec);
          this.#loading.delete(codec);
        },
        (error: unknown) => {
          this.#loading.delete(codec);
          throw error;
        },
      );
      this.#loading.set(codec, loading);
    }
    return loading;
  }
}
