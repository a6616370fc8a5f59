import type { StandardSchemaV1 } from "./internal/standard-schema.ts";
import type { Cancellation, Context, ContextSource, Kind } from "./context.ts";
import type { MicroError } from "./errors.ts";
import type { EndpointDefinition } from "./endpoint.ts";
import type { MessageDescriptor } from "./codec.ts";
import type { Metadata, ResponseMetadata } from "./metadata.ts";
import type { BrokerEvent, SubscribeOptions } from "./broker.ts";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";

export type { CorsOptions } from "./wire/http/browser.ts";

/** A request as handler interceptors see it. */
export interface ServerCall {
  readonly ctx: Context;
  readonly kind: Kind;
  /** Parsed request; an AsyncIterable for `client` and `bidi`. */
  readonly request: unknown;
}

/** Around a handler. `next` resolves with the reply, or with an AsyncIterable of replies. The first one given is outermost. */
export type HandlerInterceptor = (call: ServerCall, next: (call: ServerCall) => Promise<unknown>) => Promise<unknown>;

/** A message as subscriber interceptors see it. */
export interface Delivery {
  readonly ctx: Context;
  readonly topic: string;
  readonly message: unknown;
  readonly event: BrokerEvent | undefined;
}

/** Around a subscriber. */
export type SubscriberInterceptor = (delivery: Delivery, next: (delivery: Delivery) => Promise<void>) => Promise<void>;

/** An endpoint as the router holds it. */
export interface RoutedEndpoint {
  /** `Greeter.Hello` */
  readonly name: string;
  readonly kind: Kind;
  readonly definition: EndpointDefinition<unknown, unknown, Kind>;
  readonly handler: (request: never, ctx: Context) => unknown;
  /** Protobuf descriptors, with `implement`. */
  readonly descriptors?:
    | {
        readonly service: { readonly kind: "service"; readonly typeName: string };
        readonly request: MessageDescriptor;
        readonly response: MessageDescriptor;
      }
    | undefined;
  /** Not advertised in the registry. */
  readonly internal: boolean;
}

/** Options of `handle`, `register` and `implement`. */
export interface HandleOptions {
  /** Only these methods become endpoints; a name that is no method is BAD_REQUEST. Default: all that qualify. */
  only?: readonly string[] | undefined;
  /** Not advertised in the registry. Default false. */
  internal?: boolean | undefined;
  /** Registry metadata by endpoint name (`Greeter.Hello`) or method (`hello`). */
  metadata?: Readonly<Record<string, Readonly<Record<string, string>>>> | undefined;
}

/** A subscriber: a function, or an object of which every method gets each message (SRV-31). */
export type Subscriber<T = unknown> = ((message: T, ctx: Context) => unknown) | object;

/** Options of one subscriber; its own, whatever others of the topic say. */
export interface SubscriberOptions<T = unknown> extends SubscribeOptions {
  /** Standard Schema that each message is parsed by; the handler gets its output. A message that does not fit counts as one whose handler failed. */
  schema?: StandardSchemaV1<unknown, T> | undefined;
  /** Descriptor of a protobuf message. */
  descriptor?: MessageDescriptor | undefined;
  /** Not advertised in the registry. Default false. */
  internal?: boolean | undefined;
}

/** Figures of a server since it was made. */
export interface ServerStats {
  readonly requests: number;
  readonly failures: number;
  /** Calls, streams and messages under way. */
  readonly inFlight: number;
}

/** A service of this process. Same semantics as over a wire: deadline, metadata, interceptors, errors, cancellation. */
export interface LocalService {
  /** The same for as long as the service is. */
  endpoint(name: string): LocalEndpoint | undefined;
  unary(call: LocalCall, request: unknown): Promise<unknown>;
  /** Runs a stream to its end. Each reply goes to `send`, whose promise is waited for. */
  stream(call: LocalCall, requests: AsyncIterable<unknown>, send: (value: unknown) => Promise<void>): Promise<void>;
}

/** An endpoint of a service of this process. */
export interface LocalEndpoint {
  readonly kind: Kind;
  /** As {@link LocalService.unary}, for a call that settles by itself. The endpoint has to be unary. */
  direct(call: LocalRequest, request: unknown): void;
}

