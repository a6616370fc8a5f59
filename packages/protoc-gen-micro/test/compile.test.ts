import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { createFileRegistry, create, fromBinary, toBinary, toJson } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema, FileDescriptorSetSchema, type FileDescriptorProto } from "@bufbuild/protobuf/wkt";
import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import { compile } from "../src/compile.ts";
import { ProtoFault } from "../src/fault.ts";
import { all, buf, hasProtoc, includes, protocHome, protoc, protos, read, Scratch } from "./world.ts";

const scratches: Scratch[] = [];
const scratch = (made = new Scratch()): Scratch => (scratches.push(made), made);
afterAll(() => {
  for (const each of scratches) each.remove();
});

/** All that a set of descriptors says, options of one's own included, but for where things stand. */
function said(files: readonly FileDescriptorProto[], names: readonly string[]): Map<string, unknown> {
  // As it would arrive at a plugin, so that unknown fields are options alone.
  const set = fromBinary(
    FileDescriptorSetSchema,
    toBinary(FileDescriptorSetSchema, create(FileDescriptorSetSchema, { file: [...files] })),
  );
  const registry = createFileRegistry(set);
  const wanted = set.file.filter(({ name }) => names.includes(name));
  for (const file of wanted) {
    delete file.sourceCodeInfo;
    // buf keeps what it knows of a file in a field of its own.
    delete file.$unknown;
    // protoc leaves out what is for the source alone.
    for (const { extensionRange } of file.messageType) for (const range of extensionRange) delete range.options;
  }
  return new Map(wanted.map((file) => [file.name, toJson(FileDescriptorProtoSchema, file, { registry })]));
}

/** Comments by the path of their declaration. Those of extension ranges and reserved names appear in no code. */
function comments(files: readonly FileDescriptorProto[], name: string): string[] {
  const locations = files.find((file) => file.name === name)?.sourceCodeInfo?.location ?? [];
  return locations
    .map(({ path, leadingComments, trailingComments, leadingDetachedComments }) =>
      JSON.stringify([path, leadingComments, trailingComments, leadingDetachedComments]),
    )
    .filter((text) => !text.endsWith('],"","",[]]'))
    .toSorted();
}

describe("descriptors are those", () => {
  /** What protoc makes of files, with where things stand. */
  async function byProtoc(names: readonly string[], ...paths: readonly string[]): Promise<FileDescriptorProto[]> {
    const { path } = scratch();
    const flags = ["--include_imports", "--include_source_info", "--descriptor_set_out=set"];
    const { code, stderr } = await protoc([...paths.map((each) => `-I${each}`), ...flags, ...names], path);
    expect([code, stderr]).toEqual([0, ""]);
    return fromBinary(FileDescriptorSetSchema, readFileSync(`${path}/set`)).file;
  }

  it.skipIf(!hasProtoc)(
    "of protoc, with its comments",
    async () => {
      const theirs = await byProtoc(all, protos, scratch(includes()).path);
      const ours = compile(all, read);
      for (const name of all) expect(comments(ours, name), name).toEqual(comments(theirs, name));
      expect(said(ours, all)).toEqual(said(theirs, all));
    },
    120_000,
  );

  it.skipIf(!hasProtoc)(
    "of protoc for google/protobuf itself",
    async () => {
      const include = join(await protocHome(), "include");
      const found = readdirSync(include, { recursive: true, encoding: "utf8" }).filter((name) =>
        name.endsWith(".proto"),
      );
      const names = found.toSorted();
      expect(names.length).toBeGreaterThan(10);
      const theirs = await byProtoc(names, include);
      const ours = compile(names, (name) => readFileSync(join(include, name), "utf8"));
      expect(said(ours, names)).toEqual(said(theirs, names));
      expect(comments(ours, "google/protobuf/type.proto")).toEqual(comments(theirs, "google/protobuf/type.proto"));
    },
    120_000,
  );

  it("of buf, editions among them", async () => {
    const home = scratch(includes());
    home.write(all.map((name) => [name, read(name) ?? ""] as const));
    await buf(["build", "-o", "set.binpb"], home.path);
    const theirs = fromBinary(FileDescriptorSetSchema, readFileSync(`${home.path}/set.binpb`)).file;
    expect(said(compile(all, read), all)).toEqual(said(theirs, all));
  }, 60_000);
});

