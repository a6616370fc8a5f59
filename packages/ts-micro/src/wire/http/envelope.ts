import { errors, type MicroError } from "../../errors.ts";

/** A message in a body that carries several: a byte of flags, its length as big-endian uint32, the message (gRPC, gRPC-Web, Connect). */
export interface Enveloped {
  readonly flags: number;
  readonly body: Uint8Array;
}

/** The message is compressed. */
export const compressed = 1;

export function encodeEnvelope(flags: number, body: Uint8Array): Buffer {
  const out = Buffer.allocUnsafe(5 + body.length);
  out[0] = flags;
  out.writeUInt32BE(body.length, 1);
  out.set(body, 5);
  return out;
}

/** Takes a body apart, however it is cut. Holds one unfinished message at most. */
export class EnvelopeReader {
  readonly #limit: number;
  #chunks: Uint8Array[] = [];
  #held = 0;
  #needs = 5;

  /** `limit`: longest message, in bytes. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  push(chunk: Uint8Array): void {
    if (chunk.length === 0) return;
    this.#held += chunk.length;
    // Small pieces are joined, as digits carry: a body sent byte by byte must not cost a hundred times its size.
    let piece = chunk;
    for (let last = this.#chunks.at(-1); last !== undefined; last = this.#chunks.at(-1)) {
      if (last.length >= 4096 || last.length > piece.length) break;
      this.#chunks.pop();
      piece = Buffer.concat([last, piece]);
    }
    this.#chunks.push(piece);
  }

  /**
   * The next whole message; undefined when more bytes are needed.
   * @throws MicroError PAYLOAD_TOO_LARGE as soon as a length above the limit is read.
   */
  next(): Enveloped | undefined {
    if (this.#held < this.#needs) return undefined;
    const bytes = this.#chunks.length === 1 ? (this.#chunks[0] as Uint8Array) : Buffer.concat(this.#chunks);
    this.#chunks = [bytes];
    const length = new DataView(bytes.buffer, bytes.byteOffset).getUint32(1);
    if (length > this.#limit) throw tooLong(length, this.#limit);
    if (this.#held < 5 + length) {
      this.#needs = 5 + length;
      return undefined;
    }
    const rest = bytes.subarray(5 + length);
    this.#chunks = rest.length === 0 ? [] : [rest];
    this.#held = rest.length;
    this.#needs = 5;
    return { flags: bytes[0] as number, body: bytes.subarray(5, 5 + length) };
  }

  /** Throws BAD_REQUEST when the body ends here inside of a message. */
  end(): void {
    if (this.#held > 0) throw errors.badRequest("go.micro.server", "the body ends inside of a message");
  }
}

export function tooLong(length: number, limit: number): MicroError {
  return errors.payloadTooLarge("go.micro.server", `a message of ${length} bytes is longer than ${limit}`);
}
