import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { FrameWriter, type Body } from "../../../src/wire/fast/writer.ts";
import { read } from "./frames.ts";

/** A writer whose bytes are gathered in order, as a socket would. */
function gathering(): { writer: FrameWriter; flush(): void; bytes(): Buffer } {
  const parts: Buffer[] = [];
  const writer = new FrameWriter((bytes) => parts.push(Buffer.from(bytes)));
  const flush = (): void => {
    const rest = writer.take();
    if (rest !== undefined) parts.push(Buffer.from(rest));
    writer.reuse();
  };
  return { writer, flush, bytes: () => Buffer.concat(parts) };
}

const bytesOf = (body: Body): Buffer => Buffer.from(body as string);

const body: fc.Arbitrary<Body> = fc.oneof(
  { weight: 5, arbitrary: fc.string({ unit: "binary", maxLength: 200 }) },
  { weight: 5, arbitrary: fc.uint8Array({ maxLength: 200 }) },
  { weight: 1, arbitrary: fc.constantFrom("", new Uint8Array(0), "\ud800", "x\udfff€", "🦊".repeat(30)) },
  // About the sizes where something changes: slabs of 8 KiB and 256 KiB, copies up to 64 KiB, texts counted from 8192 on.
  {
    weight: 2,
    arbitrary: fc
      .tuple(
        fc.constantFrom(2730, 8192, 65_536, 87_381, 262_144, 300_000),
        fc.integer({ min: -30, max: 30 }),
        fc.nat(3),
      )
      .map(([size, by, kind]): Body => {
        const n = size + by;
        return kind === 0
          ? "x".repeat(n)
          : kind === 1
            ? "€".repeat(n)
            : kind === 2
              ? Buffer.alloc(n, 3)
              : "é\ud800".repeat(n >> 1);
      }),
  },
);

describe("the frame writer", () => {
  it("writes what the reader reads, whatever the bodies, wherever slabs end", { timeout: 60_000 }, () => {
    const step = fc.record({ body, id: fc.nat(0xffff_ffff), request: fc.boolean(), flush: fc.boolean() });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 20 }), (steps) => {
        const { writer, flush, bytes } = gathering();
        const wanted = steps.map(({ body, id, request, flush: flushed }, i) => {
          if (request) writer.request(2, i & 0xff, id, 0x1234, 0x89abcdef, id, body);
          else writer.frame(4, i & 0xff, id, body);
          if (flushed) flush();
          const head = Buffer.from("123489abcdef00000000", "hex");
          head.writeUInt32BE(id, 6);
          return {
            type: request ? 2 : 4,
            flags: i & 0xff,
            id,
            payload: Buffer.concat([request ? head : Buffer.alloc(0), bytesOf(body)]),
          };
        });
        flush();
        expect(writer.length).toBe(0);
        const seen = read(bytes());
        expect(seen.length).toBe(wanted.length);
        seen.forEach((frame, i) => {
          const { payload, ...rest } = wanted[i] as (typeof wanted)[number];
          expect({ ...frame, payload: undefined }).toEqual({ ...rest, payload: undefined });
          expect(frame.payload.equals(payload)).toBe(true);
        });
      }),
      { numRuns: 400 },
    );
  });

  it("fills slabs to every last byte", () => {
    for (let n = 8192 - 60; n <= 8192 + 10; n++) {
      for (const second of ["abc", Buffer.from("abc"), Buffer.alloc(70_000, 1)]) {
        const { writer, flush, bytes } = gathering();
        writer.frame(4, 0, 1, Buffer.alloc(n - 10));
        writer.request(2, 0, 2, 1, 0, 0, second);
        flush();
        const [one, two] = read(bytes());
        expect(one?.payload.length).toBe(n - 10);
        expect(two?.payload.subarray(10).equals(bytesOf(second))).toBe(true);
      }
    }
  });

  it("hands large bodies on without a copy, behind what was written before them", () => {
    const parts: Buffer[] = [];
    const writer = new FrameWriter((bytes) => parts.push(bytes));
    const large = Buffer.alloc(100_000, 9);
    writer.frame(4, 0, 1, "small");
    writer.frame(4, 0, 2, large);
    expect(parts.at(-1)?.buffer).toBe(large.buffer);
    expect(read(Buffer.concat(parts)).map(({ id }) => id)).toEqual([1, 2]);
  });
});
