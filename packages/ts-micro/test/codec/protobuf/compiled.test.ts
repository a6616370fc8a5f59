import { clone, create, type DescMessage, equals, fromBinary, setExtension, toBinary } from "@bufbuild/protobuf";
import { AnySchema, ListValueSchema, StructSchema, TimestampSchema, ValueSchema } from "@bufbuild/protobuf/wkt";
import fc from "fast-check";
import { isDeepStrictEqual } from "node:util";
import { beforeAll, describe, expect, it } from "vitest";
import { AllKindsSchema, HelloRequestSchema } from "../../../../../interop/proto/gen/greeter_pb.ts";
import { type CompiledMessage, compiledOf, type Fields } from "../../../src/codec/protobuf/compiled.ts";
import { protobufCodec } from "../../../src/codec/protobuf.ts";
import type { Codec } from "../../../src/codec.ts";
import { isMicroError } from "../../../src/errors.ts";
import { Reader } from "../../../src/wire/protobuf/reader.ts";
import { Writer } from "../../../src/wire/protobuf/writer.ts";
import { damager, generator, type Random } from "../../support/damage.ts";
import { initOf, registry, schema } from "./schemas.ts";

const inputs = process.env["TS_MICRO_FUZZ"] === undefined ? 10_000 : 100_000;
const covered = ["kinds.Kinds", "kinds.Few", "kinds.Empty", "legacy.Legacy", "modern.Modern"].map(schema);
const uncovered = [
  "kinds.WithStruct",
  "kinds.AroundStruct",
  "kinds.WithText",
  "legacy.Grouped",
  "modern.Delimited",
].map(schema);
const named = (all: readonly DescMessage[]): (readonly [string, DescMessage])[] =>
  all.map((desc) => [desc.typeName, desc]);

let codec: Required<Pick<Codec, "encodeFlat" | "decodeFlat">> & Codec;
beforeAll(async () => {
  codec = protobufCodec() as typeof codec;
  await codec.load?.();
});

function compiled(desc: DescMessage): CompiledMessage {
  const type = compiledOf(desc, create);
  if (type === false) throw new Error(`${desc.typeName} is not covered`);
  return type;
}

/** By the codec, out of the middle of a buffer that is other bytes soon. */
function decoded(desc: DescMessage, bytes: Uint8Array): unknown {
  const around = Buffer.alloc(bytes.length + 40, 1);
  around.set(bytes, 20);
  const value = codec.decodeFlat(around, 20, 20 + bytes.length, desc);
  around.fill(0xee);
  return value;
}

function encoded(desc: DescMessage, value: unknown): Buffer {
  const body = codec.encodeFlat(value, desc) as Exclude<ReturnType<typeof codec.encodeFlat>, undefined>;
  return body instanceof Uint8Array ? Buffer.from(body) : Buffer.from(body.bytes.subarray(0, body.length));
}

/** `"refused"`, or what came out. */
function attempt<T>(work: () => T): T | "refused" {
  try {
    return work();
  } catch {
    return "refused";
  }
}

function sameAsLibrary(desc: DescMessage, bytes: Uint8Array): boolean {
  const theirs = attempt(() => fromBinary(desc, Uint8Array.from(bytes)));
  let ours: unknown;
  try {
    ours = decoded(desc, bytes);
  } catch (error) {
    if (!isMicroError(error) || error.code !== "BAD_REQUEST") throw error;
    ours = "refused";
  }
  if (!isDeepStrictEqual(ours, theirs)) {
    expect(ours, Buffer.from(bytes).toString("hex")).toEqual(theirs);
    throw new Error(`of another kind: ${Buffer.from(bytes).toString("hex")}`);
  }
  return theirs !== "refused";
}

