import type { Socket } from "node:net";
import type { Clock } from "./clock.ts";
import type { Duration } from "./duration.ts";
import type { Component } from "./lifecycle.ts";
import type { Cancellation, Kind } from "./context.ts";
import type { MicroError } from "./errors.ts";
import type { Metadata, ResponseMetadata, Taken } from "./metadata.ts";
import type { FlatBody } from "./codec.ts";
import type { Receiver } from "./internal/incoming.ts";
import type { CorsOptions, HttpRoute, RoutedEndpoint } from "./server.ts";
import type { ClientTlsOptions } from "./tls.ts";
import type { Node } from "./wire/registry-record.ts";

export type { Receiver } from "./internal/incoming.ts";

/** What a call says of itself before its body. */
export interface CallHead {
  readonly service: string;
  /** `Greeter.Hello`; empty when an enveloped codec carries it in the body. */
  readonly endpoint: string;
  readonly contentType: string;
  readonly kind: Kind;
  /** Time of the clock by which the call must be settled; Infinity for none. */
  readonly deadline: number;
  readonly metadata: Metadata | undefined;
  /** Unique per client process. */
  readonly id: string;
  /** The caller waits for no reply: a unary call is settled when it was written. */
  readonly oneway?: boolean | undefined;
  /** Client side only. */
  readonly listener?: ReplyListener | undefined;
}

/** Who wants to know what the handler added to its reply. Told before the call settles, or the stream ends, if it is told at all. */
export interface ReplyListener {
  /** Before the first message. */
  header(metadata: Metadata): void;
  trailer(metadata: Metadata): void;
}

/** A body in one of the forms that codecs give it. */
export type Body = string | Uint8Array | FlatBody;

/** Where a call goes; one object for all calls of an endpoint and content type, so that it can be told from others by identity. */
export interface Route {
  readonly service: string;
  /** `Greeter.Hello` */
  readonly endpoint: string;
  readonly contentType: string;
}

/**
 * A unary call of a client that settles by its own methods, exactly one of them and once: for protocols whose calls cost less than a
 * promise. The methods throw nothing.
 */
export interface OutgoingCall {
  readonly route: Route;
  /** Clock time by which it must be settled; Infinity for none. */
  readonly due: number;
  readonly sent: Taken | undefined;
  readonly cancellation: Cancellation | undefined;
  /** Nobody waits for a reply: it is settled when it was written. */
  readonly oneway: boolean;
  readonly listener?: ReplyListener | undefined;
  /** For the peer: unlinks the cancellation. */
  unlink: (() => void) | undefined;
  /** The body, as text where its codec writes text. Throws what the codec throws. */
  body(): Body;
  /** The reply is `bytes[from, to)`, to be read before this returns. */
  replied(bytes: Buffer, from: number, to: number): void;
  failed(error: MicroError): void;
  /** This peer is to carry it instead. */
  rerouted(peer: Peer): void;
}

/** Answer of a unary call. */
export interface Reply {
  readonly body: Uint8Array;
  /** Server side only: the call failed; `body` is what an enveloped codec wrote for it, else empty. */
  readonly error?: MicroError | undefined;
}

/** The raw messages of one stream, the same on both ends. */
export interface RawStream {
  /** Sends one message. Resolves when there is room for the next one; rejects when the stream is over. */
  send(body: Uint8Array): Promise<void>;
  /** Nothing more comes from this end. */
  end(): void;
  /** The next message; undefined at the clean end; rejects with the stream's error. */
  read(): Promise<Uint8Array | undefined>;
  /** Gives up and tells the other end; a pending `read` rejects with `reason`. */
  cancel(reason: MicroError): void;
  /** As `send`, with a body that may be used again once this returns; undefined when there is room for the next one already. */
  post?(body: Body): Promise<void> | undefined;
  /** In place of `read`: what has come and what comes goes to `receiver`. It has to tell by `took` when it has used what it did not take at once. */
  receive?(receiver: Receiver): void;
  /** The receiver has used a message of this many bytes. */
  took?(bytes: number): void;
  /** The stream that does all that this one is asked, once it is there: for one that was made before its connection. */
  readonly behind?: RawStream | undefined;
}

