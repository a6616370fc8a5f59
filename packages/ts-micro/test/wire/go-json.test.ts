import { anything, array, assert, constantFrom, jsonValue, oneof, property, string, uint8Array } from "fast-check";
import { describe, expect, it } from "vitest";
import { isMicroError } from "ts-micro/errors";
import { goJsonDecode, goJsonEncode, goJsonText, maxJsonDepth } from "ts-micro/wire/go-json";
import { captureNames, connections } from "./captures.ts";
import { readRequests, readResponses } from "./http1/read.ts";
import { outcome } from "./outcome.ts";

function fault(input: string | Uint8Array): string {
  try {
    goJsonDecode(input);
  } catch (error) {
    if (isMicroError(error)) return `${error.code} ${error.detail}`;
    throw error;
  }
  return "accepted";
}

describe("Go's JSON, writing", () => {
  it("ends with a newline and escapes what Go escapes", () => {
    expect(goJsonEncode({ a: "<b> & \u2028\u2029", "<": 1 })).toBe(
      String.raw`{"a":"\u003cb\u003e \u0026 \u2028\u2029","\u003c":1}` + "\n",
    );
    expect(goJsonText([1, "ü", null, true])).toBe('[1,"ü",null,true]');
  });

  it("writes the very bytes of Go for what Go wrote", () => {
    const bodies = captureNames(/^v\d-(unary|stream-(?!server-fast)|json-forms|errors|debug|metadata)/)
      .flatMap(connections)
      .flatMap(({ request, response }) => [readRequests(request).messages, readResponses(response).messages].flat())
      .filter((m) => m.headers.includes("application/json") && m.body.at(-1) === 10)
      .map((m) => m.body.toString());
    expect(bodies.length).toBeGreaterThan(60);
    for (const body of bodies) expect(goJsonEncode(goJsonDecode(body))).toBe(body);
  });

  it("writes a bigint as an integer literal, anywhere in the value", () => {
    const value = { id: 9223372036854775807n, list: [-1n, { u: 18446744073709551615n }], text: "1n" };
    expect(goJsonText(value)).toBe('{"id":9223372036854775807,"list":[-1,{"u":18446744073709551615}],"text":"1n"}');
  });

  it("refuses what has no JSON form with BAD_REQUEST", () => {
    const cycle: Record<string, unknown> = {};
    cycle["self"] = cycle;
    const bad = { toJSON: () => JSON.parse("{") as unknown };
    for (const value of [undefined, () => {}, Symbol("s"), cycle, bad, { cycle, big: 1n }])
      expect(() => goJsonEncode(value)).toThrow(expect.objectContaining({ code: "BAD_REQUEST" }));
  });

  it("gives BAD_REQUEST for a value that is too deep for the engine; newer ones write any depth", () => {
    let deep: unknown = 0;
    for (let i = 0; i < 100_000; i++) deep = [deep];
    let failure: unknown;
    try {
      expect(goJsonEncode(deep)).toHaveLength(200_002);
    } catch (error) {
      failure = error;
    }
    if (failure !== undefined) expect(failure).toMatchObject({ code: "BAD_REQUEST" });
  });
});

