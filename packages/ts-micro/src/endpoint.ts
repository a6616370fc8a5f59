import type { CallOptions, Context, Kind } from "./context.ts";
import type { StandardSchemaV1 } from "./internal/standard-schema.ts";

export type { StandardSchemaV1 } from "./internal/standard-schema.ts";

/** Carries types from a service to its clients; never present at run time. */
export declare const types: unique symbol;

/** A declared endpoint: what {@link endpoint} returns. */
export interface Endpoint<K extends Kind, I, O> {
  readonly kind: K;
  readonly handler: (...args: never[]) => unknown;
  readonly definition: EndpointDefinition<unknown, unknown, Kind>;
  readonly [types]?: [I, O];
}

/** What a handler receives: one request, or a stream of them. */
export type Sent<K extends Kind, I> = K extends "client" | "bidi" ? AsyncIterable<I> : I;
/** What a handler gives back: one reply, or a stream of them (an async generator). */
export type Replied<K extends Kind, O> = K extends "server" | "bidi" ? AsyncIterable<O> : O | Promise<O>;
export type Handler<K extends Kind, I, O> = (request: Sent<K, I>, ctx: Context) => Replied<K, O>;

type In<S> = S extends StandardSchemaV1<infer I, infer _> ? I : unknown;
type Out<S> = S extends StandardSchemaV1<infer _, infer O> ? O : unknown;

/** What an endpoint declares beside its handler. */
export interface EndpointDefinition<Q, R, K extends Kind> {
  /** Any Standard Schema (zod, valibot, arktype …). Each request is parsed by it before the handler runs; a fault is BAD_REQUEST with its path. */
  request?: Q | undefined;
  /** Each response is parsed by it after the handler; the output is sent. A fault is the server's, INTERNAL. */
  response?: R | undefined;
  /** Default `unary`. A handler that receives a stream must say `client` or `bidi`; `async *` methods are `server` by themselves. */
  stream?: K | undefined;
  /** Running twice does no harm: clients may retry it after it may have run. Default false. */
  idempotent?: boolean | undefined;
  /** It only reads: idempotent, and browsers may call it by GET (Connect). Default false. */
  noSideEffects?: boolean | undefined;
  /** Goes into the registry record. */
  metadata?: Readonly<Record<string, string>> | undefined;
}

/**
 * Declares an endpoint with schemas, a stream kind or other facts. The caller sends the schema's input, the handler gets its output;
 * without a schema the request has the type of the handler's parameter, and the reply the one that it returns.
 */
export function endpoint<
  Q extends StandardSchemaV1 | undefined = undefined,
  R extends StandardSchemaV1 | undefined = undefined,
  const K extends Kind = "unary",
  O = never,
  I = unknown,
>(
  definition: EndpointDefinition<Q, R, K>,
  handler: (
    request: Sent<K, Q extends StandardSchemaV1 ? Out<Q> : I>,
    ctx: Context,
  ) => Replied<K, R extends StandardSchemaV1 ? In<R> : O>,
): Endpoint<K, Q extends StandardSchemaV1 ? In<Q> : I, R extends StandardSchemaV1 ? Out<R> : O> {
  return { kind: definition.stream ?? "unary", handler, definition } as never;
}

/** Anything that looks like a protobuf-es service descriptor (`GenService`); named by structure, so that nothing here needs that package. */
export interface GenServiceLike {
  readonly kind: "service";
  readonly name: string;
  readonly typeName: string;
  readonly method: Readonly<Record<string, { methodKind: string; input: unknown; output: unknown }>>;
}

type KindOf<M> = M extends { methodKind: infer K }
  ? K extends "server_streaming"
    ? "server"
    : K extends "client_streaming"
      ? "client"
      : K extends "bidi_streaming"
        ? "bidi"
        : "unary"
  : "unary";
type Shape<D> = D extends { readonly $codegenv2: { a: infer M } } ? M : never;
// What a message can be made of, by structure: message fields as literals too, at any depth (protobuf-es `MessageInitShape`).
type Init<M> = M extends { $typeName: string }
  ? M | { [F in keyof M as F extends "$unknown" ? never : F]?: F extends "$typeName" ? never : InitField<M[F]> }
  : M;
type InitField<F> = F extends Date | Uint8Array | bigint | boolean | string | number
  ? F
  : F extends readonly (infer U)[]
    ? InitField<U>[]
    : F extends { $typeName: string }
      ? Init<F>
      : F extends { case: infer C extends string; value: infer V extends { $typeName: string } }
        ? { case: C; value: Init<V> }
        : F extends { case: string | undefined }
          ? F
          : F extends { [key: string | number]: infer V extends { $typeName: string } }
            ? { [key: string | number]: Init<V> }
            : F;

