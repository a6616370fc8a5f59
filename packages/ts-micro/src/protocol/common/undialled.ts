import { MicroError, fromUnknown, type ErrorCode } from "../../errors.ts";
import type { Node } from "../../wire/registry-record.ts";

/** Of our own end: no other node would do better. */
const own: ReadonlySet<ErrorCode> = new Set(["CANCELLED", "INVALID_STATE", "PACKAGE_MISSING"]);

/**
 * What a dial failed with. Nothing was sent, so a node that the registry knows has refused, also where its address is none: others may be
 * in order. An address that the caller gave stays the caller's fault.
 */
export function undialled(error: unknown, node: Node): MicroError {
  const failure = fromUnknown(error, "go.micro.client");
  const { id, detail, message, cause } = failure;
  if (failure.refused || own.has(failure.code) || node.id === node.address) {
    failure.layer ??= "dial";
    return failure;
  }
  const code = failure.code === "BAD_REQUEST" ? "UNAVAILABLE" : failure.code;
  const refused = new MicroError({ id, code, detail, message, cause, refused: true });
  refused.layer = "dial";
  return refused;
}
