import type { ClientCall } from "../client.ts";
import type { Clock } from "../clock.ts";
import { Cancellation, linkSignal, parentOf, timeoutOf, type CallOptions, type Kind } from "../context.ts";
import { errors, type MicroError } from "../errors.ts";
import { ambientContext } from "../internal/ambient.ts";
import { Metadata, fitToSend } from "../metadata.ts";
import { Answer } from "./answer.ts";
import type { Known } from "./options.ts";
import type { Target } from "./target.ts";

/** A call with everything resolved that does not depend on the node. */
export interface PreparedCall extends ClientCall {
  readonly cancellation: Cancellation | undefined;
  readonly listener?: Answer | undefined;
  readonly known: Known | undefined;
  readonly target?: Target | undefined;
  /** The options that it was prepared by. */
  readonly by: CallOptions;
  /** What bounded it, for the error when time is up. */
  readonly limit: number;
  readonly inherited: boolean;
  /** Of a stream: it has ended on the wire, whether anybody reads it or not. `unread`: there is something to read yet. */
  readonly over?: (unread: boolean) => void;
  /** Of a stream: its reader has been told the end. */
  readonly told?: () => void;
}

const none: CallOptions = {};

/** What a call is before it is prepared. */
interface Unprepared {
  readonly service: string;
  readonly endpoint: string;
  readonly kind: Kind;
  readonly request: unknown;
  readonly options: CallOptions | undefined;
  readonly known: Known | undefined;
  readonly target?: Target | undefined;
}

/**
 * Of a class: of a literal V8 goes on to make objects of the old shape when a number of it is whole in calls and not in streams, and
 * to change each when it is read, which took longer than all else of a call.
 */
class Prepared implements PreparedCall {
  declare readonly service: string;
  declare readonly endpoint: string;
  declare readonly kind: Kind;
  declare readonly request: unknown;
  declare readonly metadata: Metadata;
  declare readonly deadline: number;
  declare readonly options: CallOptions;
  declare readonly by: CallOptions;
  declare readonly cancellation: Cancellation | undefined;
  declare readonly listener: Answer | undefined;
  declare readonly known: Known | undefined;
  declare readonly target: Target | undefined;
  declare readonly limit: number;
  declare readonly inherited: boolean;

  constructor(
    call: Unprepared,
    options: CallOptions,
    metadata: Metadata,
    cancellation: Cancellation | undefined,
    deadline: number,
    limit: number,
    inherited: boolean,
  ) {
    this.service = call.service;
    this.endpoint = call.endpoint;
    this.kind = call.kind;
    this.request = call.request;
    this.metadata = metadata;
    this.deadline = deadline;
    this.options = options;
    this.by = options;
    this.cancellation = cancellation;
    this.listener = Answer.of(options);
    this.known = call.known;
    this.target = call.target;
    this.limit = limit;
    this.inherited = inherited;
  }
}

/**
 * Resolves the calling context (given, spread or ambient), deadline, metadata and cancellation.
 * Returns the way to unlink from the caller's signal, undefined when there is nothing to unlink.
 */
export function prepare(
  clock: Clock,
  defaultTimeout: number,
  call: Unprepared,
): { call: PreparedCall; unlink: (() => void) | undefined } {
  const options = call.options ?? none;
  const parent = parentOf(options) ?? ambientContext();
  const from = parent?.inherited();
  const limit = timeoutOf(options, defaultTimeout);
  const own = clock.now() + limit;
  const inherited = from !== undefined && from.deadline < own;
  // The metadata of a context that was passed or spread is inherited already.
  const more = options.metadata === parent?.metadata ? undefined : options.metadata;
  const added = fitToSend(more);
  const metadata = from?.metadata ?? (added instanceof Metadata ? added : Metadata.over(added));
  if (from !== undefined && added !== undefined) metadata.merge(added);
  // Asking a context for its signal would build an AbortController; its cancellation is linked directly.
  const signal = options === (parent as CallOptions | undefined) ? undefined : options.signal;
  let cancellation = from?.cancellation;
  let unlink: (() => void) | undefined;
  if (signal !== undefined) {
    const above = cancellation;
    const joined = (cancellation = new Cancellation());
    const a = linkSignal(signal, joined, "go.micro.client");
    const b = above?.onCancel((reason) => joined.cancel(reason));
    unlink = () => {
      a();
      b?.();
    };
  }
  const deadline = inherited ? from.deadline : own;
  return { call: new Prepared(call, options, metadata, cancellation, deadline, limit, inherited), unlink };
}

/**
 * `call` by options that an interceptor gave it, with another time limit or signal; what bounded it before goes on to, but for the limit.
 * Returns the way to unlink, as {@link prepare}.
 */
export function preparedAnew(clock: Clock, call: PreparedCall): { call: PreparedCall; unlink: () => void } {
  const { by, options, deadline, metadata, cancellation: above } = call;
  const { call: anew, unlink } = prepare(clock, Infinity, call);
  const cancellation = new Cancellation();
  const unlinks = [
    unlink,
    ...[above, anew.cancellation].map((each) => each?.onCancel((why) => cancellation.cancel(why))),
  ];
  const limited = options.timeout !== by.timeout;
  const { limit, inherited } = limited ? anew : call;
  return {
    call: {
      ...call,
      by: options,
      metadata,
      cancellation,
      deadline: limited ? anew.deadline : deadline,
      limit,
      inherited,
    },
    unlink: () => unlinks.forEach((each) => each?.()),
  };
}

/** Options that are read later: their metadata are those of now. */
export function kept<O extends CallOptions>(options: O | undefined): O | undefined {
  const metadata = options?.metadata;
  return metadata === undefined || metadata === parentOf(options)?.metadata
    ? options
    : { ...(options as O), metadata: fitToSend(metadata) };
}

/** The error when a call's time is up. */
export function tooLate(call: PreparedCall): MicroError {
  const where = call.inherited
    ? "the deadline of the calling context has passed"
    : `no reply within ${Math.round(call.limit)} ms`;
  return errors.timeout("go.micro.client", `${call.service} ${call.endpoint}: ${where}`);
}