/** The handlers that implement a protobuf service. */
export type ProtoImpl<D extends GenServiceLike> = {
  [M in keyof D["method"]]: Handler<
    KindOf<D["method"][M]>,
    Shape<D["method"][M]["input"]>,
    Init<Shape<D["method"][M]["output"]>>
  >;
};
/** The endpoints of a protobuf service, as a client sees them. */
export type ProtoEndpoints<D extends GenServiceLike> = {
  [M in keyof D["method"]]: Endpoint<
    KindOf<D["method"][M]>,
    Init<Shape<D["method"][M]["input"]>>,
    Shape<D["method"][M]["output"]>
  >;
};

/**
 * A handler group: endpoints, functions `(request, ctx) => reply`, class instances; data members are ignored. The self-referencing
 * constraint types an un-annotated `ctx`, keeps class instances legal and each member's own type.
 */
export type Group<H> = { [M in keyof H]: Fn | Data };
export type Fn = (request: never, ctx: Context) => unknown;
export type Data = (object & { readonly bind?: never }) | string | number | boolean;

/** Messages of one stream. One-shot and lazy: opened at the first `next`; leaving the loop cancels it. It has no `then`. */
export interface Stream<O> extends AsyncIterable<O>, AsyncDisposable {
  /** Ends it; what is pending settles with CANCELLED. */
  cancel(reason?: unknown): void;
  /**
   * In place of a loop, for many small messages: calls `each` with every message, one after the other; the next one waits for a promise
   * that it returns. Resolves at the end of the stream and rejects with its error. What `each` throws cancels the stream, and is thrown.
   */
  forEach(each: (message: O) => unknown): Promise<void>;
}

/** A stream both ways. */
export interface Duplex<I, O> extends Stream<O> {
  /** Resolves when there is room for the next message. */
  send(message: I): Promise<void>;
  /** Nothing more comes from here; replies go on. */
  end(): void;
}

/** What generated code says of an endpoint of a protobuf service. */
export interface ProtoEndpoint {
  /** `Greeter.Hello` */
  readonly name: string;
  /** The handler's method: `hello`. */
  readonly method: string;
  readonly kind: Kind;
  readonly idempotent: boolean;
  readonly deprecated: boolean;
  /** Goes into the registry record. With a `google.api.http` rule: what Go Micro's gateway routes by. */
  readonly metadata: Readonly<Record<string, string>>;
}

type Call<K extends Kind, I, O> = K extends "unary"
  ? unknown extends I
    ? (request?: I, options?: CallOptions) => Promise<O>
    : (request: I, options?: CallOptions) => Promise<O>
  : K extends "server"
    ? (request: I, options?: CallOptions) => Stream<O>
    : K extends "client"
      ? (requests: AsyncIterable<I>, options?: CallOptions) => Promise<O>
      : (requests?: AsyncIterable<I>, options?: CallOptions) => Duplex<I, O>;
// A handler that only throws returns `never`, which is an AsyncIterable as well as anything else.
type FnCall<Q, R> = [R] extends [never]
  ? Call<"unary", Q, never>
  : [Q] extends [AsyncIterable<infer I>]
    ? R extends AsyncIterable<infer O>
      ? Call<"bidi", I, O>
      : Call<"client", I, Awaited<R>>
    : R extends AsyncIterable<infer O>
      ? Call<"server", Q, O>
      : Call<"unary", Q, Awaited<R>>;
type Optional<F> = F extends (request: infer Q, options?: CallOptions) => infer R
  ? (request?: Q, options?: CallOptions) => R
  : never;

/** An endpoint or handler function as a client calls it. */
export type Method<T> =
  T extends Endpoint<infer K, infer I, infer O>
    ? Call<K, I, O>
    : T extends (...a: infer A) => infer R
      ? A extends []
        ? Optional<FnCall<object, R>>
        : FnCall<A[0], R>
      : never;
/** The callable members of a handler group. Homomorphic: keeps definitions, docs and rename. */
export type Methods<H> = {
  [
    M in keyof H as H[M] extends { readonly kind: Kind; readonly [types]?: unknown } | ((...a: never[]) => unknown)
      ? M
      : never
  ]: Method<H[M]>;
};
/** The groups of a service type, or of a plain contract `{ Greeter: GreeterApi }`. */
export type Api<S> = S extends { readonly [types]?: infer E } ? NonNullable<E> : S;
/** A service as its clients see it. */
export type Remote<S> = { readonly [G in keyof Api<S>]: Methods<Api<S>[G]> };
/** The literal name of a service type; any string for a plain contract. */
export type NameOf<S> = S extends { readonly name: infer N extends string; readonly [types]?: unknown } ? N : string;
