import { assert, constantFrom, dictionary, jsonValue, property, string, uint8Array } from "fast-check";
import { describe, expect, it } from "vitest";
import { decodeEnvelope, encodeEnvelope } from "ts-micro/wire/broker-envelope";
import { captureNames, connections } from "./captures.ts";
import { readRequests } from "./http1/read.ts";
import { outcome } from "./outcome.ts";

const names = captureNames(/http-broker-publish/);
const bodies = names
  .flatMap(connections)
  .flatMap(({ request }) => readRequests(request).messages.map((m) => m.body.toString()));

describe("the JSON envelope of Go's brokers", () => {
  it("is read from what Go publishers post, and written as the same bytes", () => {
    expect(names).toHaveLength(6);
    expect(bodies.length).toBeGreaterThanOrEqual(12);
    for (const body of bodies) expect(encodeEnvelope(decodeEnvelope(body))).toBe(body);
    const { header, body } = decodeEnvelope(bodies.find((text) => text.includes("eyJuYW1lIjoiSm9obiJ9Cg==")) ?? "");
    expect(header["Micro-Topic"]).toBe("news");
    expect(Buffer.from(body).toString()).toBe('{"name":"John"}\n');
  });

  it("takes keys in any case, null for either, and keys it does not know", () => {
    expect(decodeEnvelope('{"HEADER":{"A":"1"},"bOdY":"YQ==","x":[1]}')).toEqual({
      header: { A: "1" },
      body: Buffer.from("a"),
    });
    for (const text of ['{"Header":null,"Body":null}', "{}", '{"Header":{},"Body":""}'])
      expect(decodeEnvelope(text)).toEqual({ header: {}, body: Buffer.alloc(0) });
    expect(decodeEnvelope('{"Header":{"A":null}}').header["A"]).toBe("");
    expect(decodeEnvelope('{"Body":"YW\\r\\nJj\\n"}').body.toString()).toBe("abc");
  });

  it("keeps the case of header names, and sorts them as Go does", () => {
    const header = { b: "1", "micro-topic": "t", A: "2", "Micro-Topic": "T", "\uffee": "3", "🎉": "4" };
    const text = encodeEnvelope({ header, body: Buffer.from("<") });
    expect(text).toBe(
      '{"Header":{"A":"2","Micro-Topic":"T","b":"1","micro-topic":"t","\uffee":"3","🎉":"4"},"Body":"PA=="}',
    );
    expect({ ...decodeEnvelope(text).header }).toEqual(header);
  });

  it("gives a header without a prototype", () => {
    const { header } = decodeEnvelope('{"Header":{"constructor":"x"}}');
    expect(Object.getPrototypeOf(header)).toBeNull();
    expect(header["toString"]).toBeUndefined();
    expect(() => decodeEnvelope('{"Header":{"__proto__":"x"}}')).toThrow("__proto__");
  });

  it("refuses what is no envelope with BAD_REQUEST", () => {
    const broken = [
      "",
      "[]",
      "null",
      '"x"',
      '{"Header":[]}',
      '{"Header":"x"}',
      '{"Header":{"A":1}}',
      '{"Header":{"A":{}}}',
      '{"Body":1}',
      '{"Body":[1]}',
      '{"Body":"YQ"}',
      '{"Body":"YQ="}',
      '{"Body":"Y Q="}',
      '{"Body":"YQ=="',
      '{"Body":"-_=="}',
      '{"Body":"===="}',
      '{"Body":"YQ==YQ=="}',
    ];
    for (const text of broken)
      expect(() => decodeEnvelope(text), text).toThrow(expect.objectContaining({ code: "BAD_REQUEST" }));
  });

  it("takes a body of several megabytes", () => {
    const body = Buffer.alloc(6 << 20, "x");
    expect(body.equals(decodeEnvelope(encodeEnvelope({ header: {}, body })).body)).toBe(true);
  });

  it("gives back any header and body", () => {
    const back = (header: Record<string, string>, body: Uint8Array): void => {
      if ("__proto__" in header && Object.hasOwn(header, "__proto__")) return;
      const again = decodeEnvelope(encodeEnvelope({ header, body }));
      expect({ ...again.header }).toEqual({ ...header });
      expect(Buffer.compare(again.body, body)).toBe(0);
    };
    expect(() =>
      assert(property(dictionary(string(), string({ unit: "grapheme" })), uint8Array(), back), { numRuns: 1000 }),
    ).not.toThrow();
  });

  it("answers random bytes and other JSON with an envelope or BAD_REQUEST", () => {
    const judge = (input: Uint8Array | string): void => {
      expect(["ok", "BAD_REQUEST"]).toContain(outcome(() => decodeEnvelope(input)));
    };
    expect(() => assert(property(uint8Array(), judge), { numRuns: 1000 })).not.toThrow();
    expect(() =>
      assert(
        property(constantFrom("Header", "Body", "header", "body"), jsonValue(), (key, value) =>
          judge(JSON.stringify({ [key]: value })),
        ),
        { numRuns: 2000 },
      ),
    ).not.toThrow();
  });
});
