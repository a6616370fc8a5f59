import { FrameReader, type FrameSink } from "../../../src/wire/fast/reader.ts";

export interface Seen {
  readonly type: number;
  readonly flags: number;
  readonly id: number;
  readonly payload: Buffer;
  /** Of an oversized frame. */
  readonly length?: number;
}

/** Keeps the frames that it is given. */
export class Collector implements FrameSink {
  readonly seen: Seen[] = [];
  halted = false;
  onFrame: (frame: Seen) => void = () => {};

  frame(type: number, flags: number, id: number, bytes: Buffer, from: number, to: number): void {
    const frame = { type, flags, id, payload: Buffer.from(bytes.subarray(from, to)) };
    this.seen.push(frame);
    this.onFrame(frame);
  }

  oversize(type: number, flags: number, id: number, length: number): void {
    this.seen.push({ type, flags, id, payload: Buffer.alloc(0), length });
  }
}

/** Header and payload, written byte by byte as the specification says. */
export function frame(type: number, flags: number, id: number, payload: Buffer | string = ""): Buffer {
  const body = typeof payload === "string" ? Buffer.from(payload) : payload;
  const head = Buffer.alloc(10);
  head.writeUInt32BE(body.length, 0);
  head[4] = type;
  head[5] = flags;
  head.writeUInt32BE(id, 6);
  return Buffer.concat([head, body]);
}

export function read(bytes: Buffer, limit: number = 1 << 24): Seen[] {
  const sink = new Collector();
  new FrameReader(sink, limit).push(bytes, bytes.length);
  return sink.seen;
}

/** Cuts `bytes` at the places that `sizes` give, in turn. */
export function* chunks(bytes: Buffer, sizes: readonly number[]): IterableIterator<Buffer> {
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const n = Math.max(1, sizes[i % sizes.length] ?? bytes.length);
    yield Buffer.from(bytes.subarray(at, at + n));
    at += n;
  }
}

/** Gives `bytes` to a reader in a buffer that is overwritten afterwards, as a socket's may be. */
export function push(reader: FrameReader, bytes: Buffer): void {
  const buffer = Buffer.concat([bytes, Buffer.alloc(20, 0xee)]);
  reader.push(buffer, bytes.length);
  buffer.fill(0xee);
}
