import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { FrameReader } from "../../../src/wire/fast/reader.ts";
import { Collector, chunks, frame, push, read, type Seen } from "./frames.ts";

const anyFrame = fc.record({
  type: fc.nat(255),
  flags: fc.nat(255),
  id: fc.nat(0xffff_ffff),
  payload: fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
});

describe("the frame reader", () => {
  it("gives the same frames whatever pieces they come in", () => {
    fc.assert(
      fc.property(
        fc.array(anyFrame, { maxLength: 12 }),
        fc.array(fc.integer({ min: 1, max: 400 }), { minLength: 1, maxLength: 6 }),
        (frames, sizes) => {
          const bytes = Buffer.concat(frames.map((f) => frame(f.type, f.flags, f.id, f.payload)));
          const sink = new Collector();
          const reader = new FrameReader(sink, 1000);
          for (const chunk of chunks(bytes, sizes)) push(reader, chunk);
          expect(sink.seen).toEqual(frames);
          expect(reader.idle).toBe(true);
        },
      ),
      { numRuns: 3000 },
    );
  });

  it("names what is longer than the limit, skips it, and reads on, in any pieces", () => {
    const bytes = Buffer.concat([
      frame(2, 1, 5, Buffer.alloc(1000, 7)),
      frame(3, 0, 6, "after"),
      frame(2, 0, 7, Buffer.alloc(101, 7)),
      frame(3, 0, 8),
    ]);
    for (const size of [1, 9, 10, 11, 100, 1009, 1010, 1011, 5000]) {
      const sink = new Collector();
      const reader = new FrameReader(sink, 100);
      for (const chunk of chunks(bytes, [size])) push(reader, chunk);
      expect(sink.seen.map(({ type, id, length, payload }) => [type, id, length, String(payload)])).toEqual([
        [2, 5, 1000, ""],
        [3, 6, undefined, "after"],
        [2, 7, 101, ""],
        [3, 8, undefined, ""],
      ]);
    }
  });

  it("stops in the middle of a chunk when it is halted, and goes on where it stopped", () => {
    fc.assert(
      fc.property(fc.array(anyFrame, { minLength: 1, maxLength: 12 }), fc.nat(11), fc.nat(400), (frames, n, split) => {
        const bytes = Buffer.concat(frames.map((f) => frame(f.type, f.flags, f.id, f.payload)));
        const sink = new Collector();
        const reader = new FrameReader(sink, 1000);
        const stopAt = Math.min(n + 1, frames.length);
        sink.onFrame = () => (sink.halted = sink.seen.length === stopAt);
        const at = Math.min(split, bytes.length);
        push(reader, Buffer.from(bytes.subarray(0, at)));
        push(reader, Buffer.from(bytes.subarray(at)));
        expect(sink.seen).toHaveLength(stopAt);
        sink.halted = false;
        reader.resume();
        reader.resume();
        expect(sink.seen).toEqual(frames);
      }),
      { numRuns: 2000 },
    );
  });

  it("keeps no more than what came of a frame that comes byte by byte", () => {
    const sink = new Collector();
    const reader = new FrameReader(sink, 1 << 20);
    const bytes = frame(4, 0, 1, Buffer.alloc(20_000, 1));
    for (const byte of bytes) push(reader, Buffer.from([byte]));
    expect(sink.seen).toHaveLength(1);
    expect(sink.seen[0]?.payload.equals(bytes.subarray(10))).toBe(true);
  });

  it("takes any bytes: frames, or the wait for more (50,000 inputs)", { timeout: 60_000 }, () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 120 }),
        fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1 }),
        (bytes, sizes) => {
          const whole: Seen[] = read(Buffer.from(bytes), 64);
          const sink = new Collector();
          const reader = new FrameReader(sink, 64);
          for (const chunk of chunks(Buffer.from(bytes), sizes)) push(reader, chunk);
          expect(sink.seen).toEqual(whole);
        },
      ),
      { numRuns: 50_000 },
    );
  });
});
