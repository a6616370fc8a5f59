import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { MicroError, errors, isMicroError } from "../../../src/errors.ts";
import {
  decodeFailure,
  decodeSettings,
  defaults,
  encodeFailure,
  encodeSettings,
  leastPayload,
  preface,
  readPreface,
  requestSize,
} from "../../../src/wire/fast/frame.ts";

describe("the preface", () => {
  it("is read byte by byte, with what stands behind it left alone", () => {
    const bytes = Buffer.concat([preface(1), Buffer.from("rest")]);
    for (let n = 0; n < 9; n++) expect(readPreface(bytes.subarray(0, n))).toBeUndefined();
    for (let n = 9; n <= bytes.length; n++) expect(readPreface(bytes.subarray(0, n))).toEqual({ version: 1, end: 9 });
  });

  it("may name versions to come", () => {
    expect(readPreface(preface(999))).toEqual({ version: 999, end: 11 });
  });

  it("is none with another first byte, no version, a sign, four digits", () => {
    for (const text of ["GET / HTTP/1.1", "PRI * HTTP/2", "\x16\x03\x01", "\0MICRO/\n", "\0MICRO/-1\n", "\0MICRO/1 \n"])
      expect(readPreface(Buffer.from(text, "latin1"))).toBe(false);
    expect(readPreface(Buffer.from("\0MICRO/1234\n"))).toBe(false);
  });

  it("never takes more than eleven bytes to be told", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 11, maxLength: 40 }), fc.boolean(), (bytes, begun) => {
        const all = begun ? Buffer.concat([Buffer.from("\0MICRO/"), bytes]) : bytes;
        expect(readPreface(all)).not.toBeUndefined();
      }),
      { numRuns: 5000 },
    );
  });
});

describe("settings", () => {
  it("come back as they were, and unknown ones are skipped", () => {
    const settings = { maxPayload: 1 << 20, credit: 5, routes: 9, metadata: 0 };
    const unknown = Buffer.from("00ff00000001", "hex");
    expect(decodeSettings(Buffer.concat([unknown, encodeSettings(settings), unknown]))).toEqual(settings);
    expect(decodeSettings(Buffer.alloc(0))).toEqual(defaults);
  });

  it("do not make an end keep more than it would offer", () => {
    const { routes, metadata } = decodeSettings(encodeSettings({ ...defaults, routes: 1e6, metadata: 1e6 }));
    expect({ routes, metadata }).toEqual({ routes: defaults.routes, metadata: defaults.metadata });
  });

  it("below the least, and half ones, are a fault", () => {
    const bad = [
      { ...defaults, maxPayload: leastPayload - 1 },
      { ...defaults, credit: 0 },
      { ...defaults, routes: 0 },
    ];
    for (const each of bad) expect(() => decodeSettings(encodeSettings(each))).toThrow("below the least");
    expect(() => decodeSettings(Buffer.alloc(5))).toThrow("odd length");
  });

  it("of any bytes are settings or PROTOCOL", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        try {
          expect(decodeSettings(bytes).maxPayload).toBeGreaterThan(requestSize);
        } catch (error) {
          expect(isMicroError(error) && error.code).toBe("PROTOCOL");
        }
      }),
      { numRuns: 5000 },
    );
  });
});

describe("an error in a frame", () => {
  it("comes back with id, status, code and detail, as the peer's", () => {
    const error = errors.notFound("greeter", "nobody “here” 🦊\ud800");
    const back = decodeFailure(encodeFailure(error, leastPayload), true);
    expect(back).toMatchObject({
      id: "greeter",
      code: "NOT_FOUND",
      status: 404,
      detail: error.detail,
      refused: true,
      layer: "remote",
    });
  });

  it("keeps a status that belongs to no code, and a code that we do not know gives way to the status", () => {
    expect(decodeFailure('["x",418,"I_AM_NO_CODE","tea"]', false)).toMatchObject({ status: 418, detail: "tea" });
    expect(decodeFailure('["x",404,"I_AM_NO_CODE",""]', false)).toMatchObject({ status: 404, code: "NOT_FOUND" });
  });

  it("fits, however long its detail and id are, and whatever they take in JSON", () => {
    for (const unit of ["x", "\0", "€", "🦊"]) {
      const error = new MicroError({ id: unit.repeat(3000), code: "INTERNAL", detail: unit.repeat(200_000) });
      const text = encodeFailure(error, leastPayload);
      expect(Buffer.byteLength(text)).toBeLessThanOrEqual(leastPayload);
      expect(decodeFailure(text, false).detail.length).toBeGreaterThan(1000);
    }
  });

  it("that is no list is PROTOCOL", () => {
    for (const text of ["", "null", "{}", '"abcd"', "[", "17"])
      expect(decodeFailure(text, false)).toMatchObject({ code: "PROTOCOL", layer: "remote" });
  });

  it("of any text or JSON is a MicroError", () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json()), (text) => {
        expect(isMicroError(decodeFailure(text, false))).toBe(true);
      }),
      { numRuns: 5000 },
    );
  });
});
