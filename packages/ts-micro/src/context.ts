import { milliseconds, type Duration } from "./duration.ts";
import type { Clock } from "./clock.ts";
import { MicroError, errors, fromUnknown } from "./errors.ts";
import { onAbort } from "./internal/on-abort.ts";
import { Metadata, ResponseMetadata, type MetadataInit } from "./metadata.ts";
import type { ServiceRecord } from "./wire/registry-record.ts";

/** How an endpoint talks: one request and one reply, or a stream of either or both. */
export type Kind = "unary" | "server" | "client" | "bidi";

/** Narrows the records that a call may go to. */
export type Filter = (services: readonly ServiceRecord[]) => readonly ServiceRecord[];

/** Options of one call. A {@link Context} is one too: passing it on hands down deadline, cancellation, trace and metadata. */
export interface CallOptions {
  /** Cancels the call; it settles with CANCELLED. */
  signal?: AbortSignal | undefined;
  /** For the whole call, retries included. Default 30 s for unary calls, none for streams; never longer than the caller's own deadline. */
  timeout?: Duration | undefined;
  /** Sent along, over what the calling context hands down. As it is when the call is made: what changes later is for later calls. */
  metadata?: MetadataInit | undefined;
  /** True: running twice does no harm, so the call may be retried after the request may have run. Default: what the endpoint declares. */
  idempotent?: boolean | undefined;
  /**
   * How long the first attempt of an idempotent call may take before it is made again, elsewhere if it can; each further one has twice the time
   * of the one before. Default 5 s.
   */
  attemptTimeout?: Duration | undefined;
  /** Waits for no reply: settles, with undefined, when the request was written. What becomes of it is not heard. Default false. */
  oneway?: boolean | undefined;
  /** Most retries after the first attempt. Default 5; only safe ones are made. */
  retries?: number | undefined;
  /**
   * `host:port`, or several, of which the selector chooses: no discovery. Nothing is known of them, so they are called by mucp; by the first of
   * the client's `protocols` where mucp is not among these.
   */
  address?: string | readonly string[] | undefined;
  /** Body encoding. Default `application/json`, `application/protobuf` for protobuf descriptors. */
  contentType?: string | undefined;
  /** What kind of endpoint it is, when neither a descriptor nor the registry can tell. `true` means `server`. */
  stream?: Kind | boolean | undefined;
  /** Applied to the records found, in order, for each call. */
  filters?: readonly Filter[] | undefined;
  /** How long to wait for a first node to appear. Default 0: an unknown service is NOT_FOUND at once. */
  waitFor?: Duration | undefined;
  /**
   * Gets what the handler added as `ctx.responseHeader`: once, before the first message, if there is any. Of several attempts it is that of the
   * last. What it throws is what the call, or the reading of the stream, rejects with.
   */
  onHeader?: ((metadata: Metadata) => void) | undefined;
  /** As `onHeader`, for `ctx.responseTrailer`: behind the last message, or before the call's error, which stands whatever it throws. */
  onTrailer?: ((metadata: Metadata) => void) | undefined;
}

/** The little that a context offers for logging; the whole is `Logger`. */
export interface Log {
  trace(message: string, fields?: Record<string, unknown>): void;
  debug(message: string, fields?: Record<string, unknown>): void;
  info(message: string, fields?: Record<string, unknown>): void;
  warn(message: string, fields?: Record<string, unknown>): void;
  error(message: string, fields?: Record<string, unknown>): void;
}

/** W3C trace position of a call, read from `traceparent`. */
export interface Span {
  readonly traceId: string;
  readonly spanId: string;
  readonly sampled: boolean;
}

/** Key under which a context points at itself: it survives `{ ...ctx }`, by which the engine finds the parent. */
export const contextKey: unique symbol = Symbol.for("ts-micro.context");

/** What a handler gets beside its request. Also a {@link CallOptions}: pass it (or `{ ...ctx, timeout: "1s" }`) to the calls it makes. */
export interface Context extends CallOptions {
  /** Aborts when the caller gives up, goes away, or the deadline passes. */
  readonly signal: AbortSignal;
  /** What the caller sent. */
  readonly metadata: Metadata;
  /** Goes to the caller's `onHeader` before the first reply, or with the error. Later additions are lost. `set` throws RESOURCE_EXHAUSTED past 16 KiB. */
  readonly responseHeader: Metadata;
  /** Goes to the caller's `onTrailer` behind the last reply, or with the error. `set` as above. */
  readonly responseTrailer: Metadata;
  /** Time of the process's monotonic clock (`performance.now()`) by which the reply is due; Infinity without one. */
  readonly deadline: number;
  /** The name of the service that answers. */
  readonly service: string;
  /** `Greeter.Hello`; `Func` in a subscriber that is a function. */
  readonly endpoint: string;
  /** Address that the call came in on; empty in process. */
  readonly local: string;
  /** Address of the caller; empty in process. */
  readonly remote: string;
  /** The logger of the service. */
  readonly log: Log;
  readonly span: Span | undefined;
  readonly [contextKey]: Context;
  /** Milliseconds left, never negative; Infinity without a deadline. */
  remaining(): number;
  /** Call options that inherit from this context, with `patch` over them. */
  with(patch: CallOptions): CallOptions;
}

/** A light one-shot cancellation that becomes an AbortSignal only when somebody asks for one. */
export class Cancellation {
  #reason: MicroError | undefined;
  #listeners: Set<(reason: MicroError) => void> | undefined;
  #controller: AbortController | undefined;

