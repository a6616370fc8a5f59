import type { CallOptions, Cancellation } from "../context.ts";
import { milliseconds } from "../duration.ts";
import { MicroError, errors } from "../errors.ts";
import type { Node } from "../registry.ts";
import type { Selector } from "../selector.ts";
import { markMissing, nobody, saysMissing } from "../wire/error.ts";
import type { Candidates } from "./nodes.ts";

/**
 * `error` as the caller gets it: it tells which call it was, and where a connection is to blame, at which node. What a service answered
 * stays as it came, since programs compare it; of what names nobody the message says more than the detail. `node`: undefined where the call's
 * own end came from elsewhere.
 */
export function ofCall(
  error: MicroError,
  call: { service: string; endpoint: string },
  node: Node | undefined,
): MicroError {
  const { id, code, status, detail, refused, layer, attempts } = error;
  const { service, endpoint } = call;
  const remote = layer === "remote";
  const named = detail.includes(endpoint);
  if (code === "CANCELLED" || (remote ? !nobody.has(id) : named)) return error;
  const which = named ? service : `${service} ${endpoint}`;
  const isNodes = node !== undefined && (remote || blames(error)) && !detail.includes(node.address);
  const where = isNodes ? ` at ${node.address}` : "";
  const message = `${which}${where}: ${detail}`;
  const told = new MicroError({
    id,
    code,
    status,
    detail: remote ? detail : message,
    message,
    cause: error.cause,
    refused,
  });
  if (saysMissing(error)) markMissing(told);
  if (layer !== undefined) told.layer = layer;
  if (attempts !== undefined) told.attempts = attempts;
  return told;
}

/** True when the node, not the handler, is to blame: it could not be reached, was lost, refused, or did not answer in time. */
export function blames(error: MicroError): boolean {
  if (error.refused) return true;
  if (error.layer === "remote") return false;
  return (
    error.code === "CONNECTION_LOST" ||
    error.code === "PROTOCOL" ||
    error.code === "UNAVAILABLE" ||
    error.code === "TIMEOUT"
  );
}

/** Tells the selector of an attempt that failed. `given`: what the call is cancelled by, whose reason is no word of the node's. */
export function reportFailure(
  selector: Selector,
  service: string,
  node: Node,
  ms: number,
  failure: MicroError,
  given: Cancellation | undefined,
): void {
  const reason = given?.reason;
  // A deadline that passed is the silence of who had to answer by it.
  if (reason !== undefined && reason.code !== "TIMEOUT") selector.ended(service, node, ms, undefined, "nothing");
  else if (blames(failure)) selector.ended(service, node, ms, failure);
  else if (failure.layer === "remote") selector.ended(service, node, ms, undefined, "alive");
  else selector.ended(service, node, 0, undefined, "nothing");
}

/** True when the node has no such endpoint, while the registry says that some have: nodes of two editions stand side by side. */
export function isElsewhere(error: MicroError, endpoint: string, among: Candidates | undefined): boolean {
  if (error.layer !== "remote" || !saysMissing(error)) return false;
  return among !== undefined && among.nodes.length > 1 && among.facts.has(endpoint);
}

/**
 * True when another attempt is safe: the request cannot have run, or running it twice does no harm. Errors that the handler itself
 * reported are never retried.
 */
export function retryable(error: MicroError, idempotent: boolean): boolean {
  if (error.refused) return true;
  return (
    idempotent &&
    error.layer !== "remote" &&
    (error.code === "CONNECTION_LOST" || error.code === "UNAVAILABLE" || error.code === "TIMEOUT")
  );
}

/** Tells an error how often was tried; one that is frozen, as a caller's reason to abort may be, goes without. */
export function tried(failure: MicroError, attempts: number): void {
  Reflect.set(failure, "attempts", attempts);
}

/**
 * By when an attempt that begins now is due. Of idempotent calls each has twice the time of the one before, or a handler that takes longer
 * than one would be begun again and again, and never end.
 */
export function attemptDue(now: number, limit: number, number: number, deadline: number): number {
  return Math.min(deadline, now + limit * 2 ** Math.min(number - 1, 30));
}

/** The time of an idempotent call's first attempt in milliseconds; `fallback` is the client's. */
export function attemptLimit(options: CallOptions | undefined, fallback: number): number {
  return options?.attemptTimeout === undefined ? fallback : milliseconds(options.attemptTimeout);
}

/** How far ahead of ours a server's timer may go off, in milliseconds: what it was told is rounded, and ours are coarse. */
const ahead = 20;

/** `error`; but where the server was first to see that the time of this attempt is up, our own TIMEOUT. Handlers' own come before that. */
export function timely(error: MicroError, node: Node, now: number, due: number, deadline: number): MicroError {
  if (error.code !== "TIMEOUT" || error.layer !== "remote" || due >= deadline || now < due - ahead) return error;
  return errors.timeout("go.micro.client", `${node.address}: ${error.detail}`, error);
}
