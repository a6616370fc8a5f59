import { execFile } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { runInNewContext } from "node:vm";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parseAst } from "rolldown/parseAst";
import { pack, unpack } from "../../../scripts/lib/pack.mjs";
import { lean } from "../../../scripts/lib/roll.mjs";
import { driverNames, loadDriver, type Concerns } from "../src/drivers.ts";
import { concerns, placeOf } from "./support/layers.ts";
import { parseModules, readSources } from "./support/modules.ts";
import { linksOf, makersOf, packageOf, publicModules, readManifest, root } from "./support/public.ts";

const execute = promisify(execFile);
/** Runs a program; one that does not end by itself is killed, and the test that waits for it fails. */
const run = (args: readonly string[], cwd: string, timeout = 15_000): Promise<{ stdout: string; stderr: string }> =>
  execute(process.execPath, args, { cwd, timeout, killSignal: "SIGKILL" });
const byText = (a: string, b: string): number => (a < b ? -1 : 1);
const manifest = readManifest("packages/ts-micro");
const modules = publicModules(manifest);
const sources = readSources(`${root}packages/ts-micro/src`);
const test = `${root}packages/ts-micro/test/`;
const built = ["cli", "protoc-gen-micro", "dashboard"].filter((name) =>
  existsSync(`${root}packages/${name}/package.json`),
);
/** Public modules that keep promises: drivers, wrappers, engines' parts. Contracts are types, and suites are tried by what they test. */
const components = [...modules.values()].filter((path) => path.includes("/") && !path.startsWith("testing/"));

