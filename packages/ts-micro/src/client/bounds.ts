import { parentOf, timeoutOf, type CallOptions, type Cancellation } from "../context.ts";
import type { Clock } from "../clock.ts";
import { ambientContext } from "../internal/ambient.ts";
import { fitToSend, Metadata, type Taken } from "../metadata.ts";
import type { ClientEngineOptions } from "./options.ts";
import { prepare, type PreparedCall } from "./prepared.ts";
import type { Target } from "./target.ts";

/** Limits below it, in milliseconds, count from the true time. */
const exact = 5000;
const none: CallOptions = {};

/** What bounds a call and goes with it, by its options, the calling context and interceptors. */
export interface CallBounds {
  readonly limit: number;
  readonly deadline: number;
  readonly inherited: boolean;
  readonly sent: Taken | undefined;
  /** Of the calling context and the caller's signal. */
  readonly given: Cancellation | undefined;
  /** From the caller's signal. */
  readonly unlink: (() => void) | undefined;
}

/** The bounds of a call that begins at `began`; undefined where there is nothing but the client's time limit, as in most. */
export function boundsOf(
  of: ClientEngineOptions,
  target: Target,
  request: unknown,
  options: CallOptions | undefined,
  began: number,
  made: PreparedCall | undefined,
): CallBounds | undefined {
  return made === undefined && options === undefined && ambientContext() === undefined
    ? undefined
    : resolved(of, target, request, options, began, made);
}

/** By when a call without bounds of its own is due. */
export function dueBy(clock: Clock, began: number, limit: number): number {
  // The time of the turn may be as old as the turn is long, which a short limit would feel.
  return (limit < exact ? clock.now() : began) + limit;
}

/** `made`: resolved already, by somebody who will also unlink it. */
function resolved(
  { clock, requestTimeout }: ClientEngineOptions,
  target: Target,
  request: unknown,
  options: CallOptions | undefined,
  began: number,
  made: PreparedCall | undefined,
): CallBounds {
  if (made !== undefined) return prepared(made, undefined);
  // The context first: asking it for its signal would build an AbortController.
  if ((parentOf(options) ?? ambientContext()) === undefined && options?.signal === undefined) {
    const limit = timeoutOf(options, requestTimeout);
    const deadline = dueBy(clock, began, limit);
    return {
      limit,
      deadline,
      inherited: false,
      sent: fitToSend(options?.metadata),
      given: undefined,
      unlink: undefined,
    };
  }
  const { service, endpoint, known } = target;
  const of = { service, endpoint, kind: "unary", request, options, known } as const;
  const { call, unlink } = prepare(clock, requestTimeout, of);
  return prepared(call, unlink);
}

function prepared(call: PreparedCall, unlink: (() => void) | undefined): CallBounds {
  const { limit, deadline, inherited, metadata, cancellation } = call;
  return { limit, deadline, inherited, sent: metadata.pristine ?? metadata, given: cancellation, unlink };
}

/** A call that made its way without being prepared. */
interface BoundCall {
  readonly target: Target;
  readonly request: unknown;
  readonly options: CallOptions | undefined;
  readonly deadline: number;
  readonly bounds: CallBounds | undefined;
}

/** It as the rest of the engine knows calls. */
export function preparedOf(call: BoundCall, { requestTimeout }: ClientEngineOptions): PreparedCall {
  const { target, request, deadline, bounds, options = none } = call;
  const { service, endpoint, known } = target;
  return {
    service,
    endpoint,
    kind: "unary",
    request,
    metadata: Metadata.from(bounds?.sent),
    deadline,
    options,
    by: options,
    cancellation: bounds?.given,
    known,
    limit: bounds?.limit ?? requestTimeout,
    inherited: bounds?.inherited ?? false,
  };
}
