import fc from "fast-check";
import { parse } from "yaml";
import { describe, expect, it } from "vitest";
import type { Doc } from "../src/json.ts";
import { naturally, yaml } from "../src/yaml.ts";

const words = fc.oneof(
  fc.constantFrom(
    "",
    "yes",
    "no",
    "~",
    "null",
    "0x1f",
    "1_000",
    "1:30",
    "1e3",
    ".5",
    "2026-11-21",
    "<<",
    "-",
    "- a",
    "a: b",
    "a #b",
    "it's",
    '"',
    "[]uint8",
    "---",
    " a",
    "a ",
    "\t",
    "a\nb",
    "\na",
    "a\n\n",
    "a \nb",
    "ü",
    "\u2028",
    "\u0000",
    "😀",
    "@a",
    "%",
    "key:",
    "a,b",
  ),
  fc.string({ unit: "grapheme", maxLength: 120 }),
  fc.array(fc.string({ maxLength: 20 }), { maxLength: 20 }).map((parts) => parts.join(" ")),
);
const document: fc.Arbitrary<Doc> = fc.letrec<{ doc: Doc; map: Doc }>((tie) => ({
  doc: fc.oneof({ maxDepth: 4 }, words, fc.constant(null), fc.array(tie("doc"), { maxLength: 4 }), tie("map")),
  map: fc
    .dictionary(fc.string({ unit: "grapheme-ascii", minLength: 1, maxLength: 12 }), tie("doc"), { maxKeys: 4 })
    .map((object) => new Map(Object.entries(object))),
})).map;

function plain(doc: Doc): unknown {
  if (doc instanceof Map) return Object.fromEntries(Array.from(doc, ([key, value]) => [key, plain(value as Doc)]));
  return Array.isArray(doc) ? doc.map((each) => plain(each as Doc)) : doc;
}

describe("YAML", () => {
  it("says the same as its document, whatever the texts", () => {
    fc.assert(
      fc.property(document, (doc) => {
        expect(parse(yaml(new Map([["doc", doc]])), { uniqueKeys: false })).toEqual({ doc: plain(doc) });
      }),
      { numRuns: 500 },
    );
  });

  it("sorts keys as yaml.v2 does: numbers by their value, letters last", () => {
    const keys = ["b", "a10", "a9", "a", "B", "_", "1", "10", "2", "a01", "é"];
    expect(keys.sort(naturally)).toEqual(["_", "1", "2", "10", "B", "a", "a01", "a9", "a10", "b", "é"]);
  });
});