/**
 * The client's way to one node. Every call settles exactly once: with a reply, the peer's error, TIMEOUT at `head.deadline`, the reason of
 * `cancellation`, CONNECTION_LOST, or CLOSED. `refused` on an error means that the request cannot have run.
 */
export interface Peer {
  readonly node: Node;
  /** Calls and streams under way. */
  readonly pending: number;
  unary(head: CallHead, body: Uint8Array, cancellation?: Cancellation): Promise<Reply>;
  /** As `unary`, for a call that settles by itself. */
  readonly direct?: ((call: OutgoingCall) => void) | undefined;
  /**
   * Opens a stream; dialling happens behind it. The open request of a `server` stream is its first `send`. `over` is called once, when its
   * outcome is known, whether anybody reads it or not.
   */
  stream(head: CallHead, cancellation?: Cancellation, over?: (error: MicroError | undefined) => void): RawStream;
  /** Settles what is pending with CONNECTION_LOST and lets go of every connection. */
  close(): Promise<void>;
}

/** A call as it arrives. */
export interface IncomingCall {
  readonly head: CallHead;
  readonly local: string;
  readonly remote: string;
  /** Cancelled by the protocol when the peer is gone or gave up, by the engine at the deadline. */
  readonly cancellation: Cancellation;
  /** What the handler adds to its reply; given by protocols that have a place for it. */
  readonly response?: ResponseMetadata | undefined;
  /** The caller understands a refusal and will try another node. */
  readonly retries: boolean;
  /** True: it is being settled, but its handler goes on. False: that has settled too. */
  readonly outlives?: ((goesOn: boolean) => void) | undefined;
}

/** A unary call as it arrives, answered by its own methods: one of them, once. */
export interface ServedCall {
  readonly service: string;
  readonly endpoint: string;
  readonly contentType: string;
  /** Clock time; Infinity for none. */
  readonly deadline: number;
  /** What the caller sent, `Local` and `Remote` with it. May be made when it is first asked for. */
  readonly metadata: Metadata;
  readonly local: string;
  readonly remote: string;
  /** May be made when it is first asked for. */
  readonly cancellation: Cancellation;
  /** As in {@link IncomingCall}; may be made when it is first asked for. */
  readonly response?: ResponseMetadata | undefined;
  /** As in {@link IncomingCall}. */
  readonly retries: boolean;
  /** Its handler goes on after `direct` has returned: `watcher` is told, once, when the caller gives up or is gone. */
  watch(watcher: { cancelled(reason: MicroError): void }): void;
  /** As in {@link IncomingCall}. */
  outlives?(goesOn: boolean): void;
  /** The body of the reply, as text where its codec writes text. */
  reply(body: Body): void;
  fail(error: MicroError): void;
}

/** Where the calls of a {@link Route} end at the server. */
export interface CallTarget {
  /** Its bodies are in envelopes, which tell of errors as well: such calls are for `unary`. */
  readonly enveloped?: boolean | undefined;
  /** Undefined when there is no such endpoint. */
  readonly kind: Kind | undefined;
}

/** A message for subscribers that came on an RPC connection (`Micro-Topic`, SRV-42). */
export interface IncomingMessage {
  readonly topic: string;
  readonly header: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
}

/** What a server engine gives to its protocols. None of these throws or rejects: failures come as values. */
export interface CallHandler {
  /** Name of the service, for wires whose callers say whom they mean; undefined where any name will do. */
  readonly service?: string | undefined;
  /** Kind of an endpoint; undefined when it is unknown. */
  kindOf(endpoint: string): Kind | undefined;
  /** True for an endpoint that only reads, so that it may be called by GET, which browsers send without asking. */
  noSideEffects?(endpoint: string): boolean;
  /** What can be called. */
  endpoints?(): readonly RoutedEndpoint[];
  /** True when there is a codec for this content type. */
  supports(contentType: string): boolean;
  unary(call: IncomingCall, body: Uint8Array): Promise<Reply>;
  /** What calls of a route need, to be asked once for many of them. */
  target?(route: Route): CallTarget;
  /** A unary call of a target; its body is `bytes[from, to)`, read before this returns. */
  direct?(call: ServedCall, target: CallTarget, bytes: Buffer, from: number, to: number): void;
  /** Runs a stream to its end; the value is its error, undefined for a clean end. The protocol then tells the peer. */
  stream(call: IncomingCall, stream: RawStream): Promise<MicroError | undefined>;
  message(message: IncomingMessage): Promise<MicroError | undefined>;
}

