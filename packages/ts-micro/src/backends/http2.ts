import type { Socket } from "node:net";
import type { Clock } from "../clock.ts";

/**
 * HTTP/2 as gRPC and others need it, whichever engine speaks it: streams with headers, data, trailers and reset, and flow control both
 * ways. `./http2/node.ts` is the engine on node:http2.
 */
export interface Http2Engine {
  /** The server's end of connections that a port hands over. */
  server(options: Http2ServerOptions): Http2Server;
  /** The client's end of a connected socket. */
  client(socket: Socket, options: Http2ClientOptions): Http2Session;
}

/** Names in lower case, pseudo headers included; repeated ones joined by `, `. */
export type Http2Headers = Readonly<Record<string, string>>;

/** Codes of RST_STREAM and GOAWAY (RFC 9113 §7). */
export const http2Codes = {
  none: 0,
  protocol: 1,
  internal: 2,
  refused: 7,
  cancel: 8,
  calm: 11,
} as const;

/**
 * How a stream was over: both ends had said all (`complete`), one of them reset it, its connection went, or the peer has surely not looked
 * at it (`unprocessed`: refused, above the last id of a GOAWAY, never sent).
 */
export type Http2End = "complete" | "reset" | "lost" | "unprocessed";

/** What the user of a stream hears of it. None of these may throw. */
export interface Http2Events {
  data(chunk: Buffer): void;
  /** The peer has sent all. */
  ended(): void;
  /** There is room again after a write that had none. */
  drain(): void;
  /** Once, the last of all. `code` is that of the reset. */
  closed(how: Http2End, code: number): void;
}

/** What a client hears beside. */
export interface Http2AnswerEvents extends Http2Events {
  /** The head of the answer. `last`: nothing follows it. */
  head(headers: Http2Headers, last: boolean): void;
  /** They may come before the last `data` and `ended`, never after `closed`. */
  trailers(headers: Http2Headers): void;
}

export interface Http2Stream {
  /** Stops what comes in; the peer is held back when its window is used up. */
  pause(): void;
  resume(): void;
  /** False: wait for `drain`. */
  write(chunk: Uint8Array): boolean;
  /** Bytes that were written and have not left. */
  readonly backlog: number;
  /** Gives up. Nothing is heard any more but `closed`. */
  reset(code: number): void;
}

/** Client: a request under way. */
export interface Http2Request extends Http2Stream {
  /** Nothing more is sent. `sent`: all of it was handed to the system. */
  end(chunk?: Uint8Array, sent?: () => void): void;
}

/** Server: a request and its answer. */
export interface Http2Exchange extends Http2Stream {
  /** All of them, made when somebody asks. */
  readonly headers: Http2Headers;
  /** One of them, which costs less. */
  header(name: string): string | undefined;
  readonly local: string;
  readonly remote: string;
  /** Once, in the turn it came. Without a body `ended` is called in here. */
  receive(events: Http2Events): void;
  /** The head of the answer, `:status` in it. */
  respond(headers: Http2Headers): void;
  /** An answer that is its head alone. */
  answer(headers: Http2Headers): void;
  /** Ends the answer. A peer that is still sending is told to stop. */
  end(chunk: Uint8Array | undefined, trailers: Http2Headers | undefined): void;
}

/** The client's end of a connection. */
export interface Http2Session {
  /** False once it takes no new requests: the peer said GOAWAY, it was closed, or it has given up too many. */
  readonly usable: boolean;
  /** True: one more request would have to wait for the server. `room` tells when to ask again. */
  readonly full: boolean;
  /** Opens a request. */
  open(headers: Http2Headers, events: Http2AnswerEvents): Http2Request;
  /** Ends it when its last request is over. */
  close(): void;
  destroy(): void;
}

export interface Http2ClientOptions extends Http2Limits {
  readonly scheme: "http" | "https";
  readonly authority: string;
  /** Milliseconds without a byte, while requests are under way, until a ping is sent. */
  readonly keepalive: number;
  readonly keepaliveTimeout: number;
  readonly clock: Clock;
  /** It was full and has room again, or takes no more. */
  room(): void;
  /** It takes no new requests. Once. */
  left(session: Http2Session): void;
  /** It is over. Once, after `left`. */
  gone(session: Http2Session): void;
}

export interface Http2Limits {
  /** Largest block of headers, in bytes. */
  readonly maxHeader: number;
  /** What a peer may send on one stream before it has to wait, in bytes. */
  readonly window: number;
}

export interface Http2ServerOptions extends Http2Limits {
  /** Most requests of one connection under way at once. */
  readonly maxStreams: number;
  /** Resets of one connection that are suffered at once, and how many are forgiven each second. Past them it is closed. */
  readonly resets: { readonly burst: number; readonly perSecond: number };
  /** Milliseconds without a request until a connection is closed. */
  readonly idle: number;
  /** Milliseconds to the peer's first settings. */
  readonly greeting: number;
  /** Milliseconds without a byte, while requests are under way, until a ping is sent. */
  readonly keepalive: number;
  readonly keepaliveTimeout: number;
  readonly clock: Clock;
  /** A request. May not throw. */
  request(exchange: Http2Exchange): void;
}

export interface Http2Server {
  /** Takes a connection over; it is an HTTP/2 one. `bytes` were read already. */
  accept(socket: Socket, bytes: Buffer): void;
  /** GOAWAY everywhere: what is under way goes on to its end. Resolves when nothing is. */
  drain(): Promise<void>;
  close(): Promise<void>;
}

/** Why a connection was cut off, on the diagnostics channel `ts-micro:http2:dropped`. */
export interface Http2Dropped {
  readonly local: string;
  readonly remote: string;
  readonly reason: string;
}
