import { create } from "@bufbuild/protobuf";
import {
  AnySchema,
  DurationSchema,
  FieldMaskSchema,
  Int64ValueSchema,
  ListValueSchema,
  NullValue,
  StringValueSchema,
  StructSchema,
  TimestampSchema,
  ValueSchema,
} from "@bufbuild/protobuf/wkt";
import { describe, expect, it } from "vitest";
import {
  AllKindsSchema,
  Colour,
  EmptySchema,
  HelloRequestSchema,
  HelloResponseSchema,
  StreamRequestSchema,
} from "../../../../interop/proto/gen/greeter_pb.ts";
import { jsonCodec } from "../../src/codec/json.ts";
import { jsonRpcCodec } from "../../src/codec/json-rpc.ts";
import { protoRpcCodec } from "../../src/codec/proto-rpc.ts";
import { protobufCodec } from "../../src/codec/protobuf.ts";
import type { Codec } from "../../src/codec.ts";
import { codecSuite } from "../../src/testing/codec.ts";
import { conversation, conversations, nth, texts } from "./captured.ts";

const runner = { describe, it };
const john = create(HelloRequestSchema, { name: "John" });
const all = create(AllKindsSchema, {
  firstName: "Zoë",
  bigNumber: 9007199254740993n,
  bigUnsigned: 18446744073709551615n,
  ratio: 0.5,
  isOn: true,
  rawData: Uint8Array.of(0, 1, 254, 255),
  colour: Colour.BLUE,
  createdAt: { seconds: 1700000000n, nanos: 5000000 },
  choice: { case: "choiceNumber", value: 7n },
  innerList: [{ streetName: "Main" }, {}],
  countsByKey: { a: 1n },
  maybeZero: 0,
});
const messages = [
  { value: john, descriptor: HelloRequestSchema },
  { value: { name: "John" }, descriptor: HelloRequestSchema, decoded: john },
  { value: undefined, descriptor: EmptySchema, decoded: create(EmptySchema) },
  { value: all, descriptor: AllKindsSchema },
];
const noMessages = [
  { value: "John", descriptor: HelloRequestSchema },
  { value: [1], descriptor: HelloRequestSchema },
  { value: { createdAt: 5 }, descriptor: AllKindsSchema },
  { value: create(HelloResponseSchema), descriptor: HelloRequestSchema },
  { value: { maybeZero: "x" }, descriptor: AllKindsSchema },
];

codecSuite(runner, {
  name: "protobuf",
  create: protobufCodec,
  samples: messages,
  unencodable: noMessages,
  descriptor: HelloRequestSchema,
  undecodable: ["0a", "0a05616263", "0bff", "ffffffffffffffffffff01"].map((hex) => Buffer.from(hex, "hex")),
});

codecSuite(runner, {
  name: "json of protobuf messages",
  create: jsonCodec,
  samples: messages,
  unencodable: noMessages,
  descriptor: AllKindsSchema,
  undecodable: [
    '"x"',
    "[]",
    '{"bigNumber":5.5}',
    '{"bigNumber":"x"}',
    '{"firstName":9007199254740993}',
    '{"rawData":9007199254740993}',
    '{"colour":9007199254740993}',
    '{"rawData":"%"}',
    '{"createdAt":{"seconds":1e99}}',
    '{"createdAt":{"seconds":"x"}}',
    '{"createdAt":{"nanos":1e9}}',
    '{"innerList":{}}',
    '{"innerList":[null]}',
  ].map((text) => Buffer.from(text)),
});

codecSuite(runner, { name: "json-rpc", create: jsonRpcCodec, samples: [...messages, { value: { plain: [1] } }] });
codecSuite(runner, { name: "proto-rpc", create: protoRpcCodec, samples: messages, unencodable: noMessages });

async function ready(codec: Codec): Promise<Codec> {
  await codec.load?.();
  return codec;
}

describe("protobuf", () => {
  it("writes and reads the captured bytes", async () => {
    const codec = await ready(protobufCodec());
    const { requests, replies } = conversation("v4-unary-protobuf");
    expect(Buffer.from(codec.encode({ name: "John" }, HelloRequestSchema)).equals(nth(requests, 0).body)).toBe(true);
    expect(codec.decode(nth(replies, 0).body, HelloResponseSchema)).toMatchObject({ msg: "Hello John" });
    expect(codec.decode(nth(replies, 1).body, EmptySchema)).toEqual(create(EmptySchema));
    expect(codec.encode({}, EmptySchema).length).toBe(0);
  });

  it("says UNSUPPORTED without a descriptor, and INVALID_STATE before it is loaded", async () => {
    const codec = protobufCodec();
    const codes = [() => codec.encode({}), () => codec.encode({}, EmptySchema)].map(codeOf);
    expect(codes).toEqual(["UNSUPPORTED", "INVALID_STATE"]);
    await codec.load?.();
    expect(codeOf(() => codec.decode(new Uint8Array(0)))).toBe("UNSUPPORTED");
  });

  it("ends on bytes nested without end", async () => {
    const codec = await ready(protobufCodec());
    // A list of a list of a list …
    let body: Uint8Array = new Uint8Array(0);
    for (let i = 0; i < 5000; i++) {
      const list = Buffer.concat([Buffer.from([0x32]), varint(body.length), body]);
      body = Buffer.concat([Buffer.from([0x0a]), varint(list.length), list]);
    }
    expect(codeOf(() => codec.decode(body, ListValueSchema))).toBe("BAD_REQUEST");
  });
});

