// What the tests share: the .proto files, what their code must look like, and the real compilers.
import { execFile } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { run } from "../../../scripts/lib/run.mjs";
import type { Generated } from "../src/generate.ts";
import { buildServer, hasCommand } from "../../ts-micro/test/servers/build.ts";
import { bundled } from "../src/known.ts";

const execute = promisify(execFile);
export const root: string = fileURLToPath(new URL("../../../", import.meta.url));
export const protos: string = fileURLToPath(new URL("fixtures/proto", import.meta.url));
/** The code of {@link protos} as it was reviewed. `TS_MICRO_GOLDEN=write` writes it anew, to be reviewed again. */
export const golden: string = fileURLToPath(new URL("fixtures/gen", import.meta.url));
export const plugin: string = `${root}packages/protoc-gen-micro/dist/main.js`;
const es = `${root}node_modules/@bufbuild/protoc-gen-es/bin/protoc-gen-es`;

/** Options of the golden code. The version is left out of it, so that a release changes none. */
export const parameter = "target=ts,import_extension=js,erasable_syntax=true,elide_plugin_version=true";
export const all: readonly string[] = [
  "shop.proto",
  "names.proto",
  "old.proto",
  "messages.proto",
  "acme/common/v1.proto",
  "edition.proto",
];

/** Builds what protoc and buf run. */
export async function built(): Promise<void> {
  const { code, output } = await run(process.execPath, [`${root}scripts/build.mjs`], { quiet: true });
  if (code !== 0) throw new Error(output);
}

export function read(name: string): string | undefined {
  const file = join(protos, name);
  return existsSync(file) ? readFileSync(file, "utf8") : undefined;
}

export function writeInto(folder: string, files: readonly Generated[]): void {
  for (const { path, text } of files) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  }
}

/** What was generated, by path. */
export function byPath(files: readonly Generated[]): ReadonlyMap<string, string> {
  return new Map(files.map(({ path, text }) => [path, text]));
}

/** A folder that is gone after the tests. */
export class Scratch {
  readonly path: string = realpathSync(mkdtempSync(`${tmpdir()}/ts-micro-proto-`));

  write(files: Iterable<readonly [string, string]>): void {
    writeInto(
      this.path,
      Array.from(files, ([path, text]) => ({ path, text })),
    );
  }

  remove(): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

/** The files below a folder, by their paths. */
export function filesIn(folder: string): ReadonlyMap<string, string> {
  const names = existsSync(folder) ? readdirSync(folder, { recursive: true, encoding: "utf8" }) : [];
  const files = names.filter((name) => statSync(join(folder, name)).isFile()).toSorted();
  return new Map(files.map((name) => [name, readFileSync(join(folder, name), "utf8")]));
}

/** False where there is no Python to fetch protoc with. */
export const hasProtoc: boolean = hasCommand("python3");
if (!hasProtoc) {
  if (process.env["TS_MICRO_REQUIRE_SERVERS"] === "1") throw new Error("no python3 here to fetch protoc with");
  console.error("NOT RUN: what needs protoc, no python3 here");
}

/** google/api as our own compiler brings it. protoc and buf must be given it. */
export function includes(): Scratch {
  const scratch = new Scratch();
  scratch.write(bundled);
  return scratch;
}

/** The folder of protoc: bin/ and include/. */
export function protocHome(): Promise<string> {
  return buildServer("protoc");
}

export async function protoc(args: readonly string[], cwd: string): Promise<{ code: number; stderr: string }> {
  const plugins = [`--plugin=protoc-gen-es=${es}`, `--plugin=protoc-gen-micro=${plugin}`];
  return execute(join(await protocHome(), "bin/protoc"), [...plugins, ...args], { cwd }).then(
    ({ stderr }) => ({ code: 0, stderr }),
    (error: { code: number; stderr: string }) => ({ code: error.code, stderr: error.stderr }),
  );
}

export async function buf(args: readonly string[], cwd: string): Promise<void> {
  // A cache of its own: buf writes nothing into the home folder.
  const env = { ...process.env, BUF_CACHE_DIR: join(cwd, ".cache") };
  await execute(process.execPath, [`${root}node_modules/@bufbuild/buf/bin/buf`, ...args], { cwd, env });
}

/** A `buf.gen.yaml` with both plugins. */
export function bufTemplate(options: string): string {
  const opt = options.split(",").map((option) => `      - ${option}\n`);
  const entry = (command: string): string =>
    `  - local: ["${process.execPath}", "${command}"]\n    out: gen\n    opt:\n${opt.join("")}`;
  return `version: v2\nplugins:\n${entry(es)}${entry(plugin)}`;
}
