import { errors, type MicroError } from "../../errors.ts";

/** Bounds of one HTTP/1.1 message. Past `maxHeadBytes` or `maxBodyBytes` the error is PAYLOAD_TOO_LARGE, past the others PROTOCOL. */
export interface Http1Limits {
  /** Start line and headers with all their line ends, in bytes. Default 1 MiB, as Go's net/http. */
  readonly maxHeadBytes?: number;
  /** Decoded body, in bytes. Default 4 MiB. */
  readonly maxBodyBytes?: number;
  /** Header lines of one message, repeated ones included, and as many trailers. Default 2000. */
  readonly maxHeaders?: number;
  /** Start line, in bytes. Default 8 KiB. */
  readonly maxStartLineBytes?: number;
}

export type ResolvedLimits = Required<Http1Limits>;

/** The limits with their defaults filled in. */
export function resolveLimits(limits: Http1Limits = {}): ResolvedLimits {
  return {
    maxHeadBytes: limits.maxHeadBytes ?? 1 << 20,
    maxBodyBytes: limits.maxBodyBytes ?? 4 << 20,
    maxHeaders: limits.maxHeaders ?? 2000,
    maxStartLineBytes: limits.maxStartLineBytes ?? 8192,
  };
}

/** Who reports the errors of this folder. */
const id = "ts.micro.http1";

export function malformed(detail: string): MicroError {
  return errors.protocol(id, detail);
}

export function tooLarge(detail: string): MicroError {
  return errors.payloadTooLarge(id, detail);
}
