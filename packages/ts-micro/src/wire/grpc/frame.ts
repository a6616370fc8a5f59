import { errors, type MicroError } from "../../errors.ts";
import { putBody } from "../body.ts";
import type { FlatBody } from "../flat-body.ts";
import { Gathered } from "../http1/bytes.ts";
import { uint32 } from "../utf8.ts";

/** Bytes before each message: one of flags, four of length (big endian). */
export const prefixBytes = 5;
/** Flag of a message that is compressed by what `grpc-encoding` names. */
export const compressedFlag = 1;

const id = "ts.micro.grpc";

/** The prefix of a message of `length` bytes. */
export function framePrefix(length: number, flags = 0): Buffer {
  const prefix = Buffer.allocUnsafe(prefixBytes);
  prefix[0] = flags;
  prefix.writeUInt32BE(length, 1);
  return prefix;
}

/** A message with its prefix, in one buffer. */
export function frame(body: string | Uint8Array | FlatBody, flags = 0): Buffer {
  const length = frameLength(body);
  const out = Buffer.allocUnsafe(prefixBytes + length);
  out[0] = flags;
  out[1] = length >>> 24;
  out[2] = length >>> 16;
  out[3] = length >>> 8;
  out[4] = length;
  if (typeof body === "string") out.write(body, prefixBytes);
  else putBody(out, body, prefixBytes);
  return out;
}

/** Bytes of a message, without its prefix. */
export function frameLength(body: string | Uint8Array | FlatBody): number {
  return typeof body === "string" ? Buffer.byteLength(body) : body.length;
}

/** The one message of `bytes`, a view of it; undefined when `bytes` is not exactly one message without flags. */
export function wholeFrame(bytes: Buffer): Buffer | undefined {
  if (bytes.length < prefixBytes || bytes[0] !== 0) return undefined;
  const length = lengthAt(bytes, 0);
  return bytes.length === prefixBytes + length ? bytes.subarray(prefixBytes) : undefined;
}

/** Takes a message that arrived; `flags` are its own. */
export type TakeFrame = (body: Buffer, flags: number) => void;

/**
 * Cuts a byte stream into its messages, however it arrives. A message within one chunk is a view of that chunk. What is announced is
 * checked before anything is kept.
 */
export class FrameReader {
  readonly #most: number;
  readonly #take: TakeFrame;
  readonly #held = new Gathered();
  /** Bytes that the message under way takes, prefix included; the prefix alone while its length is not known. */
  #need = prefixBytes;

  /** `most`: largest message, in bytes. */
  constructor(most: number, take: TakeFrame) {
    this.#most = most;
    this.#take = take;
  }

  /** Bytes of a message that is not complete. */
  get held(): number {
    return this.#held.length;
  }

  /** @throws MicroError RESOURCE_EXHAUSTED for a message above the limit */
  push(chunk: Buffer): void {
    const held = this.#held;
    let rest: Buffer = chunk;
    if (held.length > 0) {
      held.append(chunk, 0, chunk.length);
      if (held.length < this.#need) return;
      rest = held.take();
    }
    while (rest.length >= prefixBytes) {
      const length = lengthAt(rest, 0);
      if (length > this.#most) throw tooLarge(length, this.#most);
      this.#need = prefixBytes + length;
      if (rest.length < this.#need) break;
      const body = rest.subarray(prefixBytes, this.#need);
      const flags = rest[0] as number;
      rest = rest.subarray(this.#need);
      this.#need = prefixBytes;
      this.#take(body, flags);
    }
    if (rest.length > 0) held.append(rest, 0, rest.length);
  }
}

/** The error for a message of `length` bytes where `most` are taken. */
export function tooLarge(length: number, most: number): MicroError {
  return errors.resourceExhausted(id, `message of ${length} bytes is larger than the limit of ${most}`);
}

function lengthAt(bytes: Uint8Array, at: number): number {
  return uint32(bytes, at + 1);
}
