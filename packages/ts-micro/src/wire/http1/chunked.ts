import { Gathered } from "./bytes.ts";
import { malformed, tooLarge, type ResolvedLimits } from "./limits.ts";

const maxLineBytes = 256;
const maxTrailerBytes = 16 * 1024;
const maxExcessBytes = 16 * 1024;
const CR = 13;
const LF = 10;

type Part = "size" | "data" | "data-end" | "trailer";

/**
 * One body in chunked transfer coding (RFC 9112 §7.1), decoded as it arrives. Chunk extensions and trailers are read, bounded and ignored;
 * like Go's reader it ends a body that is more framing than data.
 */
export class ChunkedBody {
  readonly #limits: ResolvedLimits;
  readonly #body = new Gathered();
  #part: Part = "size";
  #line = "";
  #left = 0;
  #excess = 0;
  #trailerBytes = 0;
  #trailerLines = 0;
  done = false;

  constructor(limits: ResolvedLimits) {
    this.#limits = limits;
  }

  /** Reads from `buffer[at]` on; returns where it stopped, which is before the end only when `done`. */
  feed(buffer: Buffer, at: number, end: number): number {
    while (at < end && !this.done) {
      if (this.#part === "data") {
        const stop = Math.min(end, at + this.#left);
        this.#body.append(buffer, at, stop);
        this.#left -= stop - at;
        at = stop;
        if (this.#left === 0) this.#part = "data-end";
        continue;
      }
      const lf = buffer.indexOf(LF, at);
      const stop = lf < 0 || lf >= end ? end : lf + 1;
      const max = this.#part === "data-end" ? 2 : maxLineBytes;
      if (this.#part === "trailer") {
        this.#trailerBytes += stop - at;
        if (this.#trailerBytes > maxTrailerBytes) throw tooLarge(`trailers above ${maxTrailerBytes} bytes`);
      } else if (this.#line.length + stop - at > max)
        throw malformed("chunk longer than its size, or its line too long");
      this.#line += buffer.toString("latin1", at, stop);
      at = stop;
      if (buffer[stop - 1] === LF) this.#endOfLine();
    }
    return at;
  }

  /** The decoded body, once `done`. */
  take(): Buffer {
    return this.#body.take();
  }

  #endOfLine(): void {
    const line = this.#line;
    if (line.charCodeAt(line.length - 2) !== CR) throw malformed("line of a chunked body not ended by CRLF");
    this.#line = "";
    if (this.#part === "data-end") this.#part = "size";
    else if (this.#part === "size") this.#beginChunk(line);
    else if (line === "\r\n") this.done = true;
    else if (++this.#trailerLines > this.#limits.maxHeaders) throw malformed("too many trailers");
    else if (!/^[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*\r\n$/.test(line))
      throw malformed("illegal trailer");
  }

  #beginChunk(line: string): void {
    const match = /^([0-9A-Fa-f]{1,16})[ \t]*(?:;[\t\x20-\x7e\x80-\xff]*)?\r\n$/.exec(line);
    if (match === null) throw malformed("illegal chunk size");
    const size = Number.parseInt(match[1] as string, 16);
    if (size > this.#limits.maxBodyBytes - this.#body.length)
      throw tooLarge(`body above ${this.#limits.maxBodyBytes} bytes`);
    this.#excess = Math.max(0, this.#excess + line.length - 16 - 2 * size);
    if (this.#excess > maxExcessBytes) throw malformed("chunked body that is more framing than data");
    this.#left = size;
    this.#part = size === 0 ? "trailer" : "data";
  }
}
