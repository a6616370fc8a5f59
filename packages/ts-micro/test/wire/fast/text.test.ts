import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decodeMetadata, decodeRoute, encodeMetadata, encodeRoute } from "../../../src/wire/fast/text.ts";

const word = fc.string({ unit: "binary", maxLength: 30 }).map((text) => text.replaceAll("\0", "0"));

describe("blocks of text", () => {
  it("hold routes", () => {
    fc.assert(
      fc.property(word, word, word, (service, endpoint, contentType) => {
        const route = { service, endpoint, contentType };
        expect(decodeRoute(encodeRoute(route))).toEqual(route);
      }),
    );
  });

  it("hold metadata, empty names and values too", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(word, word)), (entries) => {
        expect(decodeMetadata(encodeMetadata(entries))).toEqual(entries);
      }),
    );
  });

  it("cannot hold a zero byte", () => {
    expect(() => encodeMetadata([["X", "a\0b"]])).toThrow(expect.objectContaining({ code: "BAD_REQUEST" }));
    expect(() => encodeRoute({ service: "\0", endpoint: "", contentType: "" })).toThrow("zero byte");
  });

  it("that are no routes are told", () => {
    for (const block of ["", "a", "a\0b\0", "a\0b\0c", "a\0b\0c\0d\0"]) expect(decodeRoute(block)).toBeUndefined();
  });

  it("of any text decode to something or nothing", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (block) => {
        decodeRoute(block);
        for (const entry of decodeMetadata(block)) expect(entry).toHaveLength(2);
      }),
    );
  });
});