describe("json of protobuf messages", () => {
  it("writes what Go v5 writes, byte for byte, and reads it back", async () => {
    const codec = await ready(jsonCodec());
    const { requests } = conversation("v5-unary-allkinds-json");
    const body = Buffer.from(nth(requests, 0).body).toString();
    expect(Buffer.from(codec.encode(all, AllKindsSchema)).toString()).toBe(body);
    expect(codec.decode(nth(requests, 0).body, AllKindsSchema)).toEqual(all);
  });

  it("reads what Go v4 writes: snake case, literals, enum numbers, timestamp objects, oneof wrappers", async () => {
    const codec = await ready(jsonCodec());
    const { requests } = conversation("v4-unary-allkinds-json");
    expect(codec.decode(nth(requests, 0).body, AllKindsSchema)).toEqual(all);
  });

  it.each(["v4-json-forms", "v5-json-forms"])("reads every reply of %s", async (name) => {
    const codec = await ready(jsonCodec());
    const replies = conversations(name).flatMap(({ replies }) =>
      replies.filter(({ header }) => header["Micro-Error"] === undefined),
    );
    expect(replies.length).toBeGreaterThan(5);
    for (const { body } of replies) expect(codec.decode(body, AllKindsSchema)).toHaveProperty("$typeName");
    const read = texts(replies).map((text) => codec.decode(Buffer.from(text), AllKindsSchema));
    expect(read).toContainEqual(create(AllKindsSchema, { choice: { case: "choiceText", value: "x" } }));
    expect(read).toContainEqual(create(AllKindsSchema, { choice: { case: "choiceNumber", value: 7n } }));
    expect(read).toContainEqual(create(AllKindsSchema, { createdAt: { seconds: 1700000000n, nanos: 5000000 } }));
    expect(read).toContainEqual(create(AllKindsSchema, { colour: 9 as Colour }));
  });

  it("reads null, nothing, unknown fields and the odd forms of Go as what they mean", async () => {
    const codec = await ready(jsonCodec());
    const read = (text: string): unknown => codec.decode(Buffer.from(text), AllKindsSchema);
    const empty = create(AllKindsSchema);
    for (const text of [
      "",
      "null",
      "{}",
      '{"nope":[{}],"Choice":null}',
      '{"firstName":null,"createdAt":null,"innerList":null}',
    ])
      expect(read(text)).toEqual(empty);
    expect(read('{"rawData":"_-8"}')).toEqual(create(AllKindsSchema, { rawData: Uint8Array.of(255, 239) }));
    expect(read('{"bigNumber":5.0,"maybe_zero":"3"}')).toEqual(create(AllKindsSchema, { bigNumber: 5n, maybeZero: 3 }));
    expect(read('{"ratio":"NaN","ratio ":1}')).toEqual(create(AllKindsSchema, { ratio: NaN }));
    expect(read('{"createdAt":{"seconds":"-1","nanos":999999999}}')).toEqual(
      create(AllKindsSchema, { createdAt: { seconds: -1n, nanos: 999999999 } }),
    );
    expect(read('{"counts_by_key":{"big":9223372036854775807,"__proto":1}}')).toEqual(
      create(AllKindsSchema, { countsByKey: { big: 9223372036854775807n, __proto: 1n } }),
    );
  });

  it("reads the well-known types as objects too", async () => {
    const codec = await ready(jsonCodec());
    const read = (schema: Parameters<Codec["decode"]>[1], text: string): unknown =>
      codec.decode(Buffer.from(text), schema);
    expect(read(TimestampSchema, "{}")).toEqual(create(TimestampSchema));
    expect(read(DurationSchema, '{"seconds":-1,"nanos":-500000000}')).toEqual(
      create(DurationSchema, { seconds: -1n, nanos: -500000000 }),
    );
    expect(read(DurationSchema, '"1.5s"')).toEqual(create(DurationSchema, { seconds: 1n, nanos: 500000000 }));
    expect(read(Int64ValueSchema, '{"value":9223372036854775807}')).toEqual(
      create(Int64ValueSchema, { value: 9223372036854775807n }),
    );
    expect(read(Int64ValueSchema, "{}")).toEqual(create(Int64ValueSchema));
    expect(read(StringValueSchema, '{"value":"x"}')).toEqual(create(StringValueSchema, { value: "x" }));
    expect(read(FieldMaskSchema, '{"paths":["a_b","c"]}')).toEqual(create(FieldMaskSchema, { paths: ["a_b", "c"] }));
    expect(codeOf(() => read(StringValueSchema, '{"value":9007199254740993}'))).toBe("BAD_REQUEST");
    expect(read(ValueSchema, "null")).toEqual(
      create(ValueSchema, { kind: { case: "nullValue", value: NullValue.NULL_VALUE } }),
    );
    const struct = read(StructSchema, '{"n":12345678901234567890,"list":[9007199254740993],"s":"9007199254740993"}');
    expect(JSON.parse(Buffer.from(codec.encode(struct, StructSchema)).toString())).toEqual({
      n: 12345678901234567000,
      list: [9007199254740992],
      s: "9007199254740993",
    });
    expect(codeOf(() => read(AnySchema, '{"@type":"type.googleapis.com/x.Y"}'))).toBe("BAD_REQUEST");
  });

  it("writes int64 as text and leaves zero values out, as Go's readers like it", async () => {
    const codec = await ready(jsonCodec());
    const { requests } = conversation("v5-stream-server");
    const text = Buffer.from(codec.encode({ count: 3n, delayMs: 25n }, StreamRequestSchema)).toString();
    expect(text).toBe(Buffer.from(nth(requests, 1).body).toString());
  });
});

function codeOf(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    return (error as { code: string }).code;
  }
  return "no error";
}

function varint(value: number): Buffer {
  const out: number[] = [];
  for (let rest = value; ; rest >>>= 7) {
    if (rest < 128) return Buffer.from([...out, rest]);
    out.push((rest & 127) | 128);
  }
}
