import type { MicroError } from "../errors.ts";

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
