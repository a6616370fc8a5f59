import { headerSize, requestSize } from "./frame.ts";
import { putBody } from "../body.ts";
import type { FlatBody } from "../flat-body.ts";

/** A body: text, which is written as UTF-8, bytes, or the bytes of a short one, which are copied at once. */
export type Body = string | Uint8Array | FlatBody;

const firstSlab = 8 << 10;
const slabSize = 256 << 10;
/** Bodies above this go out as they are, not copied. */
export const copied: number = 64 << 10;

/** Frames, one behind the other in a slab that is used again. What is full, or too large to copy, is handed to `out` in order. */
export class FrameWriter {
  readonly #out: (bytes: Buffer) => void;
  #slab = Buffer.allocUnsafeSlow(firstSlab);
  #from = 0;
  #at = 0;

  constructor(out: (bytes: Buffer) => void) {
    this.#out = out;
  }

  /** Bytes that were not handed out yet. */
  get length(): number {
    return this.#at - this.#from;
  }

  /** A frame whose payload is `body`; how many bytes that is. */
  frame(type: number, flags: number, id: number, body: Body): number {
    if (body instanceof Uint8Array) {
      this.#bytes(type, flags, id, 0, body);
      return body.length;
    }
    const start = this.#begin(headerSize + most(body));
    this.#at = putBody(this.#slab, body, start + headerSize);
    const length = this.#at - start - headerSize;
    this.#head(start, length, type, flags, id);
    return length;
  }

  /** A request: route, metadata and timeout before the body. */
  request(type: number, flags: number, id: number, route: number, metadata: number, timeout: number, body: Body): void {
    const fixed = headerSize + requestSize;
    const start = this.#begin(fixed + (body instanceof Uint8Array ? 0 : most(body)));
    const slab = this.#slab;
    let at = start + headerSize;
    slab[at++] = route >>> 8;
    slab[at++] = route;
    slab[at++] = metadata >>> 24;
    slab[at++] = metadata >>> 16;
    slab[at++] = metadata >>> 8;
    slab[at++] = metadata;
    slab[at++] = timeout >>> 24;
    slab[at++] = timeout >>> 16;
    slab[at++] = timeout >>> 8;
    slab[at++] = timeout;
    if (!(body instanceof Uint8Array)) {
      this.#at = putBody(slab, body, at);
      this.#head(start, this.#at - start - headerSize, type, flags, id);
    } else {
      this.#at = at;
      this.#bytes(type, flags, id, requestSize, body);
    }
  }

  /** What was not handed out yet. */
  take(): Buffer | undefined {
    if (this.#at === this.#from) return undefined;
    const bytes = this.#slab.subarray(this.#from, this.#at);
    this.#from = this.#at;
    return bytes;
  }

  /** Everything handed out has been copied by the system: the slab is free again. */
  reuse(): void {
    this.#from = this.#at = 0;
    if (this.#slab.length > slabSize * 4) this.#slab = Buffer.allocUnsafeSlow(slabSize);
  }

  /** Room for `most` bytes; where they begin. */
  #begin(most: number): number {
    if (this.#at + most > this.#slab.length) {
      const rest = this.take();
      if (rest !== undefined) this.#out(rest);
      this.#slab = Buffer.allocUnsafeSlow(Math.max(slabSize, most));
      this.#from = this.#at = 0;
    }
    return this.#at;
  }

  #head(at: number, length: number, type: number, flags: number, id: number): void {
    const slab = this.#slab;
    slab[at] = length >>> 24;
    slab[at + 1] = length >>> 16;
    slab[at + 2] = length >>> 8;
    slab[at + 3] = length;
    slab[at + 4] = type;
    slab[at + 5] = flags;
    slab[at + 6] = id >>> 24;
    slab[at + 7] = id >>> 16;
    slab[at + 8] = id >>> 8;
    slab[at + 9] = id;
  }

  /** `before` bytes of the payload stand behind the place of the header already. */
  #bytes(type: number, flags: number, id: number, before: number, body: Uint8Array): void {
    const n = body.length;
    let start = this.#at - (before === 0 ? 0 : headerSize + before);
    const large = n > copied;
    const need = headerSize + before + (large ? 0 : n);
    if (start + need > this.#slab.length) {
      const old = this.#slab;
      const rest = start > this.#from ? old.subarray(this.#from, start) : undefined;
      if (rest !== undefined) this.#out(rest);
      this.#slab = Buffer.allocUnsafeSlow(Math.max(slabSize, need));
      if (before > 0) old.copy(this.#slab, headerSize, start + headerSize, start + headerSize + before);
      start = this.#from = 0;
    }
    this.#head(start, before + n, type, flags, id);
    this.#at = start + headerSize + before;
    if (large) {
      const head = this.take();
      if (head !== undefined) this.#out(head);
      this.#out(Buffer.from(body.buffer, body.byteOffset, n));
      return;
    }
    const slab = this.#slab;
    let at = this.#at;
    if (n < 32) for (let i = 0; i < n; i++) slab[at++] = body[i] as number;
    else {
      slab.set(body, at);
      at += n;
    }
    this.#at = at;
  }
}

/** Bytes that are enough for a text; counted only where a third of them would be much. */
function most(text: string | FlatBody): number {
  if (typeof text !== "string") return text.length;
  return text.length < 8192 ? text.length * 3 : Buffer.byteLength(text);
}
