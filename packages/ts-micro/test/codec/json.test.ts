import { describe, expect, it } from "vitest";
import { jsonCodec } from "../../src/codec/json.ts";
import { codecSuite } from "../../src/testing/codec.ts";
import { conversation, conversations, nth, texts } from "./captured.ts";

codecSuite(
  { describe, it },
  {
    name: "json",
    create: jsonCodec,
    samples: [
      { value: { name: "John", list: [1, -0.5, 1e300, true, null], nested: { "": "" } } },
      { value: "<a>&\u2028" },
      { value: 0 },
      { value: null },
      { value: 9007199254740993n },
      { value: undefined, decoded: {} },
      { value: Buffer.from('{"raw":1}'), decoded: { raw: 1 } },
    ],
    unencodable: [{ value: () => {} }, { value: circular() }, { value: Symbol("s") }],
    undecodable: ["{", "nope", '{"a":1}x', "[1,]", '{"__proto__":{}}', " ", "[".repeat(2000) + "]".repeat(2000)].map(
      (text) => Buffer.from(text),
    ),
  },
);

function circular(): unknown {
  const value: Record<string, unknown> = {};
  value["self"] = value;
  return value;
}

describe("json", () => {
  const codec = jsonCodec();

  it("writes what a Go handler of plain structs writes", () => {
    const reply = nth(texts(conversation("v4-unary-plain-json").replies), 0);
    const value = codec.decode(Buffer.from(reply));
    expect(value).toMatchObject({ msg: "Hello John", n: 1152921504606846976n, html: "<a>&\u2028", nil: null });
    expect(Buffer.from(codec.encode(value)).toString()).toBe(reply);
  });

  it("reads an empty body as the empty message and never writes one", () => {
    expect(codec.decode(new Uint8Array(0))).toEqual({});
    for (const value of [undefined, {}, new Uint8Array(0)]) expect(codec.encode(value).length).toBeGreaterThan(0);
    expect(Buffer.from(codec.encode(undefined)).toString()).toBe("{}\n");
  });

  it("reads every JSON body of the captures", () => {
    for (const name of ["v4-unary-json", "v4-stream-server", "v5-stream-bidi", "v4-debug", "v5-debug", "v4-metadata"])
      for (const { requests, replies } of conversations(name))
        for (const body of texts([...requests, ...replies]))
          expect(codec.decode(Buffer.from(body))).toBeTypeOf("object");
  });
});