  /** Why it was cancelled; undefined while it was not. */
  get reason(): MicroError | undefined {
    return this.#reason;
  }

  /** The first call counts, later ones do nothing. */
  cancel(reason: MicroError): void {
    if (this.#reason !== undefined) return;
    this.#reason = reason;
    const listeners = this.#listeners;
    this.#listeners = undefined;
    if (listeners !== undefined) for (const listener of listeners) listener(reason);
    this.#controller?.abort(reason);
  }

  /** Calls `listener` once, at once if it is cancelled already. Returns the way to unlink it. */
  onCancel(listener: (reason: MicroError) => void): () => void {
    if (this.#reason !== undefined) {
      listener(this.#reason);
      return () => {};
    }
    this.#listeners ??= new Set();
    this.#listeners.add(listener);
    return () => this.#listeners?.delete(listener);
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#reason !== undefined) this.#controller.abort(this.#reason);
    }
    return this.#controller.signal;
  }
}

/** Cancels `target` when `signal` aborts. Returns the way to unlink. The reason becomes a MicroError: CANCELLED, or TIMEOUT for `AbortSignal.timeout`. */
export function linkSignal(signal: AbortSignal, target: Cancellation, id: string): () => void {
  const abort = (): void => target.cancel(abortReason(signal, id));
  if (signal.aborted) {
    abort();
    return () => {};
  }
  return onAbort(signal, abort);
}

/** The reason of an aborted signal as a MicroError. */
export function abortReason(signal: AbortSignal, id: string): MicroError {
  let error: MicroError;
  try {
    error = fromUnknown(signal.reason, id);
  } catch {
    // A reason that cannot even be looked at.
    return errors.cancelled(id, "cancelled by the caller");
  }
  return error.code === "INTERNAL"
    ? errors.cancelled(id, error.detail || "cancelled by the caller", signal.reason)
    : error;
}

/** What a context tells of its call. May make what costs something when it is first asked for it. */
export interface ContextSource {
  readonly metadata: Metadata;
  readonly deadline: number;
  readonly endpoint: string;
  readonly local: string;
  readonly remote: string;
  readonly cancellation: Cancellation;
  /** Where what the handler adds to its reply goes; undefined on wires without a place for it. */
  readonly response?: ResponseMetadata | undefined;
}

/** What all contexts of a server share. */
export interface ContextHost {
  /** The one that serves, whatever name it was called by. */
  readonly service: string;
  readonly log: Log;
  readonly clock: Clock;
}

/** The engines' context. Getters live on the prototype, so that a spread copies nothing but the way to it. */
// oxlint-disable-next-line typescript/no-unsafe-declaration-merging
export class CallContext implements Context {
  readonly #source: ContextSource;
  readonly #host: ContextHost;
  #response: ResponseMetadata | undefined;
  #finished = false;

  constructor(source: ContextSource, host: ContextHost) {
    this.#source = source;
    this.#host = host;
    (this as { [contextKey]: CallContext })[contextKey] = this;
  }

  get metadata(): Metadata {
    return this.#source.metadata;
  }

  get deadline(): number {
    return this.#source.deadline;
  }

  get service(): string {
    return this.#host.service;
  }

  get endpoint(): string {
    return this.#source.endpoint;
  }

  get local(): string {
    return this.#source.local;
  }

  get remote(): string {
    return this.#source.remote;
  }

  get signal(): AbortSignal {
    return this.#source.cancellation.signal;
  }

  get responseHeader(): Metadata {
    return this.#reply().header;
  }

  get responseTrailer(): Metadata {
    return this.#reply().trailer;
  }

  #reply(): ResponseMetadata {
    return (this.#response ??= this.#source.response ?? new ResponseMetadata());
  }

  get log(): Log {
    return this.#host.log;
  }

  get span(): Span | undefined {
    return parseTraceparent(this.metadata.get("traceparent"));
  }

  remaining(): number {
    return Math.max(0, this.deadline - this.#host.clock.now());
  }

  with(patch: CallOptions): CallOptions {
    return { ...this, ...patch };
  }

  /** Its handler has settled: what it left running keeps trace and metadata, not deadline and cancellation. */
  finish(): void {
    this.#finished = true;
  }

  /** What a call made under this context inherits. */
  inherited(): { deadline: number; cancellation: Cancellation | undefined; metadata: Metadata } {
    return this.#finished
      ? { deadline: Infinity, cancellation: undefined, metadata: this.metadata.forwarded() }
      : { deadline: this.deadline, cancellation: this.#source.cancellation, metadata: this.metadata.forwarded() };
  }
}

// An isolated declaration cannot name a computed member inside the class; the constructor sets it.
export interface CallContext {
  readonly [contextKey]: CallContext;
}

/** The context that these options are, or were spread from. */
export function parentOf(options: CallOptions | undefined): CallContext | undefined {
  const parent = options === undefined ? undefined : (options as { [contextKey]?: unknown })[contextKey];
  return parent instanceof CallContext ? parent : undefined;
}

/** `timeout` of the options in milliseconds; `fallback` when there is none. */
export function timeoutOf(options: CallOptions | undefined, fallback: number): number {
  return options?.timeout === undefined ? fallback : milliseconds(options.timeout);
}

const traceparent = /^[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})/;

function parseTraceparent(text: string | undefined): Span | undefined {
  const found = text === undefined ? null : traceparent.exec(text);
  if (found === null) return undefined;
  return {
    traceId: found[1] as string,
    spanId: found[2] as string,
    sampled: (parseInt(found[3] as string, 16) & 1) === 1,
  };
}
