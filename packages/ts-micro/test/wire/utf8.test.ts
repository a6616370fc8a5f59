import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { uint32, utf8Slice, utf8Write } from "../../src/wire/utf8.ts";

describe("UTF-8 without Buffer's argument handling", () => {
  it("is what Buffer writes, lone surrogates included, and stays in its place", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 120 }), fc.nat(9), (text, at) => {
        const wanted = Buffer.from(text);
        const bytes = Buffer.alloc(at + text.length * 3 + 5, 0xee);
        const end = utf8Write(bytes, text, at);
        expect(end).toBe(at + wanted.length);
        expect(bytes.subarray(at, end).equals(wanted)).toBe(true);
        expect(bytes.subarray(0, at).every((byte) => byte === 0xee)).toBe(true);
        expect(bytes.subarray(end).every((byte) => byte === 0xee)).toBe(true);
      }),
      { numRuns: 5000 },
    );
  });

  it("is what Buffer reads, whatever the bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 120 }), fc.nat(120), fc.nat(120), (array, a, b) => {
        const bytes = Buffer.from(array);
        const [from, to] = [Math.min(a, b, bytes.length), Math.min(Math.max(a, b), bytes.length)];
        expect(utf8Slice(bytes, from, to)).toBe(bytes.toString("utf8", from, to));
        if (bytes.length >= from + 4) expect(uint32(bytes, from)).toBe(bytes.readUInt32BE(from));
      }),
      { numRuns: 5000 },
    );
  });
});