describe("Go's JSON, reading", () => {
  it("takes white space around and between, and UTF-8 bytes as text", () => {
    expect(goJsonDecode(Buffer.from(' \r\n\t{ "ä" : [ 1 , 2 ] } \n'))).toEqual({ ä: [1, 2] });
  });

  it("reads a view of a larger buffer, not the buffer", () => {
    expect(goJsonDecode(new Uint8Array(Buffer.from('junk{"a":1}junk')).subarray(4, 11))).toEqual({ a: 1 });
  });

  it("keeps integers of 64 bits exact, as bigint where a double would round or misprint them", () => {
    const text =
      '{"max":9223372036854775807,"min":-9223372036854775807,"u":18446744073709551615,"safe":9007199254740991,"odd":9007199254740993}';
    expect(goJsonDecode(text)).toEqual({
      max: 9223372036854775807n,
      min: -9223372036854775807n,
      u: 18446744073709551615n,
      safe: 9007199254740991,
      odd: 9007199254740993n,
    });
    expect(goJsonEncode(goJsonDecode(text))).toBe(text + "\n");
    expect(goJsonDecode(`[${" ".repeat(300)}9007199254740993]`)).toEqual([9007199254740993n]);
  });

  it("gives a double for a large integer that a double holds and prints alike, so that 1e18 is no bigint", () => {
    expect(goJsonDecode("[1000000000000000000,9007199254740992,1152921504606846976,1152921504606847000]")).toEqual([
      1e18,
      9007199254740992,
      1152921504606846976n,
      1152921504606847000n,
    ]);
  });

  it("leaves other numbers doubles, and digits in strings alone", () => {
    expect(
      goJsonDecode('[1.00000000000000000001,1e400,18446744073709551616,-9223372036854775809,"9007199254740993"]'),
    ).toEqual([1, Infinity, 18446744073709552000, -9223372036854776000, "9007199254740993"]);
    const longFraction = `[0.12345678901234567${",0.30000000000000004".repeat(50)}]`;
    expect(goJsonDecode(longFraction)).toEqual(JSON.parse(longFraction));
  });

  it("says where the fault is", () => {
    expect(fault('{"a":1,}')).toBe('BAD_REQUEST invalid JSON at position 7: unexpected "}"');
    expect(fault('{"a" 1}')).toBe('BAD_REQUEST invalid JSON at position 5: unexpected "1"');
    expect(fault("[1 2]")).toBe('BAD_REQUEST invalid JSON at position 3: unexpected "2"');
    expect(fault("")).toBe("BAD_REQUEST invalid JSON at position 0: unexpected end");
    expect(fault("[1,2")).toBe("BAD_REQUEST invalid JSON at position 4: unexpected end");
    expect(fault("nul")).toBe('BAD_REQUEST invalid JSON at position 0: unexpected "n"');
    expect(fault("1 x")).toBe('BAD_REQUEST invalid JSON at position 2: unexpected "x"');
    expect(fault('["a\nb"]')).toMatch(/^BAD_REQUEST invalid JSON at position 1: a string that does not end/);
    expect(fault(String.raw`["\x"]`)).toMatch(/position 1/);
    for (const bad of [
      "01",
      "1.",
      ".5",
      "+1",
      "-",
      "1e",
      "NaN",
      "Infinity",
      "'a'",
      "\ufeff1",
      "[,]",
      "{1:2}",
      "//",
      '"\ud800',
    ])
      expect(fault(bad)).toMatch(/^BAD_REQUEST invalid JSON at position \d/);
  });

  it("refuses the key __proto__ however it is spelt, not the text", () => {
    for (const key of [
      "__proto__",
      String.raw`\u005f_proto__`,
      String.raw`__\u0070roto__`,
      String.raw`__pr\u006Fto_\u005F`,
    ])
      for (const text of [`{"${key}":{"x":1}}`, `[{"a":{"${key}":1}}]`])
        expect(fault(text)).toMatch(/__proto__ is not accepted/);
    expect(goJsonDecode('{"a":"__proto__","b":["__proto__"]}')).toEqual({ a: "__proto__", b: ["__proto__"] });
    expect(({} as Record<string, unknown>)["x"]).toBeUndefined();
  });

  it("takes keys that cannot be assigned, as where Object.prototype is frozen", () => {
    const base = Object.getPrototypeOf({}) as Record<string, unknown>;
    Object.defineProperty(base, "frozen key", { value: 1, configurable: true });
    try {
      expect(goJsonDecode('{"frozen key":2,"n":9007199254740993}')).toEqual({ "frozen key": 2, n: 9007199254740993n });
    } finally {
      delete base["frozen key"];
    }
  });

  it("takes nesting up to its limit, and refuses one level more", () => {
    const nested = (depth: number): string => "[".repeat(depth) + "]".repeat(depth);
    expect(fault(nested(maxJsonDepth))).toBe("accepted");
    expect(fault(nested(maxJsonDepth + 1))).toMatch(/nested deeper than 1000 levels/);
    expect(fault('{"a":'.repeat(2_000_000))).toMatch(/nested deeper than 1000 levels/);
    expect(fault(`{"text":"${"[".repeat(5000)}","n":[${"[],".repeat(5000)}[]]}`)).toBe("accepted");
    expect(fault(`["\\"",${"[".repeat(1000)}${"]".repeat(1000)}]`)).toMatch(/nested deeper than 1000 levels/);
  });

  it("takes megabytes of digits, backslashes or quotes in stride", () => {
    expect(goJsonDecode("9".repeat(4 << 20))).toBe(Infinity);
    expect(goJsonDecode(`"${"\\\\".repeat(2 << 20)}"`)).toHaveLength(2 << 20);
    expect(fault(`"${"\\".repeat(4 << 20)}`)).toMatch(/^BAD_REQUEST/);
    expect(fault(`["__proto__",${'"\\"'.repeat(1 << 20)}`)).toMatch(/^BAD_REQUEST/);
  });

  it("agrees with JSON.parse on every document, good or bad", () => {
    const words = oneof(
      constantFrom(
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        '"',
        "\\",
        "\\u005f",
        "\\u00",
        "1",
        "-",
        "0",
        ".",
        "e",
        "true",
        "null",
        " ",
        "\n",
      ),
      constantFrom('"a"', '"a":', "12345678901234567890", "1234567890123456", "9007199254740993", '"x\\n"'),
      string({ maxLength: 3 }),
    );
    const documents = oneof(
      array(words, { maxLength: 12 }).map((parts) => parts.join("")),
      jsonValue().map((value) => JSON.stringify(value)),
      jsonValue().map((value) => `["__proto__",${JSON.stringify(value)}]`),
      jsonValue().map((value) => `[9007199254740993,${JSON.stringify(value)}]`),
    );
    const agree = (text: string): void => {
      const verdict = fault(text);
      if (verdict.includes("__proto__")) return;
      expect([verdict === "accepted", verdict]).toEqual([
        parses(text),
        expect.stringMatching(/^(accepted|BAD_REQUEST .*at position)/),
      ]);
      expect(verdict === "accepted" ? rounded(goJsonDecode(text)) : undefined).toEqual(
        parses(text) ? JSON.parse(text) : undefined,
      );
    };
    expect(() => assert(property(documents, agree), { numRuns: 5000 })).not.toThrow();
  });

  it("answers random bytes and encodes random values with a value or BAD_REQUEST", () => {
    const judge = (step: () => unknown): void => {
      expect(["ok", "BAD_REQUEST"]).toContain(outcome(step));
    };
    expect(() =>
      assert(
        property(
          uint8Array(),
          anything({ withBigInt: true, withNullPrototype: true, withMap: true }),
          (bytes, value) => {
            judge(() => goJsonDecode(bytes));
            judge(() => goJsonEncode(value));
          },
        ),
        { numRuns: 3000 },
      ),
    ).not.toThrow();
  });
});

function parses(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** With bigints as the doubles that JSON.parse makes of them. */
function rounded(value: unknown): unknown {
  if (typeof value === "bigint") return Number(value);
  if (Array.isArray(value)) return value.map(rounded);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, rounded(member)]));
}
