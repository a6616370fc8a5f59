/** What goes into and comes out of a Go peer: the types of peer.ts. */
import type { SteeredEvent } from "./steer.ts";

export type GoVersion = "v4" | "v5";

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/** Go's registry record; nil maps and slices come as null. */
export interface GoService {
  readonly name: string;
  readonly version: string;
  readonly metadata?: Readonly<Record<string, string>> | null;
  readonly endpoints?: readonly GoEndpoint[] | null;
  readonly nodes: readonly GoNode[];
}
export interface GoNode {
  readonly id: string;
  readonly address: string;
  readonly metadata?: Readonly<Record<string, string>> | null;
}
export interface GoEndpoint {
  readonly name: string;
  readonly request?: GoValue | null;
  readonly response?: GoValue | null;
  readonly metadata?: Readonly<Record<string, string>> | null;
}
export interface GoValue {
  readonly name: string;
  readonly type: string;
  readonly values?: readonly GoValue[] | null;
}

/** An error as a Go program sees it. `code` is 0 for an error that is not Go Micro's; `eof` = errors.Is(err, io.EOF). */
export interface GoError {
  readonly text: string;
  readonly eof: boolean;
  readonly id: string;
  readonly code: number;
  readonly detail: string;
  readonly status: string;
}

/** A handler's invocation; `n` counts those of its endpoint from 1, `atMs` is since the start of the process. */
export interface Invocation {
  readonly n: number;
  readonly service: string;
  readonly endpoint: string;
  readonly contentType: string;
  readonly stream: boolean;
  readonly atMs: number;
  readonly metadata: Readonly<Record<string, string>>;
}

/** Options of a Go client and of one call, by their Go names; absent = Go's default. */
export interface CallLimits {
  /** RequestTimeout: the whole call. Go's default 30 s. */
  readonly requestTimeoutMs?: number;
  /** ConnectionTimeout: one attempt, and the `Timeout` header. Go's default 5 s. */
  readonly connectionTimeoutMs?: number;
  /** StreamTimeout. Go's default 0: none. */
  readonly streamTimeoutMs?: number;
  /** DialTimeout. Go's default 5 s. */
  readonly dialTimeoutMs?: number;
  /** Retries. Go's default 5. */
  readonly retries?: number;
  /** WithConnClose. */
  readonly connClose?: boolean;
}

export interface Payload {
  readonly body?: Json;
  readonly text?: string;
  readonly bytes?: Uint8Array;
  readonly as?: "typed" | "plain" | "frame";
  readonly like?: string;
}

export interface CallArgs extends Payload, CallLimits {
  readonly service: string;
  readonly endpoint: string;
  /** Default: the client's, which is application/json. */
  readonly contentType?: string;
  readonly metadata?: Readonly<Record<string, string>>;
  /** WithAddress: no registry, and a node with protocol mucp. */
  readonly address?: readonly string[];
  /** Deadline of the caller's context. */
  readonly deadlineMs?: number;
}

export interface CallResult {
  readonly body?: Json;
  readonly bytes?: Buffer;
  readonly error?: GoError;
  /** How long the call took. */
  readonly ms: number;
}

export interface ManyArgs extends CallArgs {
  /** "{i}" in `body` and `expect` stands for the number of the call, from 0. */
  readonly n: number;
  /** Default 1: one after another. */
  readonly concurrency?: number;
  /** The body that every reply must have. */
  readonly expect?: Json;
}
export interface ManyResult {
  readonly ok: number;
  readonly failed: number;
  readonly mismatched: number;
  /** Error text → how many calls had it. */
  readonly errors: Readonly<Record<string, number>>;
  readonly mismatch?: Json;
  readonly ms: number;
  readonly slowestMs: number;
}

export interface Subscriber {
  readonly topic: string;
  readonly queue?: string;
  /** `hello` (default): HelloRequest in any codec; `json`: any JSON; `frame`: bytes. */
  readonly kind?: "hello" | "json" | "frame";
  /** It reports the message and then returns an error. */
  readonly fail?: boolean;
}

export interface GoPeerOptions extends CallLimits {
  readonly version: GoVersion;
  /** Start a server too; needs `name`. */
  readonly serve?: boolean;
  readonly name?: string;
  /** server.Id; the node's id is `<name>-<nodeId>`. Default: a uuid. */
  readonly nodeId?: string;
  /** server.Version. Default "latest". */
  readonly serviceVersion?: string;
  /** Client and server: mucp (default), or the grpc plugins of v4, v5's own grpc. */
  readonly protocol?: "mucp" | "grpc";
  /** What mucp stands on. Default http. */
  readonly transport?: "http" | "grpc";
  /** Default 127.0.0.1:0. */
  readonly address?: string;
  readonly advertise?: string;
  /** server.Metadata: goes into the node's metadata. */
  readonly metadata?: Readonly<Record<string, string>>;
  readonly registry?: "static" | "mdns";
  /** Go's selector with its cache of a minute. Default: for mdns only. */
  readonly cache?: boolean;
  /** Default 127.0.0.1:0. */
  readonly brokerAddress?: string;
  /** server.Wait(nil): Stop waits for running handlers. */
  readonly wait?: boolean;
  /** generated (default): RegisterDebugHandler; direct: handler.NewHandler given to the server; none. */
  readonly debug?: "generated" | "direct" | "none";
  /** Events for each invocation. Default true. */
  readonly trace?: boolean;
  /** Subscribers of the server: server.NewSubscriber. */
  readonly subscribers?: readonly Subscriber[];
  readonly registerTtlMs?: number;
  readonly registerIntervalMs?: number;
  /** TLS on the server: transport.Secure(true), with a self-signed certificate unless given. */
  readonly secure?: boolean;
  readonly certPem?: string;
  readonly keyPem?: string;
  /** TLS on the client: transport.Secure(true), which verifies unless told otherwise. */
  readonly clientSecure?: boolean;
  readonly insecureSkipVerify?: boolean;
  readonly caPem?: string;
  /** The client's default content type. */
  readonly contentType?: string;
  readonly poolSize?: number;
  readonly poolTtlMs?: number;
  /** Environment of the process, besides ours without MICRO_* and *_PROXY. */
  readonly env?: Readonly<Record<string, string>>;
}

export type Event<T> = SteeredEvent & Readonly<Record<string, T>>;

export interface PublishArgs extends Payload {
  readonly topic: string;
  readonly contentType?: string;
  readonly metadata?: Readonly<Record<string, string>>;
  readonly exchange?: string;
}
export interface BrokerMessage {
  readonly topic: string;
  readonly header?: Readonly<Record<string, string>>;
  readonly text?: string;
  readonly bytes?: Uint8Array;
}
export interface RelayTarget {
  readonly service: string;
  readonly endpoint?: string;
  readonly contentType?: string;
  readonly address?: readonly string[];
}

export interface Received {
  readonly messages: readonly { readonly body?: Json; readonly bytes?: Buffer }[];
  /** io.EOF: the regular end. */
  readonly end: boolean;
  readonly timedOut: boolean;
  readonly error?: GoError;
}