describe("the manifest", () => {
  it("and the table of drivers are what the files say", async () => {
    const said = await run([`${root}scripts/generate.mjs`, "--check"], root).catch(
      (error: { stdout: string }) => error,
    );
    expect(said.stdout).toBe("");
  });

  it("has for each line of its exports a source file", () => {
    expect([...modules.values()].filter((path) => !sources.has(`${path}.ts`))).toEqual([]);
  });

  it("has a line for every contract and all of the ground, and none for what the front door composes", () => {
    const lines = [...modules.values()].filter((path) => !path.includes("/"));
    const roots = [...sources.keys()].filter((path) => !path.includes("/"));
    const wanted = roots.filter((path) => (placeOf(path)?.floor ?? 0) < 4).map((path) => path.slice(0, -3));
    expect(lines.toSorted(byText)).toEqual([...wanted, "index", "drivers"].toSorted(byText));
  });

  it("closes the private folders", () => {
    expect(manifest.exports["./internal/*"]).toBeNull();
    expect([...modules.values()].filter((path) => /^(internal|wire|backends)\//.test(path))).toEqual([]);
  });

  it("names every package that a source loads as an optional peer of any version, and no other", () => {
    const used = new Set(
      [...parseModules(sources).values()].flatMap(({ imports }) =>
        imports.flatMap(({ specifier }) => packageOf(specifier) ?? []),
      ),
    );
    for (const name of Object.keys(manifest.dependencies ?? {})) used.delete(name);
    expect(manifest.peerDependencies ?? {}).toEqual(Object.fromEntries([...used].map((name) => [name, "*"])));
    expect(manifest.peerDependenciesMeta ?? {}).toEqual(
      Object.fromEntries([...used].map((name) => [name, { optional: true }])),
    );
  });

  it("has its peers installed here, so that they are tested as they are", () => {
    const here = readManifest("").devDependencies ?? {};
    expect(Object.keys(manifest.peerDependencies ?? {}).filter((name) => !(name in here))).toEqual([]);
  });

  it("brings one package more at most", () => {
    const brought = Object.keys(manifest.dependencies ?? {});
    expect(brought.length).toBeLessThanOrEqual(1);
    for (const name of brought) expect(readManifest(`node_modules/${name}`).dependencies ?? {}).toEqual({});
  });

  it.each(built)(
    "of %s has the version, licence and Node versions of the others, and wants this very version",
    (name) => {
      const other = readManifest(`packages/${name}`);
      expect([other.version, other.license, other.engines]).toEqual([
        manifest.version,
        manifest.license,
        manifest.engines,
      ]);
      expect([undefined, manifest.version]).toContain(other.dependencies?.["ts-micro"]);
    },
  );
});

describe("every component", () => {
  it.each(components)("%s is what a test of its concern imports", (path) => {
    const folder = `${test}${dirname(path)}`;
    const files = existsSync(folder) ? readdirSync(folder, { recursive: true, encoding: "utf8" }) : [];
    const tests = files
      .filter((file) => file.endsWith(".test.ts"))
      .map((file) => readFileSync(`${folder}/${file}`, "utf8"));
    expect(tests.some((text) => text.includes(`src/${path}.ts"`))).toBe(true);
  });

  it.each(components.filter((path) => concerns.has(dirname(path))))(
    "%s is named on the page of its concern",
    (path) => {
      const page = `${root}docs/${dirname(path)}.md`;
      const text = existsSync(page) ? readFileSync(page, "utf8") : "";
      const makers = makersOf(dirname(path), sources.get(`${path}.ts`) ?? "");
      expect(makers).not.toEqual([]);
      expect(makers.filter((name) => !text.includes(name))).toEqual([]);
    },
  );

  const byName = [...concerns].flatMap((concern) => {
    const known = [...sources.keys()].filter(
      (path) => dirname(path) === concern && /^export const driver\b/m.test(sources.get(path) ?? ""),
    );
    return known.map((path) => [concern as keyof Concerns, path.slice(concern.length + 1, -3)] as const);
  });
  it.each(byName)("%s/%s that can be chosen by name says the name of its file", async (concern, name) => {
    expect(driverNames(concern)).toContain(name);
    const driver = await loadDriver(concern, name);
    expect(driver.name).toBe(name);
  });
});

describe("the documentation", () => {
  const pages = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", ...markdown("docs"), ...markdown("examples")];

  function markdown(folder: string): string[] {
    if (!existsSync(`${root}${folder}`)) return [];
    const files = readdirSync(`${root}${folder}`, { recursive: true, encoding: "utf8" });
    return files
      .filter((file) => file.endsWith(".md") && !file.includes("node_modules"))
      .map((file) => `${folder}/${file}`);
  }

  it.each(pages)("%s links to files that are there", (page) => {
    const text = existsSync(`${root}${page}`) ? readFileSync(`${root}${page}`, "utf8") : undefined;
    expect(text, `${page} is missing`).toBeDefined();
    expect(linksOf(text ?? "").filter((link) => !existsSync(join(root, dirname(page), link)))).toEqual([]);
  });

  it("lists every entry point in its index, and no other", () => {
    const text = readFileSync(`${root}docs/README.md`, "utf8");
    const listed = [...text.matchAll(/`(ts-micro(?:\/[\w/-]+)?)`/g)].map(([, name = ""]) => name);
    const there = [...modules.keys()].map((subpath) => (subpath === "" ? "ts-micro" : `ts-micro/${subpath}`));
    expect(listed.toSorted(byText)).toEqual(there.toSorted(byText));
  });

  it("is found whole from its index", () => {
    const linked = new Set(linksOf(readFileSync(`${root}docs/README.md`, "utf8")).map((link) => join("docs", link)));
    expect(markdown("docs").filter((page) => page !== "docs/README.md" && !linked.has(page))).toEqual([]);
  });
});

describe("what is built, made lean", () => {
  it("means what it meant: text, templates, patterns and names", () => {
    const code =
      'const é = "ü\\n";\n\tconst a = `${é}ö`;\n\t\tconst b = /[é-ÿ]\\u00e9\\\\ü/gu;\nconst c = /(?<ß>\u{1f600})/u;\n';
    const made = lean(code, parseAst);
    expect(made).toMatch(/^[\0-\x7f]+$/);
    expect(made).not.toMatch(/^\t/m);
    const values = (text: string): unknown =>
      JSON.parse(
        runInNewContext(`${text}JSON.stringify([é, a, b.test("ë\u00e9\\\\ü"), c.exec("\u{1f600}").groups])`) as string,
      );
    expect(values(made)).toEqual(values(code));
    expect(values(made)).toEqual(["ü\n", "ü\nö", true, { ß: "\u{1f600}" }]);
  });

  it("has no spaces around signs, but where two would run together, and leaves texts alone", () => {
    const code =
      'const a = [1, 2];\nconst b = a[0] + +a[1] - -1;\nconst c = { d: `x = ${ b } ; y`, e: " , ", f: / = /g };\n';
    expect(lean(code, parseAst)).toBe(
      'const a=[1,2];\nconst b=a[0]+ +a[1]- -1;\nconst c={d:`x = ${b} ; y`,e:" , ",f:/ = /g};\n',
    );
  });

  it.each([
    ["a text over several lines", "const a = `\n\ta`;"],
    ["the raw text of a tag", "const a = String.raw`é`;"],
    ["the raw text of a tag over several lines", "const a = tag`${1}\n\ta`;"],
    ["a pattern with an escaped letter", "const a = /\\é/;"],
    ["a string with an escaped letter", 'const a = "\\é";'],
  ])("is refused when %s would change", (_, code) => {
    expect(() => lean(code, parseAst)).toThrow("would mean something else");
  });
});

describe("the packed package", () => {
  const folder = mkdtempSync(`${tmpdir()}/ts-micro-packed-`);
  const home = `${folder}/node_modules/ts-micro`;
  const node = (script: string, args: readonly string[] = []) =>
    run([...args, "--input-type=module", "--eval", script], folder);
  let files: string[] = [];

  beforeAll(async () => {
    await run([`${root}scripts/build.mjs`], root, 110_000);
    unpack(pack("ts-micro", folder).tarball, folder, "ts-micro");
    for (const name of Object.keys(manifest.dependencies ?? {})) {
      mkdirSync(dirname(`${folder}/node_modules/${name}`), { recursive: true });
      symlinkSync(`${root}node_modules/${name}`, `${folder}/node_modules/${name}`);
    }
    writeFileSync(`${folder}/package.json`, '{ "type": "module" }');
    files = readdirSync(home, { recursive: true, encoding: "utf8" }).filter((file) =>
      statSync(`${home}/${file}`).isFile(),
    );
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it("has what was built, what explains it, and nothing else", () => {
    const other = files
      .filter((file) => !/^dist\/.+\.(js|d\.ts)$/.test(file))
      .toSorted((a, b) => a.localeCompare(b, "en"));
    expect(other).toEqual(["LICENSE", "package.json", "README.md"]);
    const code = files.flatMap((file) => /^dist\/(.+)\.js$/.exec(file)?.[1] ?? []);
    const wanted = [...sources.keys()].map((path) => path.slice(0, -".ts".length));
    expect(code.toSorted(byText)).toEqual(
      [
        ...wanted,
        "front",
        "start",
        "default-registry",
        "fast",
        "first-call",
        "mucp",
        "http",
        "grpc",
        "protobuf",
      ].toSorted(byText),
    );
  });

  it("declares its public modules and what they mention, and nothing else", () => {
    const declared = new Map(
      files.flatMap((file) => {
        const path = /^dist\/(.+)\.d\.ts$/.exec(file)?.[1];
        return path === undefined ? [] : [[`${path}.ts`, readFileSync(`${home}/${file}`, "utf8")] as const];
      }),
    );
    const parsed = parseModules(declared);
    const reached = new Set([...modules.values()].map((path) => `${path}.ts`));
    for (const path of reached) {
      for (const { target } of parsed.get(path)?.imports ?? []) if (target !== undefined) reached.add(target);
    }
    expect([...declared.keys()].toSorted(byText)).toEqual([...reached].toSorted(byText));
  });

  it("takes one megabyte at most", () => {
    expect(files.reduce((sum, file) => sum + statSync(`${home}/${file}`).size, 0)).toBeLessThanOrEqual(1_000_000);
  });

  it("loads by each of its subpaths where no peer is installed", async () => {
    const names = [...modules.keys()].map((subpath) => (subpath === "" ? "ts-micro" : `ts-micro/${subpath}`));
    const { stdout } = await node(`
      const faults = [];
      for (const name of ${JSON.stringify(names)}) await import(name).catch((error) => faults.push(name + ": " + error.message));
      console.log(JSON.stringify(faults));`);
    expect(JSON.parse(stdout)).toEqual([]);
  });

  it("ends by itself after it was loaded, with nothing left open and nothing written", async () => {
    expect(await node('await import("ts-micro");')).toEqual({ stdout: "", stderr: "" });
  });

  it("can be required from CommonJS", async () => {
    const script = 'const { createService } = require("ts-micro"); console.log(typeof createService);';
    const { stdout } = await run(["--no-warnings", "--input-type=commonjs", "--eval", script], folder);
    expect(stdout.trim()).toBe("function");
  });

  it.each(["internal/load-driver", "internal/load-driver.js", "wire/headers", "registry/no-such"])(
    "keeps %s to itself",
    async (subpath) => {
      const { stdout } = await node(`await import("ts-micro/${subpath}").catch((error) => console.log(error.code));`);
      expect(stdout.trim()).toBe("ERR_PACKAGE_PATH_NOT_EXPORTED");
    },
  );

  // What a file costs is the loader's; what its code costs is little: 250 kB in one file add 1.4 MiB, 90 kB in 33 files added 6.6.
  it("loads two files by its front door, 128 kB at most", async () => {
    const loaded = await filesLoadedBy("ts-micro");
    expect(loaded.map((url) => basename(url))).toEqual(["index.js", "front.js"]);
    const bytes = loaded.map((url) => statSync(fileURLToPath(url)).size);
    expect(bytes.reduce((sum, size) => sum + size, 0)).toBeLessThanOrEqual(128_000);
  });

  it("loads one light part of Node at once, and so never goes in a circle", () => {
    const front = new Map([["front.ts", readFileSync(`${home}/dist/front.js`, "utf8")]]);
    const imports = parseModules(front).get("front.ts")?.imports ?? [];
    expect(imports.filter(({ kind }) => kind === "static").map(({ specifier }) => specifier)).toEqual([
      "node:async_hooks",
    ]);
  });

  it("has each class and function once, by whatever subpath it is imported", async () => {
    const names = [...modules.keys()].filter((subpath) => subpath !== "").map((subpath) => `ts-micro/${subpath}`);
    const { stdout } = await node(`
      const front = await import("ts-micro");
      const found = { same: [], other: [] };
      for (const name of ${JSON.stringify(names)}) {
        for (const [key, value] of Object.entries(await import(name))) {
          if (key in front) found[value === front[key] ? "same" : "other"].push(name + " " + key);
        }
      }
      console.log(JSON.stringify(found));`);
    const found = JSON.parse(stdout) as { same: string[]; other: string[] };
    expect(found.other).toEqual([]);
    expect(found.same).toContain("ts-micro/errors MicroError");
  });

  /** The package's files that an import loads. The hooks run in a thread of their own and say each file on standard output. */
  async function filesLoadedBy(specifier: string): Promise<string[]> {
    writeFileSync(
      `${folder}/hooks.mjs`,
      'import { writeSync } from "node:fs";\nexport const load = (url, context, next) => (writeSync(1, url + "\\n"), next(url, context));\n',
    );
    writeFileSync(
      `${folder}/count.mjs`,
      'import { register } from "node:module";\nregister("./hooks.mjs", import.meta.url);\n',
    );
    const { stdout } = await node(`await import(${JSON.stringify(specifier)});`, [
      "--no-warnings",
      "--import",
      `${folder}/count.mjs`,
    ]);
    return stdout.split("\n").filter((url) => url.includes("/node_modules/"));
  }

  describe.each(built.filter((name) => readManifest(`packages/${name}`).bin !== undefined))("of %s", (name) => {
    const tool = readManifest(`packages/${name}`);
    beforeAll(() => {
      unpack(pack(name, folder).tarball, folder, tool.name);
      // What npm would install beside it, with all that it needs in turn.
      for (const wanted of readdirSync(`${root}node_modules`)) {
        if (wanted.startsWith(".") || existsSync(`${folder}/node_modules/${wanted}`)) continue;
        symlinkSync(`${root}node_modules/${wanted}`, `${folder}/node_modules/${wanted}`);
      }
    });

    it.each(Object.entries(tool.bin ?? {}))("starts as %s", async (_, path) => {
      const file = join(folder, "node_modules", tool.name, path);
      expect(readFileSync(file, "utf8")).toMatch(/^#!\/usr\/bin\/env node\n/);
      const { stdout } = await run([file, "--help"], folder);
      expect(stdout).toContain("micro");
    });
  });
});
