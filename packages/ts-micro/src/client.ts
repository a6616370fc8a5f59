import type { CallOptions, Kind } from "./context.ts";
import type { Duplex, GenServiceLike, Methods, NameOf, ProtoEndpoints, Remote } from "./endpoint.ts";
import type { Component } from "./lifecycle.ts";
import type { Metadata, MetadataInit } from "./metadata.ts";
import type { Node } from "./wire/registry-record.ts";

/** One call as client interceptors see it, retries inside. */
export interface ClientCall {
  readonly service: string;
  readonly endpoint: string;
  readonly kind: Kind;
  /** The request; an AsyncIterable of them for `client` and `bidi`. An interceptor may hand on another one. */
  readonly request: unknown;
  /** What will be sent; may be changed. */
  readonly metadata: Metadata;
  /** Clock time by which the call settles; Infinity for none. */
  readonly deadline: number;
  readonly options: CallOptions;
}

/** Around a whole call. `next` resolves with the reply, or with the {@link Duplex} of a stream. The first one given is outermost. */
export type ClientInterceptor = (call: ClientCall, next: (call: ClientCall) => Promise<unknown>) => Promise<unknown>;

/** One attempt of a call, on one node. */
export interface Attempt {
  readonly call: ClientCall;
  readonly node: Node;
  /** 1 for the first. */
  readonly number: number;
}

/** Around one attempt (Go's CallWrapper). */
export type CallInterceptor = (attempt: Attempt, next: (attempt: Attempt) => Promise<unknown>) => Promise<unknown>;

/** Options of one publish; those of calls that bound it (`timeout`, a handler's `ctx`) count too. */
export interface PublishMessageOptions {
  signal?: AbortSignal | undefined;
  metadata?: MetadataInit | undefined;
  /** Default: the client's. */
  contentType?: string | undefined;
  /** Publish to this broker topic instead; `Micro-Topic` keeps the message's topic (Go's WithExchange). */
  exchange?: string | undefined;
}

/** Calls, streams and publishes by name. Every call settles exactly once, by its deadline at the latest. */
export interface Client extends Component {
  /** A service by the type it exported (`service<Greeter>("greeter")`) or by any contract type (`service<{ Greeter: GreeterApi }>("greeter")`). */
  service<S>(name: NameOf<S>, options?: CallOptions): Remote<S>;
  /** A protobuf service by its descriptor. */
  service<D extends GenServiceLike>(name: string, descriptor: D, options?: CallOptions): Methods<ProtoEndpoints<D>>;
  /** A unary call without types. `request` must not change before it settles: it is written once there is a connection, and again by a retry. */
  call<O = unknown>(service: string, endpoint: string, request?: unknown, options?: CallOptions): Promise<O>;
  /** A stream without types. For a `server` stream: one `send`, then `end`. */
  stream<O = unknown, I = unknown>(service: string, endpoint: string, options?: CallOptions): Duplex<I, O>;
  /** Publishes a message for the subscribers of `topic`. */
  publish(topic: string, message: unknown, options?: PublishMessageOptions | CallOptions): Promise<void>;
}