/** One wire on a shared port. The listener hands each connection to the first acceptor that wants it. */
export interface Acceptor {
  readonly name: string;
  /** TLS protocol names that select it. */
  readonly alpn?: readonly string[];
  /** Whether these first bytes are its own; undefined: more bytes are needed. The first `seen` of them did not do before. */
  match(prefix: Buffer, seen: number): boolean | undefined;
  /** Takes the connection over. `bytes` were read already. `release` gives it back at a message boundary. */
  accept(socket: Socket, bytes: Buffer, release: (socket: Socket, bytes: Buffer) => void): void;
  /** Closes connections as they become idle; resolves when no call is under way. */
  drain(): Promise<void>;
  /** Ends every connection now. */
  close(): Promise<void>;
}

/** A place that calls arrive at. */
export interface Listener {
  /** `host:port` with the real port; `[::]:port` when it is every interface; `unix:/path`. */
  readonly address: string;
  /** As {@link Acceptor.drain}; goes on listening. */
  drain(): Promise<void>;
  close(): Promise<void>;
}

/** What a service or client says for all its protocols and transports; what one of them was made with goes before it. */
export interface WireDefaults {
  /** Every dial is TLS, with these options. */
  readonly tls?: ClientTlsOptions | undefined;
  /** Web pages that may call. */
  readonly cors?: CorsOptions | undefined;
  /** Idle connections kept per address. */
  readonly poolSize?: number | undefined;
  /** Age limit of a kept connection. */
  readonly poolTtl?: Duration | undefined;
  /** Longest body or message either way, in bytes. */
  readonly maxMessageSize?: number | undefined;
  readonly clock?: Clock | undefined;
}

/** How RPC is spoken. `dial` gives the client's end, `acceptor` or `listen` the server's. */
export interface Protocol extends Component {
  /** `mucp`, `fast`, `grpc`, `http`: what nodes advertise as `protocol`. */
  readonly name: string;
  /** What a node that serves this protocol says in its metadata, `protocol` and `transport` at least. */
  readonly metadata: Readonly<Record<string, string>>;
  /** What a node says beside, when it serves this protocol among others. */
  readonly marks?: Readonly<Record<string, string>> | undefined;
  /** Whether a node can be called by it. Default: its `protocol` is this one's name. */
  speaks?(node: Node): boolean;
  /**
   * Another protocol, made with the same options and `defaults` for those that were left open: asked before the start, of objects in the option
   * `protocols`. Itself when that changes nothing. Whoever asks starts and closes the other.
   */
  withDefaults?(defaults: WireDefaults): Protocol;
  /** Loads the part that calls, if it is not there yet: a service that calls nobody does without. Awaited before the first `dial`. */
  loadClient?(): Promise<void>;
  /** No I/O; connections are made as calls need them. `next` is another way to the node, for a protocol that finds out that it is not spoken. */
  dial(node: Node, next?: () => Peer): Peer;
  /**
   * Mounted on the one port. It and `listen` are there once the protocol has started. `routes` are those of every protocol and of the server:
   * an acceptor of HTTP answers by them what it does not answer itself.
   */
  readonly acceptor?: ((calls: CallHandler, routes: readonly HttpRoute[]) => Acceptor) | undefined;
  /** HTTP requests that are this protocol's, on whichever acceptor they come. */
  readonly routes?: ((calls: CallHandler) => readonly HttpRoute[]) | undefined;
  /** Listens by itself, on transports without sockets of their own. */
  readonly listen?: ((address: string, calls: CallHandler) => Promise<Listener>) | undefined;
}
