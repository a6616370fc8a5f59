import { errors, type MicroError } from "../../errors.ts";

/** Bytes that are no DNS packet. */
export function malformed(detail: string): MicroError {
  return errors.protocol("ts.micro.dns", detail);
}

/** A packet that has no DNS form. */
export function unencodable(detail: string): MicroError {
  return errors.badRequest("ts.micro.dns", detail);
}
