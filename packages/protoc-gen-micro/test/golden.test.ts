import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { generate } from "../src/generate.ts";
import {
  all,
  buf,
  bufTemplate,
  byPath,
  built,
  filesIn,
  golden,
  hasProtoc,
  includes,
  parameter,
  protoc,
  protos,
  read,
  Scratch,
  writeInto,
} from "./world.ts";

const scratches: Scratch[] = [];
const scratch = (made = new Scratch()): Scratch => (scratches.push(made), made);
beforeAll(built, 120_000);
afterAll(() => {
  for (const each of scratches) each.remove();
});

/** The reviewed code of the files that were generated. `google/api` is not asked of protoc and buf. */
function reviewed(names: readonly string[], also = ""): ReadonlyMap<string, string> {
  const stems = names.map((name) => name.replace(/\.proto$/, ""));
  const wanted = (file: string): boolean =>
    stems.some((stem) => file === `${stem}_pb.ts` || file === `${stem}_micro.ts`) ||
    (also !== "" && file.startsWith(also));
  return new Map([...filesIn(golden)].filter(([file]) => wanted(file)));
}

/** Without the descriptor's bytes: protoc and buf write the fields of options in an order of their own. compile.test.ts compares the values. */
function readable(files: ReadonlyMap<string, string>): ReadonlyMap<string, string> {
  return new Map([...files].map(([name, text]) => [name, text.replace(/(?<=fileDesc\(")[\w+/=]+/, "")]));
}

describe("the code that was reviewed comes, byte by byte,", () => {
  it("from our own compiler, with all that is imported", async () => {
    const files = await generate(all, { read, parameter });
    if (process.env["TS_MICRO_GOLDEN"] === "write") writeInto(golden, files);
    expect(byPath(files)).toEqual(filesIn(golden));
  }, 60_000);

  it.skipIf(!hasProtoc)(
    "from protoc with the plugin on its path",
    async () => {
      const { path } = scratch();
      const opts = ["--es_out=.", `--es_opt=${parameter}`, "--micro_out=.", `--micro_opt=${parameter}`];
      const said = await protoc([`-I${protos}`, `-I${scratch(includes()).path}`, ...opts, ...all], path);
      expect(said).toEqual({ code: 0, stderr: "" });
      expect(readable(filesIn(path))).toEqual(readable(reviewed(all)));
    },
    60_000,
  );

  it("from buf generate, which imports the same google/api", async () => {
    const home = scratch(includes());
    home.write([...all.map((name) => [name, read(name) ?? ""] as const), ["buf.gen.yaml", bufTemplate(parameter)]]);
    await buf(["generate"], home.path);
    expect(readable(filesIn(`${home.path}/gen`))).toEqual(readable(reviewed(all, "google/api/")));
  }, 60_000);
});

describe("options", () => {
  const shop = { read, signal: undefined };

  it("js+dts gives JavaScript and its declarations", async () => {
    const files = await generate(["messages.proto", "shop.proto"], { ...shop, parameter: "target=js+dts" });
    const names = files.map(({ path }) => path).filter((path) => path.startsWith("shop"));
    expect(names.toSorted()).toEqual(["shop_micro.d.ts", "shop_micro.js", "shop_pb.d.ts", "shop_pb.js"]);
    const js = files.find(({ path }) => path === "shop_micro.js")?.text;
    expect(js).toContain('from "./shop_pb"');
    expect(js).toContain("export function shopService(name, client, options) {");
  }, 60_000);

  it.each([
    ["js", "./shop_pb.js"],
    ["ts", "./shop_pb.ts"],
    ["none", "./shop_pb"],
  ])("import_extension=%s imports %s", async (extension, path) => {
    const files = await generate(["shop.proto"], { ...shop, parameter: `target=ts,import_extension=${extension}` });
    expect(files.find((file) => file.path === "shop_micro.ts")?.text).toContain(`from "${path}"`);
  });

  it("that protoc-gen-es alone has may be given to both, others are refused", async () => {
    const parameter = "target=ts,json_types=true,valid_types=legacy_required";
    await expect(generate(["shop.proto"], { ...shop, parameter })).resolves.toBeDefined();
    await expect(generate(["shop.proto"], { ...shop, parameter: "targets=ts" })).rejects.toThrow("targets=ts");
  });
});

it("a file without services has no code of ours", async () => {
  const files = await generate(["messages.proto"], { read, parameter });
  expect(files.map(({ path }) => path)).toEqual(["messages_pb.ts"]);
});

it.skipIf(!hasProtoc)(
  "protoc says what the plugin refuses, with its place",
  async () => {
    const home = scratch();
    home.write([
      [
        "twins.proto",
        'syntax = "proto3";\nmessage M {}\nservice A {\n  rpc Get(M) returns (M);\n  rpc get(M) returns (M);\n}\n',
      ],
    ]);
    const { code, stderr } = await protoc(["-I.", "--micro_out=.", "twins.proto"], home.path);
    expect(code).toBe(1);
    expect(stderr).toContain("twins.proto:5:3: rpc Get and rpc get are both get in TypeScript; rename one");
  },
  60_000,
);
