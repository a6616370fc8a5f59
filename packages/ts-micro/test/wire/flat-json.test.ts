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

/** Each length, with what is no plain character at each place in turn, wherever in a word it begins. */
function* placed(): Generator<{ text: string; before: number }> {
  const others = ["\u0000", "\u001f", '"', "\\", "\u0080", "é", "\u0141", "\u2028", "\ud800", "\u{1f600}"];
  for (const n of [31, 32, 33, 47, 48, 49, 63, 64, 65, 66, 67, 68, 79, 80, 81, 127, 200, 1024]) {
    const plain = Array.from({ length: n }, (_, i) => String.fromCharCode(0x20 + ((i * 7) % 0x60))).join("");
    const safe = plain.replaceAll(/["\\]/g, "\u007f");
    for (const before of [0, 1, 2, 3]) {
      yield { text: safe, before };
      for (let at = 0; at < n; at += n > 200 ? 61 : 1) {
        const other = others[(at + before) % others.length] as string;
        yield { text: safe.slice(0, at) + other + safe.slice(at + 1), before };
      }
    }
  }
}

describe("flat JSON", () => {
  it("is what JSON makes of long strings, or left to it, whatever stands in them and wherever", () => {
    let taken = 0;
    for (const { text, before } of placed()) {
      // Where it begins differs by one in both: behind the key in what is written, and by what stands before in what is read.
      const value = { ["k".repeat(before + 1)]: text, n: 1 };
      const whole = JSON.stringify(value);
      const isPlain = /^[ !#-[\]-\u007f]*$/.test(text);
      const [out, back] = [written(value), read(whole, 2 * before + 1)];
      expect(out).toBe(isPlain ? whole : undefined);
      expect(back).toStrictEqual(isPlain ? value : undefined);
      if (isPlain) taken++;
    }
    expect(taken).toBeGreaterThan(50);
  });

  it("is written as JSON.stringify writes it, or left to it", () => {
    let taken = 0;
    fc.assert(
      fc.property(object, (value) => {
        const found = written(value);
        if (found === undefined) return;
        taken++;
        expect(found).toBe(JSON.stringify(value));
      }),
      { numRuns: 20_000 },
    );
    expect(taken).toBeGreaterThan(100);
  });

  it("is left to JSON whatever byte that is not plain stands in a long string, and wherever", () => {
    let taken = 0;
    for (let offset = 0; offset < 4; offset++) {
      const whole = Buffer.from(`{"a":"${"x".repeat(150)}"}`);
      const bytes = Buffer.concat([Buffer.alloc(offset), whole]);
      for (let at = offset + 6; at < bytes.length - 2; at++) {
        const before = bytes[at] as number;
        for (let byte = 0; byte < 256; byte++) {
          bytes[at] = byte;
          const found = decodeFlat(bytes, offset, bytes.length);
          const isPlain = byte >= 0x20 && byte < 0x80 && byte !== 0x22 && byte !== 0x5c;
          if (isPlain) taken++;
          expect(found?.["a"]).toBe(isPlain ? bytes.toString("latin1", offset + 6, bytes.length - 2) : undefined);
        }
        bytes[at] = before;
      }
    }
    expect(taken).toBe(4 * 150 * 94);
  });

  it("is read as JSON.parse reads it, or left to it, wherever it stands", () => {
    let taken = 0;
    fc.assert(
      fc.property(object, fc.constantFrom("", "\n", " ", "x"), fc.nat(5), (value, after, before) => {
        const whole = JSON.stringify(value) + after;
        const found = read(whole, before);
        if (found === undefined) return;
        taken++;
        expect(found).toStrictEqual(JSON.parse(whole));
      }),
      { numRuns: 20_000 },
    );
    expect(taken).toBeGreaterThan(100);
  });

  it("is read as JSON.parse reads it, or left to it, when it is damaged", () => {
    let taken = 0;
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
        if (found === undefined) return;
        taken++;
        expect(found).toStrictEqual(JSON.parse(whole));
      }),
      { numRuns: 20_000 },
    );
    expect(taken).toBeGreaterThan(100);
  });

  it("is written as JSON.stringify writes it, or left to it, whatever the object does while it is read", () => {
    let taken = 0;
    const inner = { of: "a getter", text: "z".repeat(3000) };
    const nested = (): unknown => (written(inner), JSON.parse(JSON.stringify(inner)));
    const trait = fc.constantFrom<(of: Record<string, unknown>) => unknown>(
      (of) => of,
      (of) => Object.defineProperty(of, "toJSON", { value: () => "replaced" }),
      (of) => Object.defineProperty(of, "toJSON", { value: "no function" }),
      (of) => Object.defineProperty(of, "hidden", { value: 1 }),
      (of) => Object.defineProperty(of, "toJSON", { get: () => () => ({ late: true }), enumerable: true }),
      (of) => Object.defineProperty(of, "got", { get: () => (nested(), "x".repeat(50)), enumerable: true }),
      (of) => Object.defineProperty(of, "deep", { get: nested, enumerable: true }),
      (of) =>
        Object.defineProperty(of, "self", {
          get: () => written({ a: 1 }) ?? JSON.stringify({ a: 1 }),
          enumerable: true,
        }),
      (of) =>
        Object.defineProperty(of, "bad", {
          get: () => {
            throw new TypeError("no");
          },
          enumerable: true,
        }),
      (of) => Object.defineProperty(of, "drops", { get: () => (delete of["after"], 1), enumerable: true }),
      (of) => Object.assign(of, { after: 1 }),
      (of) => Object.assign(of, { 7: "an index", __proto__: null }),
      (of) => Object.setPrototypeOf(of, { toJSON: () => "inherited" }) as unknown,
      (of) => Object.setPrototypeOf(of, { inherited: 1 }) as unknown,
      (of) => new Proxy(of, {}),
      (of) => new Proxy(of, { get: (target, key) => (nested(), Reflect.get(target, key)) }),
      (of) => new Proxy(of, { ownKeys: (target) => Reflect.ownKeys(target).toReversed() }),
      (of) => Object.setPrototypeOf([of["a"]], Object.prototype) as unknown,
      (of) => new Proxy([of], { getPrototypeOf: () => Object.prototype }),
      (of) => {
        const { proxy, revoke } = Proxy.revocable(of, {});
        revoke();
        return proxy;
      },
    );
    const small = fc.dictionary(
      fc.constantFrom("a", "b", "c", "after"),
      fc.oneof(fc.integer(), fc.string(), fc.boolean()),
    );
    const outcome = (value: unknown, way: (value: unknown) => string | undefined): unknown => {
      try {
        return way(value);
      } catch (error) {
        return (error as Error).name;
      }
    };
    fc.assert(
      fc.property(small, fc.array(trait, { maxLength: 4 }), (plain, traits) => {
        const make = (): unknown => {
          let value: unknown = { ...plain };
          for (const each of traits) {
            try {
              value = each(value as Record<string, unknown>);
            } catch {
              // A revoked proxy takes no more.
            }
          }
          return value;
        };
        const found = written(make());
        if (found !== undefined) taken++;
        expect(found ?? outcome(make(), JSON.stringify)).toBe(outcome(make(), JSON.stringify));
        expect(written({ well: true })).toBe('{"well":true}');
      }),
      { numRuns: 10_000 },
    );
    expect(taken).toBeGreaterThan(100);
  });

  it("takes a boxed primitive for an object only when it is made to look like one", () => {
    for (const boxed of [new String("x"), new Number(5), new Boolean(false), Object(1n) as object])
      expect(written(boxed)).toBeUndefined();
    expect(written({ constructor: "own", n: 1 })).toBeUndefined();
    expect(written(Object.create({ inherited: 1 }, { n: { value: 1, enumerable: true } }) as object)).toBe('{"n":1}');
    expect(written(Object.defineProperty(new String("x"), "constructor", { value: Object }))).toBe('{"0":"x"}');
  });

  it("is left to JSON while every object has a toJSON", () => {
    // oxlint-disable-next-line no-extend-native -- what others do is the point
    Object.defineProperty(Object.prototype, "toJSON", { value: () => "all", configurable: true });
    try {
      expect(written({ a: 1 })).toBeUndefined();
    } finally {
      delete (Object.prototype as { toJSON?: unknown }).toJSON;
    }
    expect(written({ a: 1 })).toBe('{"a":1}');
  });

  it.each([
    [{}, "{}"],
    [{ name: "Ada", n: 3, ok: true, no: false, none: null }, '{"name":"Ada","n":3,"ok":true,"no":false,"none":null}'],
    [
      { a: "x".repeat(200), b: 1, c: "y".repeat(90), d: true },
      `{"a":"${"x".repeat(200)}","b":1,"c":"${"y".repeat(90)}","d":true}`,
    ],
    [{ n: -0, f: 1.5, e: 1e21 }, '{"n":0,"f":1.5,"e":1e+21}'],
    [{ text: "x".repeat(100_000) }, `{"text":"${"x".repeat(100_000)}"}`],
  ])("takes %j itself", (value, whole) => {
    expect(written(value)).toBe(whole);
    if (!/[-.]/.test(whole)) expect(read(whole)).toStrictEqual(JSON.parse(whole));
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
    ["many members", Object.fromEntries(Array.from({ length: 17 }, (_, n) => [`k${n}`, n]))],
    ["what is too long", { text: "x".repeat(300_000) }],
    ["text that needs escapes", { text: `${"x".repeat(50)}"` }],
    ["text beyond ASCII", { text: `${"x".repeat(50)}Ł` }],
  ])("leaves %s to JSON", (_name, value) => expect(written(value)).toBeUndefined());

  it.each([
    '{"__proto__":1}',
    '{"a":01}',
    '{"a":-1}',
    '{"a":1234567890123456}',
    '{"a":"\\u0041"}',
    '{"a":"é"}',
    '{ "a":1}',
    '{"a":1',
    '{"1":1}',
    // Cannot be set where what objects inherit is frozen.
    '{"toString":1}',
    "",
    "{",
    "[]",
    '{"a":1}}',
    `{"a":"${"x".repeat(300_000)}"}`,
    // Long with more in it than one string at its beginning.
    `{"a":"${"x".repeat(200)}","b":{}}`,
    `{"a":"${"x".repeat(200)}","b":[]}`,
    `{"a":1,"b":"${"x".repeat(200)}"}`,
    `{"a":"${"x".repeat(200)}","b":"${"x".repeat(200)}"}`,
    `{"a":"${"x".repeat(200)}","b":"${"x".repeat(80)}","c":"${"x".repeat(80)}"}`,
  ])("leaves %s to JSON", (whole) => expect(read(whole)).toBeUndefined());
});
