import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { run, tools } from "../../../scripts/lib/run.mjs";
import { bin, built, endAll, type Outcome, root, Running, Scratch, worldIn } from "./micro.ts";

const scratch = new Scratch();
const env = worldIn(scratch.path);
const greeter = `syntax = "proto3";
package greeter;
import "types/reply.proto";

service Greeter {
  // Says hello.
  rpc Hello(Request) returns (Reply);
  rpc Count(Request) returns (stream Reply);
}
message Request { string name = 1; }
`;
const reply = 'syntax = "proto3";\npackage greeter;\nmessage Reply { string msg = 1; }\n';
const main = `import { createClient, createService } from "ts-micro";
import { greeterService, registerGreeterHandler } from "./greeter_micro.js";

const service = createService({ name: "proto", logLevel: "error" });
registerGreeterHandler(service, {
  hello: ({ name }) => ({ msg: \`Hello \${name}\` }),
  async *count({ name }) {
    for (const letter of name) yield { msg: letter };
  },
});
await service.start();
const greeter = greeterService("proto", createClient());
console.log((await greeter.hello({ name: "Ada" })).msg);
for await (const { msg } of greeter.count({ name: "ab" })) console.log(msg);
await service.stop();
`;

/** A folder with files in it. */
function project(name: string, files: Readonly<Record<string, string>>): string {
  const folder = join(scratch.path, name);
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(join(folder, path, ".."), { recursive: true });
    writeFileSync(join(folder, path), text);
  }
  return folder;
}
/** Without anything on the path: neither protoc nor buf. */
const micro = (cwd: string, ...args: readonly string[]): Promise<Outcome> =>
  new Running(process.execPath, [bin, ...args], { env: { ...env, PATH: "" }, cwd }).ended;

beforeAll(built, 120_000);
afterAll(async () => {
  await endAll();
  scratch.remove();
});