/** A unary call that settles by its own methods: one of them, once. It is the source of its handler's context. */
export interface LocalRequest extends ContextSource {
  /** Its handler goes on after `direct` has returned: `watcher` is told, once, when the caller gives up. */
  watch(watcher: { cancelled(reason: MicroError): void }): void;
  answered(value: unknown): void;
  failed(error: MicroError): void;
}

export interface LocalCall {
  readonly endpoint: string;
  readonly kind: Kind;
  readonly metadata: Metadata;
  readonly deadline: number;
  readonly cancellation: Cancellation;
  readonly response?: ResponseMetadata | undefined;
}

/** One HTTP request and its answer, whichever version of HTTP brought it. */
export interface HttpExchange {
  readonly method: string;
  /** As sent, percent-encoding kept, without the query. */
  readonly path: string;
  /** What follows the `?`; empty without one. */
  readonly query: string;
  /** Names in lower case, without pseudo headers; repeated ones joined by `, `. No prototype. */
  readonly headers: Readonly<Record<string, string>>;
  readonly local: string;
  readonly remote: string;
  /** Cancelled when the client goes away or resets before the answer is complete. */
  readonly cancellation: Cancellation;
  /** The next piece of the request's body; undefined at its end. Rejects with CONNECTION_LOST. A reader that is slow holds the client back. */
  read(): Promise<Uint8Array | undefined>;
  /** The whole body. Rejects with PAYLOAD_TOO_LARGE above `limit` bytes, with CONNECTION_LOST when the client has gone. */
  readAll(limit: number): Promise<Uint8Array>;
  /** The body has to be here at this time of the clock at the latest, or reading it rejects with TIMEOUT; absent where the engine sees to that. */
  arriveBy?(deadline: number): void;
  /**
   * Tells how many bytes of the body its reader keeps because the rest is still to come; none any more when the answer ends. Throws
   * RESOURCE_EXHAUSTED when those of all requests are too many. Absent where nothing counts them.
   */
  keep?(bytes: number): void;
  /** Begins the answer. Once. */
  head(status: number, headers: Readonly<Record<string, string>>): void;
  /** A piece of the answer's body; resolves when there is room for the next one. Rejects with CONNECTION_LOST. */
  write(chunk: Uint8Array): Promise<void>;
  /** Ends the answer. Trailers reach clients of HTTP/2, and of HTTP/1.1 in chunked answers. */
  end(chunk?: Uint8Array, trailers?: Readonly<Record<string, string>>): void;
  /** Cuts the answer off, so that the client cannot take it for complete. */
  abort(): void;
  /** Node's own pair, for handlers written for `node:http`; absent on an engine that has none. Whoever takes it does not use the rest. */
  readonly node?: { readonly request: IncomingMessage; readonly response: ServerResponse } | undefined;
}

/** Answers HTTP requests on the one port, on HTTP/1.1 and HTTP/2 alike. Requests go to the first route that wants them. */
export interface HttpRoute {
  readonly name: string;
  match(method: string, path: string, headers: Readonly<Record<string, string>>): boolean;
  /** Answers `exchange`. What it throws before it began an answer becomes a plain answer of that error's status. */
  handle(exchange: HttpExchange): Promise<void>;
  /** Takes the connection of a matching HTTP/1.1 request with `Upgrade` over, and the bytes that came behind its head. Without it `Upgrade` is ignored. */
  upgrade?(request: IncomingMessage, socket: Duplex, head: Buffer): void;
}

/** A handler for `node:http`: an Express app is one, `fastify` has one, `@hono/node-server` makes one. */
export type HttpHandler = (request: IncomingMessage, response: ServerResponse) => unknown;

/** What serves HTTP: a handler, or an app that has one after it is ready, as Fastify's. */
export type HttpApp =
  | HttpHandler
  | {
      ready(): PromiseLike<unknown>;
      readonly routing: (request: IncomingMessage, response: ServerResponse) => void;
    };

/** The option `http` of a service. */
export interface HttpServiceOptions {
  /** Gets each HTTP/1.1 request that nothing else of the service wants (SRV-52). */
  app?: HttpApp | undefined;
  /** Gets the connections of requests with `Upgrade`: WebSockets. Without it `Upgrade` is ignored. */
  upgrade?: ((request: IncomingMessage, socket: Duplex, head: Buffer) => void) | undefined;
  /** `GET /health` and `GET /ready`. Default true. */
  health?: boolean | undefined;
  /** `GET /metrics`. Default true. */
  metrics?: boolean | undefined;
}
