import { uint32 } from "../utf8.ts";
import { headerSize } from "./frame.ts";

/** Pieces kept apart: each costs more than the bytes of a small one. */
const mostParts = 1024;

export interface FrameSink {
  /** A frame whose payload is `bytes[from, to)`. They are to be read, or copied, before it returns. */
  frame(type: number, flags: number, id: number, bytes: Buffer, from: number, to: number): void;
  /** The head of a frame whose payload is longer than the limit; the payload is skipped. */
  oversize(type: number, flags: number, id: number, length: number): void;
  /** True while nothing more may be delivered: what came is kept until {@link FrameReader.resume}. */
  readonly halted: boolean;
}

/** Takes bytes apart into frames, whatever pieces they come in. */
export class FrameReader {
  readonly #sink: FrameSink;
  readonly #limit: number;
  #parts: Buffer[] = [];
  #have = 0;
  /** Bytes needed before the next look. */
  #need = headerSize;
  #skip = 0;

  constructor(sink: FrameSink, limit: number) {
    this.#sink = sink;
    this.#limit = limit;
  }

  /** True when no part of a frame is kept. */
  get idle(): boolean {
    return this.#have === 0 && this.#skip === 0;
  }

  /** `chunk[0, length)`, which may be overwritten afterwards. */
  push(chunk: Buffer, length: number): void {
    if (this.#have === 0 && !this.#sink.halted) return this.#read(chunk, length);
    this.#parts.push(Buffer.from(chunk.subarray(0, length)));
    this.#have += length;
    if (this.#have >= this.#need && !this.#sink.halted) this.resume();
    else if (this.#parts.length > mostParts) this.#parts = [Buffer.concat(this.#parts, this.#have)];
  }

  /** Goes on with what was kept. */
  resume(): void {
    if (this.#have === 0) return;
    const bytes = this.#parts.length === 1 ? (this.#parts[0] as Buffer) : Buffer.concat(this.#parts, this.#have);
    this.#parts = [];
    this.#have = 0;
    this.#read(bytes, bytes.length);
  }

  #read(bytes: Buffer, end: number): void {
    let at = 0;
    if (this.#skip > 0) {
      const skipped = Math.min(this.#skip, end);
      this.#skip -= skipped;
      at = skipped;
    }
    const sink = this.#sink;
    let halted = false;
    while (end - at >= headerSize) {
      const length = uint32(bytes, at);
      const from = at + headerSize;
      const to = from + length;
      const whole = to <= end;
      if (!whole && length <= this.#limit) {
        this.#need = headerSize + length;
        break;
      }
      const type = bytes[at + 4] as number;
      const flags = bytes[at + 5] as number;
      const id = uint32(bytes, at + 6);
      if (length > this.#limit) {
        sink.oversize(type, flags, id, length);
        this.#skip = whole ? 0 : to - end;
        at = whole ? to : end;
      } else {
        sink.frame(type, flags, id, bytes, from, to);
        at = to;
      }
      if (sink.halted) {
        this.#need = 0;
        halted = true;
        break;
      }
    }
    if (at < end) {
      if (!halted && end - at < headerSize) this.#need = headerSize;
      this.#parts = [Buffer.from(bytes.subarray(at, end))];
      this.#have = end - at;
    }
  }
}