/** Compiles one file; the others are beside it. */
const one = (text: string, others: Readonly<Record<string, string>> = {}): FileDescriptorProto[] =>
  compile(["a.proto"], (name) => ({ "a.proto": text, ...others })[name]);
const p3 = (text: string): string => `syntax = "proto3"; ${text}`;

describe("a fault is said with its place", () => {
  it.each<[string, string]>([
    ["message A {", "a.proto:1:12: optional, required or repeated is expected, not the end of the file"],
    ['syntax = "proto4";', 'a.proto:1:10: syntax "proto4" is not known: proto2 or proto3'],
    ['edition = "1999";', 'a.proto:1:11: edition "1999" is not known: 2023 or 2024'],
    ["mesage A {}", 'a.proto:1:1: message, enum, service, extend, import, package or option is expected, not "mesage"'],
    ['syntax = "proto3"\nmessage A {}', 'a.proto:2:1: ";" is expected, not "message"'],
    [p3("message A { int32 a = 0; }"), "a field number 0 is not between 1 and 536870911"],
    [p3("message A { int32 a = 19500; }"), "field numbers 19000 to 19999 belong to protobuf itself"],
    [p3("message A { int32 a = 1; int32 b = 1; }"), "a.proto:1:55: number 1 of b is that of a"],
    [p3("message A { int32 a = 1; int32 a = 2; }"), "A.a is declared already"],
    [p3("message A { int32 a_b = 1; int32 aB = 2; }"), "aB and a_b are both aB in JSON"],
    [p3("message A { reserved 2 to 4; int32 a = 3; }"), "number 3 of a is reserved"],
    [p3('message A { reserved "a"; int32 a = 3; }'), "the name a is reserved"],
    [p3("message A { required int32 a = 1; }"), "proto3 has no required fields"],
    [p3("message A { int32 a = 1 [default = 2]; }"), "proto3 has no default values"],
    [p3("message A { repeated group B = 1 {} }"), "proto3 has no groups"],
    [p3("message A { map<double, A> a = 1; }"), "double cannot be the key of a map"],
    [p3("message A { oneof a { repeated int32 b = 1; } }"), "a field of a oneof is not repeated"],
    [p3("message A { oneof a {} }"), "oneof a has no field"],
    [p3("message A { B a = 1; }"), "a.proto:1:32: B is not declared"],
    [p3("package p.q; message A { Q.A a = 1; }"), "Q.A is not declared; did you mean p.q.A?"],
    [p3("enum E { A = 1; }"), "the first value of an enum is 0 in proto3"],
    [p3("enum E { A = 0; B = 0; }"), "option allow_alias would allow it"],
    [p3("enum E { }"), "enum E has no value"],
    [p3("message A {} service S { rpc M(A) returns (E); } enum E { Z = 0; }"), "E is an enum, not a message"],
    [p3("message A {} service S { rpc M(A); }"), '"returns" is expected, not ";"'],
    [p3('import "b.proto";'), "a.proto:1:27: b.proto is not found"],
    [p3('import "../b.proto";'), "is no path below the proto path"],
    [p3('import "a.proto";'), "a.proto imports a.proto: a circle"],
    [p3('option nonsense = "x";'), "google.protobuf.FileOptions has no nonsense"],
    [p3("message A { oneof b { option nonsense = 1; int32 c = 1; } }"), "google.protobuf.OneofOptions has no nonsense"],
    [p3("option optimize_for = FAST;"), "optimize_for is one of SPEED, CODE_SIZE, LITE_RUNTIME"],
    [p3("option java_multiple_files = 1;"), "true or false is expected"],
    [p3('option java_package = "a"; option java_package = "b";'), "option java_package is set twice"],
    [p3("option features = { field_presence [1] };"), '":" is expected, not "["'],
    [
      p3("option features = { [type.googleapis.com/A] {} }; message A {}"),
      "a.proto:1:40: [type.googleapis.com/A] stands in a google.protobuf.Any, alone",
    ],
    [p3("option (google.api.http) = {};"), "google.api.http is not declared"],
    [
      "message A { optional int32 a = 1 [default = 3000000000]; }",
      "3000000000 is not between -2147483648 and 2147483647",
    ],
    ["message A { optional E a = 1 [default = B]; } enum E { C = 0; }", "E has no value B"],
    ["message A { } extend A { optional int32 b = 1; }", "A has no extension range with 1"],
    ["message A { int32 a = 1; }", "optional, required or repeated is expected"],
    ['message A { optional string a = 1 [default = "\\q"]; }', "\\q is no escape sequence"],
    ['message A { optional string a = 1 [default = "x', "this string does not end"],
    ["/* for ever", "this comment does not end"],
    ["message A { optional int32 a = 1x; }", "is no number"],
    ["message A { optional int32 a = 1; } \u0000", "unexpected"],
  ])("%s", (text, words) => {
    expect(() => one(text)).toThrow(ProtoFault);
    expect(() => one(text)).toThrow(words);
  });

  it("a name that is declared in a file that is not imported says which", () => {
    const others = { "b.proto": 'syntax = "proto3"; import "c.proto";', "c.proto": p3("message C {}") };
    expect(() => one(p3('import "b.proto"; message A { C c = 1; }'), others)).toThrow(
      "C is in c.proto, which is not imported",
    );
    expect(
      one(p3('import "b.proto"; message A { C c = 1; }'), { ...others, "b.proto": p3('import public "c.proto";') }),
    ).toHaveLength(3);
  });

  it("what is not imported hides nothing", () => {
    const others = {
      "money.proto": p3("package common.v1; message Money {}"),
      "pay.proto": p3('package acme; import "inner.proto"; message Pay { acme.common.Inner i = 1; }'),
      "inner.proto": p3("package acme.common; message Inner {}"),
    };
    const text = 'package acme.shop; import "money.proto"; import "pay.proto"; message A { common.v1.Money m = 1; }';
    const shop = one(p3(text), others).find(({ name }) => name === "a.proto");
    expect(shop?.messageType[0]?.field[0]?.typeName).toBe(".common.v1.Money");
    const inner = text.replace('import "pay', 'import "inner.proto"; import "pay');
    expect(() => one(p3(inner), others)).toThrow("common.v1.Money is not declared (it would be acme.common.v1.Money)");
  });

  it("messages in messages without end are refused before the stack is", () => {
    expect(() => one("message A {".repeat(5000))).toThrow("nested at most 64 deep");
    expect(() => one(`option (a) = ${"{a:".repeat(5000)}`)).toThrow(ProtoFault);
  });
});

it("any text compiles or has a fault, and nothing else happens", () => {
  const texts = all.map((name) => read(name) ?? "");
  const pieces = texts.flatMap((text) => text.match(/\w+|\s+|[^\w\s]/g) ?? []);
  const piece = fc.constantFrom(...new Set(pieces), "\u0000", '"', "/*", "-", "1e", "0x", "{", "}", "<", "[");
  const change = fc.record({
    text: fc.constantFrom(...texts),
    at: fc.nat(2000),
    cut: fc.nat(40),
    put: fc.array(piece, { maxLength: 6 }),
  });
  fc.assert(
    fc.property(
      fc.oneof(
        change.map(({ text, at, cut, put }) => text.slice(0, at) + put.join("") + text.slice(at + cut)),
        fc.array(piece).map((list) => list.join(" ")),
        fc.string(),
      ),
      (text) => {
        try {
          one(text, { "acme/common/v1.proto": read("acme/common/v1.proto") ?? "" });
        } catch (error) {
          expect(error).toBeInstanceOf(ProtoFault);
        }
      },
    ),
    { numRuns: 3000 },
  );
}, 60_000);
