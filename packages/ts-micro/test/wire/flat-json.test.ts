import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decodeFlat, encodeFlat } from "../../src/wire/flat-json.ts";

/** Text of what is written flat; undefined when it is left to JSON. */
function written(value: unknown): string | undefined {
  const body = encodeFlat(value);
  return body === undefined ? undefined : body.bytes.toString("utf8", 0, body.length);
}

function read(text: string, before = 0): Record<string, unknown> | undefined {
  const bytes = Buffer.concat([Buffer.alloc(before, 0x22), Buffer.from(text)]);
  return decodeFlat(bytes, before, bytes.length);
}

const text = fc.oneof(
  fc.string({ maxLength: 60 }),
  fc.string({ unit: "binary", maxLength: 60 }),
  fc.constantFrom(
    "",
    "a",
    '"',
    "\\",
    "\u007f",
    "\u0080",
    "ÿ",
    "Ł",
    "\ud800",
    "x".repeat(39),
    "x".repeat(40),
    `${"y".repeat(70)}"`,
    `${"z".repeat(71)}Ł`,
    `\n${"q".repeat(90)}`,
  ),
  fc
    .tuple(fc.nat(80), fc.constantFrom("\u001f", "\u0000", '"', "\\", "é", "Ł"), fc.nat(80))
    .map(([a, c, b]) => "a".repeat(a) + c + "b".repeat(b)),
);
const member = fc.oneof(
  text,
  fc.double(),
  fc.integer(),
  fc.boolean(),
  fc.constantFrom(null, undefined, -0, 1e21, 2 ** 53, Number.NaN),
  fc.constant([1]),
  fc.constant({}),
);
const object = fc.dictionary(text, member, { maxKeys: 6 });

describe("flat JSON", () => {
  it("is written as JSON.stringify writes it, or left to it", () => {
    fc.assert(
      fc.property(object, (value) => {
        const found = written(value);
        if (found !== undefined) expect(found).toBe(JSON.stringify(value));
      }),
      { numRuns: 20_000 },
    );
  });

  it("is read as JSON.parse reads it, or left to it, wherever it stands", () => {
    fc.assert(
      fc.property(object, fc.constantFrom("", "\n", " ", "x"), fc.nat(5), (value, after, before) => {
        const whole = JSON.stringify(value) + after;
        const found = read(whole, before);
        if (found !== undefined) expect(found).toStrictEqual(JSON.parse(whole));
      }),
      { numRuns: 20_000 },
    );
  });

  it("is read as JSON.parse reads it, or left to it, when it is damaged", () => {
    const damaged = fc
      .tuple(object, fc.nat(100), fc.constantFrom("", '"', ",", "{", "}", "0", "01", ":", "\\", " "))
      .map(([value, at, by]) => {
        const whole = JSON.stringify(value);
        const cut = at % (whole.length + 1);
        return whole.slice(0, cut) + by + whole.slice(cut + 1);
      });
    fc.assert(
      fc.property(damaged, (whole) => {
        const found = read(whole);
        if (found !== undefined) expect(found).toStrictEqual(JSON.parse(whole));
      }),
      { numRuns: 20_000 },
    );
  });

  it.each([
    [{}, "{}"],
    [{ name: "Ada", n: 3, ok: true, no: false, none: null }, '{"name":"Ada","n":3,"ok":true,"no":false,"none":null}'],
    [{ n: -0, f: 1.5, e: 1e21 }, '{"n":0,"f":1.5,"e":1e+21}'],
    [{ text: "x".repeat(100_000) }, `{"text":"${"x".repeat(100_000)}"}`],
  ])("takes %j itself", (value, whole) => {
    expect(written(value)).toBe(whole);
    if (whole.length < 100) expect(read(whole) ?? JSON.parse(whole)).toStrictEqual(JSON.parse(whole));
  });

  it.each([
    ["an array", [1]],
    [
      "a class",
      new (class A {
        a = 1;
      })(),
    ],
    ["a date", new Date(0)],
    ["a member that is one", { at: new Date(0) }],
    ["a function", { f() {} }],
    ["a big integer", { n: 1n }],
    ["what is too long", { text: "x".repeat(300_000) }],
    ["text that needs escapes", { text: `${"x".repeat(50)}"` }],
    ["text beyond ASCII", { text: `${"x".repeat(50)}Ł` }],
  ])("leaves %s to JSON", (_name, value) => expect(written(value)).toBeUndefined());

  it.each([
    '{"__proto__":1}',
    '{"a":01}',
    '{"a":-1}',
    '{"a":1234567890123456}',
    '{"a":null}',
    '{"a":"\\u0041"}',
    '{"a":"é"}',
    '{ "a":1}',
    '{"a":1',
    '{"1":1}',
    "",
    "{",
    "[]",
    '{"a":1}}',
  ])("leaves %s to JSON", (whole) => expect(read(whole)).toBeUndefined());
});
