import { errors } from "../../errors.ts";
import { Gathered } from "../../wire/http1/bytes.ts";

const LF = 10;
const CR = 13;

/** Messages one a line (https://github.com/ndjson/ndjson-spec), as they come in pieces of any size. */
export class LineReader {
  readonly #most: number;
  readonly #empty: boolean;
  readonly #rest = new Gathered();

  /** `empty`: empty lines are messages without bytes, as ours write them; those of others mean nothing. */
  constructor(most: number, empty: boolean) {
    this.#most = most;
    this.#empty = empty;
  }

  /** Bytes of a line that is not complete. */
  get held(): number {
    return this.#rest.length;
  }

  /** @throws MicroError PAYLOAD_TOO_LARGE */
  push(bytes: Uint8Array): Buffer[] {
    const chunk = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const lines: Buffer[] = [];
    let from = 0;
    for (let at = chunk.indexOf(LF); at >= 0; at = chunk.indexOf(LF, from)) {
      this.#add(chunk, from, at);
      const line = this.#line();
      if (line.length > 0 || this.#empty) lines.push(line);
      from = at + 1;
    }
    this.#add(chunk, from, chunk.length);
    return lines;
  }

  /** The last line, if nothing ended it. */
  end(): Buffer[] {
    const line = this.#line();
    return line.length > 0 ? [line] : [];
  }

  #add(chunk: Buffer, from: number, to: number): void {
    if (this.#rest.length + to - from > this.#most)
      throw errors.payloadTooLarge("ts.micro.http", `a message of more than ${this.#most} bytes`);
    if (to > from) this.#rest.append(chunk, from, to);
  }

  #line(): Buffer {
    const line = this.#rest.take();
    return line.at(-1) === CR ? line.subarray(0, -1) : line;
  }
}

/** A message as one line. Line ends inside of JSON are blanks. */
export function lineOf(body: Uint8Array): Buffer {
  let end = body.length;
  while (end > 0 && (body[end - 1] === LF || body[end - 1] === CR)) end--;
  const line = Buffer.alloc(end + 1, LF);
  line.set(body.subarray(0, end));
  for (let i = 0; i < end; i++) if (line[i] === LF || line[i] === CR) line[i] = 32;
  return line;
}
