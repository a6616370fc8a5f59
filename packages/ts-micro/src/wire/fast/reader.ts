import { uint32 } from "../utf8.ts";
import { headerSize } from "./frame.ts";

/** What is kept of a frame begun, between two frames that are larger. */
const usual = 256 << 10;

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
  /** The beginning of a frame, or what came while nothing was taken: `[0, #have)`. */
  #kept: Buffer = Buffer.alloc(0);
  #have = 0;
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
    let at = 0;
    if (this.#have > 0 && !this.#sink.halted) at = this.#complete(chunk, length);
    if (this.#have === 0 && !this.#sink.halted) at = this.#read(chunk, at, length);
    if (at < length) this.#keep(chunk, at, length);
  }

  /** Goes on with what was kept. */
  resume(): void {
    const { length } = this.#kept;
    const have = this.#have;
    if (have === 0 || length === 0) return;
    const at = this.#read(this.#kept, 0, have);
    this.#kept.copyWithin(0, at, have);
    this.#have = have - at;
    this.#shrink();
  }

  /** Completes the frame that is begun; where the next one starts in the chunk. */
  #complete(chunk: Buffer, length: number): number {
    let at = 0;
    for (;;) {
      const need = this.#need();
      const from = at;
      at = Math.min(length, at + Math.max(0, need - this.#have));
      this.#keep(chunk, from, at);
      if (this.#have < need) return at;
      if (need === this.#need()) break;
    }
    this.resume();
    return at;
  }

  /** Bytes that the frame at the beginning of what is kept has, as far as is known. */
  #need(): number {
    if (this.#have < headerSize) return headerSize;
    const length = uint32(this.#kept, 0);
    return length > this.#limit ? headerSize : headerSize + length;
  }

  #keep(chunk: Buffer, from: number, to: number): void {
    const have = this.#have + to - from;
    if (have > this.#kept.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(have, this.#need(), Math.min(this.#kept.length * 2, usual)));
      this.#kept.copy(larger, 0, 0, this.#have);
      this.#kept = larger;
    }
    chunk.copy(this.#kept, this.#have, from, to);
    this.#have = have;
  }

  #shrink(): void {
    if (this.#have === 0 && this.#kept.length > usual) this.#kept = Buffer.alloc(0);
  }

  /** Delivers the whole frames of `bytes[begin, end)`; where the rest begins. */
  #read(bytes: Buffer, begin: number, end: number): number {
    let at = begin;
    if (this.#skip > 0) {
      const skipped = Math.min(this.#skip, end - at);
      this.#skip -= skipped;
      at += skipped;
    }
    const sink = this.#sink;
    while (end - at >= headerSize) {
      const length = uint32(bytes, at);
      const from = at + headerSize;
      const to = from + length;
      const whole = to <= end;
      if (!whole && length <= this.#limit) return at;
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
      if (sink.halted) return at;
    }
    return at;
  }
}
