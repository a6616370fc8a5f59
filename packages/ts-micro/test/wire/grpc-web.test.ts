import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Base64Reader, encodeTrailers } from "../../src/wire/grpc-web/body.ts";
import { grpcTimeout, grpcWebType } from "../../src/wire/grpc-web/request.ts";
import { outcome } from "./outcome.ts";

/** `bytes` cut where `cuts` say. */
function cut(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const at = [...new Set(cuts.map((each) => each % (bytes.length + 1)))].toSorted((a, b) => a - b);
  return [...at, bytes.length].map((end, i) => bytes.subarray(at[i - 1] ?? 0, end));
}

function read(pieces: readonly Buffer[]): Buffer {
  const reader = new Base64Reader();
  const out = pieces.map((piece) => reader.push(piece));
  reader.end();
  return Buffer.concat(out);
}

describe("the body of grpc-web-text", () => {
  it("is pieces of padded base64, however it is cut", () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 40 })), fc.array(fc.nat()), (pieces, cuts) => {
        const text = Buffer.from(pieces.map((each) => Buffer.from(each).toString("base64")).join(""));
        expect(read(cut(text, cuts))).toEqual(Buffer.concat(pieces));
      }),
    );
  });

  it("or a MicroError", () => {
    const piece = fc.constantFrom("AAAA", "AA==", "=", "A", "====", "A=A=", "-_-_", "\n", "AAA=");
    const body = fc.oneof(
      fc.uint8Array(),
      fc.array(piece).map((all) => Buffer.from(all.join(""))),
    );
    fc.assert(
      fc.property(body, fc.array(fc.nat()), (bytes, cuts) => {
        const whole = outcome(() => read([Buffer.from(bytes)]));
        expect(whole).toMatch(/^(ok|BAD_REQUEST)$/);
        expect(outcome(() => read(cut(Buffer.from(bytes), cuts)))).toBe(whole);
      }),
      { numRuns: 2000 },
    );
  });
});

it("trailers are header lines", () => {
  expect(encodeTrailers({ "grpc-status": "0", "x-a": "1" }).toString()).toBe("grpc-status: 0\r\nx-a: 1\r\n");
});

describe("a request", () => {
  it("says by its content type what it is, and the answer says the same", () => {
    expect(grpcWebType("application/grpc-web")).toEqual({
      codec: "application/protobuf",
      text: false,
      answer: "application/grpc-web+proto",
    });
    expect(grpcWebType("Application/gRPC-Web-Text+proto; x=y")).toMatchObject({ text: true });
    expect(grpcWebType("application/grpc-web+json")).toMatchObject({ codec: "application/json" });
    for (const other of [undefined, "", "application/grpc", "application/grpc-web+xml", "constructor"])
      expect(grpcWebType(other)).toBeUndefined();
  });

  it("has a timeout in one of six units", () => {
    const all = ["1H", "2M", "3S", "4m", "5u", "6n"].map((text) => grpcTimeout(text));
    expect(all).toEqual([3_600_000, 120_000, 3000, 4, 5 * 1e-3, 6 * 1e-6]);
    expect(grpcTimeout(undefined)).toBe(Infinity);
    fc.assert(
      fc.property(fc.string(), (text) => {
        expect(outcome(() => grpcTimeout(text))).toMatch(/^(ok|BAD_REQUEST)$/);
      }),
    );
  });
});