describe("micro proto", () => {
  it("writes messages, client and handler beside the file and its imports, and they run", async () => {
    const folder = project("whole", { "greeter.proto": greeter, "types/reply.proto": reply, "main.ts": main });
    const { code, stdout, stderr } = await micro(folder, "proto", "greeter.proto");
    expect([code, stderr]).toEqual([0, ""]);
    const written = ["types/reply_pb.ts", "greeter_pb.ts", "greeter_micro.ts"];
    expect(stdout).toBe(written.map((file) => `${file}\n`).join(""));
    expect(readFileSync(join(folder, "greeter_micro.ts"), "utf8")).toContain("   * Says hello.\n");

    mkdirSync(join(folder, "node_modules"));
    for (const name of ["ts-micro", "@bufbuild", "@types", "undici-types"])
      symlinkSync(`${root}node_modules/${name}`, join(folder, "node_modules", name));
    writeFileSync(join(folder, "package.json"), '{ "type": "module" }');
    const compilerOptions = {
      ...{ strict: true, verbatimModuleSyntax: true, erasableSyntaxOnly: true, target: "es2023", module: "nodenext" },
      ...{ lib: ["es2023", "esnext.disposable"], types: ["node"], outDir: "out" },
    };
    writeFileSync(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions }));
    const compiled = await run(process.execPath, [tools.tsc, "-p", "."], { cwd: folder, quiet: true });
    expect(compiled).toEqual({ code: 0, output: "" });
    const ran = await new Running(process.execPath, ["out/main.js"], { env, cwd: folder }).ended;
    expect([ran.code, ran.stderr, ran.stdout]).toEqual([0, "", "Hello Ada\na\nb\n"]);
  }, 120_000);

  it("writes all of them also when nobody reads their names", async () => {
    const folder = project("unread", { "greeter.proto": greeter, "types/reply.proto": reply });
    const command = new Running(process.execPath, [bin, "proto", "greeter.proto"], { env, cwd: folder });
    command.child.stdout?.destroy();
    expect((await command.ended).code).toBe(141);
    expect(readdirSync(folder).sort()).toEqual(["greeter.proto", "greeter_micro.ts", "greeter_pb.ts", "types"]);
  });

  it("takes folders, target and extension by flags", async () => {
    const folder = project("flags", { "api/greeter.proto": greeter, "shared/types/reply.proto": reply });
    const flags = ["--proto_path=api,shared", "--out=src/gen", "--target=js+dts", "--import-extension=ts"];
    const { code, stderr } = await micro(folder, "proto", ...flags, "api/greeter.proto");
    expect([code, stderr]).toEqual([0, ""]);
    const files = readdirSync(join(folder, "src/gen"), { recursive: true, encoding: "utf8" }).toSorted();
    expect(files.filter((file) => file.endsWith(".js"))).toEqual([
      "greeter_micro.js",
      "greeter_pb.js",
      "types/reply_pb.js",
    ]);
    expect(files.filter((file) => file.endsWith(".d.ts"))).toHaveLength(3);
    expect(readFileSync(join(folder, "src/gen/greeter_micro.js"), "utf8")).toContain('from "./greeter_pb.ts"');
  }, 60_000);

  it.each<[string, string, string]>([
    [
      "a misprint",
      greeter.replace("returns (Reply)", "retuns (Reply)"),
      'api/a.proto:7:22: "returns" is expected, not "retuns"',
    ],
    ["a type that is not there", greeter.replace("(Request)", "(Reqest)"), "api/a.proto:7:13: Reqest is not declared"],
    [
      "an import that is not there",
      greeter.replace("types/", "typs/"),
      "api/a.proto:3:8: typs/reply.proto is not found",
    ],
    ["a fault in an import", greeter.replace("types/reply", "wrong"), "api/wrong.proto:1:1: "],
    [
      "two methods of one name",
      greeter.replace("Count(", "hello("),
      "api/a.proto:8:3: rpc Hello and rpc hello are both hello",
    ],
  ])(
    "says where %s is, and writes nothing",
    async (name, text, words) => {
      const files = { "api/a.proto": text, "api/wrong.proto": "mesage", "api/types/reply.proto": reply };
      const folder = project(`fault ${name}`, files);
      const { code, stdout, stderr } = await micro(folder, "proto", "--proto_path=api", "--out=out", "api/a.proto");
      expect([code, stdout]).toEqual([1, ""]);
      expect(stderr).toMatch(/^micro: /);
      expect(stderr).toContain(words);
      expect(readdirSync(folder)).toEqual(["api"]);
    },
    60_000,
  );

  it("says of a file that is not there, or out of reach, what to do", async () => {
    const folder = project("reach", { "here/main.ts": "", "there/greeter.proto": reply });
    const gone = await micro(folder, "proto", "greeter.proto");
    expect([gone.code, gone.stderr]).toEqual([1, "micro: greeter.proto: no such file\n"]);
    const out = await micro(join(folder, "here"), "proto", "../there/greeter.proto");
    expect([out.code, out.stderr]).toEqual([
      1,
      "micro: ../there/greeter.proto is not below .: --proto_path=../there looks there\n",
    ]);
    expect((await micro(folder, "proto", "--proto_path=there", "there/greeter.proto")).code).toBe(0);
    const whole = join(folder, "there/greeter.proto");
    expect(await micro(folder, "proto", "--proto_path=there", whole)).toMatchObject({ code: 0, stderr: "" });
  }, 60_000);

  it("compiles no other file than the one that was named, and looks for imports nowhere else", async () => {
    const files = { "a/x.proto": reply, "b/x.proto": reply, "api/greeter.proto": greeter, "types/reply.proto": reply };
    const folder = project("shadow", files);
    const hidden = await micro(folder, "proto", "--proto_path=a,b", "b/x.proto");
    const words = "b/x.proto is hidden by a/x.proto, which has the same name in an earlier folder of --proto_path";
    expect([hidden.code, hidden.stderr]).toEqual([1, `micro: ${words}\n`]);
    const beside = await micro(folder, "proto", "--proto_path=api", "api/greeter.proto");
    expect(beside.stderr).toContain("api/greeter.proto:3:8: types/reply.proto is not found");
    expect(beside.code).toBe(1);
  }, 60_000);

  it.each([
    ["no file", ["proto"], "FILE is missing"],
    ["a target that is none", ["proto", "--target=go", "a.proto"], "--target go: ts, js or dts, or several as js+dts"],
    ["an extension that is none", ["proto", "--import_extension=mjs", "a.proto"], "js, ts or none"],
  ])("refuses %s", async (_, args, words) => {
    const { code, stdout, stderr } = await micro(scratch.path, ...args);
    expect([code, stdout]).toEqual([2, ""]);
    expect(stderr).toContain(words);
  });
});