describe("a compiled message", () => {
  it.each(
    named([
      ...covered,
      AllKindsSchema,
      HelloRequestSchema,
      AnySchema,
      TimestampSchema,
      StructSchema,
      ValueSchema,
      ListValueSchema,
    ]),
  )("covers %s", (_, desc) => expect(compiledOf(desc, create)).not.toBe(false));

  it.each(named(uncovered))("leaves %s to protobuf-es, whole", (_, desc) => {
    expect(compiledOf(desc, create)).toBe(false);
    const random = generator(7);
    for (let n = 0; n < 100; n++) {
      const message = create(desc, initOf(desc, random, 2));
      const bytes = toBinary(desc, message);
      expect(encoded(desc, message)).toEqual(Buffer.from(bytes));
      expect(sameAsLibrary(desc, bytes)).toBe(true);
    }
  });

  it.each(named(covered))("of %s has the bytes and the values of protobuf-es, without its help", (_, desc) => {
    const type = compiled(desc);
    const writer = new Writer();
    fc.assert(
      fc.property(fc.integer({ min: 1 }), (seed) => {
        const random = generator(seed);
        const init = initOf(desc, random, 2);
        const message = create(desc, init);
        const bytes = Buffer.from(toBinary(desc, message));
        for (const value of [init, message]) {
          writer.clear();
          type.write(writer, value, value === init);
          if (!bytes.equals(writer.bytes.subarray(0, writer.length)))
            expect(writer.bytes.subarray(0, writer.length)).toEqual(bytes);
        }
        const theirs = fromBinary(desc, Uint8Array.from(bytes));
        const ours = type.read(type.make(), new Reader(bytes, 0, bytes.length), bytes.length);
        if (!isDeepStrictEqual(ours, theirs)) expect(ours).toEqual(theirs);
        expect(Object.keys(ours)).toEqual(Object.keys(theirs));
        expect(Object.getPrototypeOf(ours)).toBe(Object.getPrototypeOf(theirs));
      }),
      { numRuns: inputs / 10, seed: 1 },
    );
  });

  it("is one to protobuf-es", () => {
    const desc = schema("legacy.Legacy");
    const ours = decoded(desc, Buffer.from("0a0161", "hex")) as ReturnType<typeof create>;
    expect(equals(desc, ours, create(desc, { name: "a" }))).toBe(true);
    expect(toBinary(desc, clone(desc, ours))).toEqual(Uint8Array.of(10, 1, 97));
    expect((ours as unknown as Fields)["single"]).toBe(1.5);
    expect(Object.hasOwn(ours, "single")).toBe(false);
  });

  it("keeps unknown fields and extensions, and writes them again", () => {
    const kinds = schema("kinds.Kinds");
    const few = schema("kinds.Few");
    const newer = toBinary(
      kinds,
      create(kinds, {
        aString: "x",
        choice: { case: "chosenLong", value: -1n },
        kindses: [{ aDouble: 1.5 }],
        aFixed32: 7,
      }),
    );
    const older = decoded(few, newer);
    expect(older).toEqual(fromBinary(few, newer));
    expect(encoded(few, older)).toEqual(Buffer.from(toBinary(few, fromBinary(few, newer))));
    const legacy = schema("legacy.Legacy");
    const nick = registry.getExtension("legacy.nick");
    const message = create(legacy, { name: "a" });
    setExtension(message, nick as NonNullable<typeof nick>, "Al");
    expect(encoded(legacy, message)).toEqual(Buffer.from(toBinary(legacy, message)));
    expect(decoded(legacy, toBinary(legacy, message))).toEqual(message);
  });

  it("is merged where it comes twice, and the last one of anything else counts", () => {
    const desc = schema("kinds.Kinds");
    const part = (init: Record<string, unknown>): Buffer => Buffer.from(toBinary(desc, create(desc, init)));
    const twice = Buffer.concat([
      part({
        inner: { aString: "a", ints: [1] },
        wrappedString: "a",
        choice: { case: "chosenKinds", value: { aBool: true } },
        byInt: { 1: { aBool: true } },
      }),
      part({
        inner: { anInt32: 5, ints: [2] },
        wrappedString: "",
        choice: { case: "chosenKinds", value: { aUint32: 1 } },
        byInt: { 1: { anInt32: 1 } },
      }),
      part({ aString: "z" }),
      part({ aString: "y" }),
    ]);
    expect(decoded(desc, twice)).toMatchObject({
      aString: "y",
      inner: { aString: "a", anInt32: 5, ints: [1, 2] },
      choice: { value: { aBool: true, aUint32: 1 } },
    });
    expect(sameAsLibrary(desc, twice)).toBe(true);
  });

  it("may be large, and has lengths of every size", () => {
    const desc = schema("kinds.Kinds");
    for (const length of [42, 43, 127, 128, 16_383, 16_384, 100_000, 2_100_000]) {
      const init = {
        aString: "a".repeat(length),
        maybeString: "é".repeat(length / 2),
        inner: { inner: { someBytes: new Uint8Array(length).fill(7) } },
        ints: [length],
        longs: Array.from({ length: length / 100 }, (_, n) => BigInt(n)),
      };
      const bytes = Buffer.from(toBinary(desc, create(desc, init)));
      expect(bytes.equals(encoded(desc, init)), String(length)).toBe(true);
      expect(sameAsLibrary(desc, bytes)).toBe(true);
    }
    // What a large one took is not kept.
    encoded(desc, {});
    expect((codec.encodeFlat({}, desc) as Writer).bytes.length).toBeLessThan(1 << 20);
  });

  it("has its own bytes, of the plain kind", () => {
    const value = decoded(schema("kinds.Kinds"), Buffer.from("520301020352080102030405060708", "hex"));
    const bytes = (value as { someBytes: Uint8Array }).someBytes;
    expect(bytes).toEqual(Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8));
    expect(bytes.constructor).toBe(Uint8Array);
    expect(bytes.buffer.byteLength).toBe(8);
  });
});

