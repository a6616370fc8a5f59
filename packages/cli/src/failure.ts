import { encodeError, isMicroError, type MicroError } from "ts-micro";

/** A failure, `cause`, and what can be done. */
export class Advice extends Error {}

/**
 * What standard error says of a failure. An error that a service answered is printed as it came: Go's JSON, or plain text. One of this side
 * is in our words.
 */
export function wordsOf(error: unknown): string {
  if (error instanceof Advice) return `${wordsOf(error.cause)}\nmicro: ${error.message}`;
  const remote = remoteError(error);
  if (remote !== undefined) return encodeError(remote);
  if (isMicroError(error)) return `micro: ${error.detail}${advice(error)}`;
  return `micro: ${error instanceof Error ? error.message : String(error)}`;
}

/** The answer of a service at the bottom of the causes: on the way up a plain text gets the id and the status of who passed it on. */
function remoteError(error: unknown): MicroError | undefined {
  let found: MicroError | undefined;
  for (let at = error, depth = 0; isMicroError(at) && depth < 10; at = at.cause, depth++) {
    if (at.layer === "remote") found = at;
  }
  return found;
}

function advice({ code, detail }: MicroError): string {
  if (code === "NOT_FOUND" && detail.startsWith("service ") && !detail.includes("did you mean"))
    return "\n  `micro services` lists what there is";
  if (code === "TIMEOUT") return "\n  --client_request_timeout=1m gives it more time";
  return "";
}
