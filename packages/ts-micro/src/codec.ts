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
  /** Loads an optional package. Engines await it once before the first use. Rejects with PACKAGE_MISSING. */
  load?(): Promise<void>;
  /** `value` as bytes. With a descriptor the value is a message of it (or an init of one). */
  encode(value: unknown, descriptor?: MessageDescriptor, envelope?: Envelope): Uint8Array;
  /** The value of `body`. Enveloped codecs fill in `envelope` from what they find. */
  decode(body: Uint8Array, descriptor?: MessageDescriptor, envelope?: Envelope): unknown;
}