describe("what is no such message", () => {
  const kinds = schema("kinds.Kinds");
  const cyclic: Record<string, unknown> = {};
  cyclic["inner"] = cyclic;
  const values: [string, unknown][] = Object.entries({
    "an int32 that is too large": { anInt32: 2 ** 31 },
    "an int32 that is not whole": { anInt32: 1.5 },
    "an int32 as text": { anInt32: "12" },
    "an int32 that is -0": { anInt32: -0, maybeInt: -0 },
    "a uint32 below zero": { aUint32: -1 },
    "a fixed32 that is too large": { aFixed32: 2 ** 32 },
    "an int64 that is too large": { anInt64: 1n << 63n },
    "an int64 as a number": { anInt64: 5 },
    "an int64 as text": { anInt64: "00" },
    "a uint64 below zero": { aUint64: -1n },
    "a float that is too large": { aFloat: 1e39 },
    "a float as text": { aFloat: "1.5" },
    "a double as text": { aDouble: "1.5" },
    "a double as a bigint": { aDouble: 1n },
    "a bool as a number": { aBool: 1 },
    "a text as a number": { aString: 5 },
    "bytes as an array": { someBytes: [1, 2], byteses: [[3]] },
    "bytes as text": { someBytes: "" },
    "bytes as another array": { someBytes: new Uint16Array([1, 2]) },
    "a list as an object": { ints: {} },
    "a list as text": { strings: "abc" },
    "a list of ints that are none": { ints: Array.from({ length: 2 }) },
    "a list of nothing": { kindses: [undefined] },
    "a list of null": { kindses: [null] },
    "a packed list as a set": { doubles: new Set([1]) },
    "a map as an array": { byString: ["a"] },
    "a map as a Map": { byString: new Map([["a", "b"]]) },
    "a map with another key": { byInt: { x: {} } },
    "a map with a key in another form": { byInt: { "1e3": {}, "0x10": {} } },
    "a map of nothing": { byString: { a: undefined } },
    "a map with a bool that is none": { byBool: { yes: new Uint8Array(1) } },
    "a message as a number": { inner: 5 },
    "a message as an array": { inner: [] },
    "a message of another type": { inner: create(HelloRequestSchema, { name: "x" }) },
    "a message with a literal in it": Object.assign(create(kinds), { inner: {} }),
    "a message with undefined in it": Object.assign(create(kinds), { aString: undefined }),
    "a message with null in it": Object.assign(create(kinds), { maybeInt: null }),
    "a message without its oneof": Object.assign(create(kinds), { choice: undefined }),
    "an unknown case": { choice: { case: "nope", value: 1 } },
    "a case of nothing": { choice: { case: "chosenKinds", value: undefined } },
    "a case of null": { choice: { case: "chosenText", value: null } },
    "null everywhere": { aString: null, inner: null, ints: null, byString: null, choice: null, wrappedString: null },
    "a wrapper of another type": { wrappedLong: 5 },
    "an enum as text": { colour: "RED" },
    "a circle": cyclic,
    "unknown fields of an init": { $unknown: [{ no: 5, wireType: 0, data: Uint8Array.of(1) }] },
    "unknown fields that are none": Object.assign(create(kinds), { $unknown: [{ no: 5, wireType: 0, data: "x" }] }),
    "an init with what it inherits": Object.create({ aString: "inherited" }),
    "an unknown key": { nope: 1 },
  });

  it.each(values)("%s is what protobuf-es makes of it", (_, value) => {
    const theirs = attempt(() => Buffer.from(toBinary(kinds, create(kinds, value as Fields))));
    let ours: Buffer | "refused";
    try {
      ours = encoded(kinds, value);
    } catch (error) {
      expect(error).toMatchObject({ code: "BAD_REQUEST" });
      expect((error as Error).message).toContain("kinds.Kinds");
      ours = "refused";
    }
    expect(ours).toEqual(theirs);
  });

  it("says which field it is, as protobuf-es does", () => {
    expect(() => encoded(kinds, { anInt32: 0.5 })).toThrow(
      "cannot encode field kinds.Kinds.an_int32 to binary: invalid int32: 0.5",
    );
    expect(() => encoded(schema("legacy.Legacy"), {})).toThrow("required field not set");
    expect(() => encoded(schema("legacy.Legacy"), create(schema("legacy.Legacy")))).toThrow("required field not set");
  });

  it("a getter that encodes something itself gets its own bytes, and what it throws is passed on", () => {
    const value = {
      aString: "outer",
      get strings(): string[] {
        return [encoded(kinds, { aString: "inner" }).toString("hex")];
      },
    };
    expect(encoded(kinds, value)).toEqual(Buffer.from(toBinary(kinds, create(kinds, value))));
    const thrown = {
      get aString(): string {
        throw new Error("of the getter");
      },
    };
    expect(() => encoded(kinds, thrown)).toThrow("of the getter");
    expect(encoded(kinds, { aString: "a" }).toString("hex")).toBe("4a0161");
  });
});

/** Records with the numbers of the fields of a type, whatever their wire types, and others. */
function records(desc: DescMessage, random: Random, depth: number): Buffer {
  const parts: Buffer[] = [];
  const varint = (value: number): Buffer => {
    const out: number[] = [];
    let rest = value >>> 0;
    for (; rest > 127; rest >>>= 7) out.push((rest & 127) | 128);
    return Buffer.from(
      random(20) === 0
        ? [...out, rest | 128, ...Array.from({ length: random(9) }, () => 128), random(2)]
        : [...out, rest],
    );
  };
  for (let n = random(5); n >= 0; n--) {
    const field = desc.fields[random(desc.fields.length + 1)];
    const number = field === undefined || random(20) === 0 ? random(1000) : field.number;
    const wireType = random(4) > 0 ? 2 : random(8);
    parts.push(varint((number << 3) | wireType));
    if (wireType === 0) parts.push(varint(random(2) === 0 ? random(200) : -random(2 ** 31)));
    else if (wireType === 1 || wireType === 5)
      parts.push(Buffer.from(Array.from({ length: wireType === 1 ? 8 : 4 }, () => random(256))));
    else if (wireType === 2) {
      const inner =
        field?.message !== undefined && depth > 0
          ? records(field.message, random, depth - 1)
          : random(3) === 0
            ? Buffer.from([8, random(100), 18, 1, random(256)])
            : Buffer.from(Array.from({ length: random(24) }, () => random(random(2) === 0 ? 256 : 128)));
      parts.push(varint(inner.length + (random(20) === 0 ? random(9) - 4 : 0)), inner);
    }
  }
  return Buffer.concat(parts);
}

describe(`${inputs} hostile bodies are what they are to protobuf-es`, () => {
  const limit = Error.stackTraceLimit;
  beforeAll(() => {
    Error.stackTraceLimit = 0;
    return () => void (Error.stackTraceLimit = limit);
  });

  it.each(named(covered.filter(({ fields }) => fields.length > 0)))("%s", { timeout: 300_000 }, (_, desc) => {
    let taken = 0;
    const each = fc.integer({ min: 1 });
    fc.assert(
      fc.property(each, (seed) => {
        const random = generator(seed);
        if (sameAsLibrary(desc, records(desc, random, 3))) taken++;
        const whole = Buffer.from(toBinary(desc, create(desc, initOf(desc, random, 1))));
        if (whole.length > 0 && sameAsLibrary(desc, damager([whole], random)())) taken++;
      }),
      { numRuns: inputs / 2, seed: 2 },
    );
    // It is no fuzzing if nothing gets through.
    expect(taken).toBeGreaterThan(inputs / 20);
    expect(taken).toBeLessThan(inputs);
  });

  it("messages in each other up to the limit", () => {
    const desc = schema("kinds.Few");
    for (const depth of [1, 99, 100, 101, 1000]) {
      let body = Buffer.alloc(0);
      for (let n = 1; n < depth; n++) {
        const length: number[] = [];
        for (let rest = body.length; ; rest >>>= 7) {
          length.push(rest > 127 ? (rest & 127) | 128 : rest);
          if (rest < 128) break;
        }
        body = Buffer.concat([Buffer.from([0xaa, 0x02, ...length]), body]);
      }
      expect(sameAsLibrary(desc, body), String(depth)).toBe(depth <= 100);
    }
  });
});
