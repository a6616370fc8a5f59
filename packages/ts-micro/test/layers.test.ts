import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { findToolViolations, findViolations, rules, type Rule } from "./support/layers.ts";
import { readSources } from "./support/modules.ts";

const packages = fileURLToPath(new URL("../../", import.meta.url));
const promises: Record<Rule, string> = {
  folder: "every file stands in a folder that has a floor",
  resolves: "every relative import names a source file with its extension",
  floor: "imports go down, or sideways inside one folder",
  driver: "no driver imports the driver of another concern",
  engine: "engines load no driver by themselves",
  testing: "the public suites stand on contracts and ground, and no source stands on them",
  cycle: "no run-time import goes in a circle",
  chain: "no more than nine run-time imports stand in a row",
  library: "a driver stands on one third-party library at most and loads it when it is needed",
  "front-door": "nothing that the front door reaches mentions a package or loads a heavy part of Node",
  size: "the median file has 120 lines at most, the 95th 400, the longest 600",
  any: "no source says any",
  exit: "no source ends the process",
  "default-export": "no source has a default export",
  unfinished: "no source is marked as unfinished",
};

describe("the sources of ts-micro", () => {
  const violations = findViolations(readSources(`${packages}ts-micro/src`));
  it.each(rules.map((rule) => [promises[rule], rule] as const))("%s", (_, rule) => {
    const found = violations.filter((one) => one.rule === rule).map(({ path, what }) => `${path}:${what}`);
    expect(found).toEqual([]);
  });
});

describe("the tool packages", () => {
  const manifest = JSON.parse(readFileSync(`${packages}ts-micro/package.json`, "utf8")) as {
    exports: Record<string, unknown>;
  };
  const tools = ["cli", "protoc-gen-micro", "dashboard"].filter((name) => existsSync(`${packages}${name}/src`));
  it.each(tools)("%s uses ts-micro by its public subpaths only", (name) => {
    const subpaths = new Set(Object.keys(manifest.exports).filter((key) => manifest.exports[key] !== null));
    expect(findToolViolations(readSources(`${packages}${name}/src`), subpaths)).toEqual([]);
  });
});

describe("the rules themselves", () => {
  /** The paths and words of what one rule finds in made-up sources. */
  const find = (rule: Rule, sources: Record<string, string>): string[] =>
    findViolations(new Map(Object.entries(sources)))
      .filter((one) => one.rule === rule)
      .map(({ path, what }) => `${path}:${what}`);

  it("name a file in a folder that has no floor", () => {
    expect(find("folder", { "util/x.ts": "", "wire/x.ts": "" })).toEqual([
      "util/x.ts:stands in a folder without a floor",
    ]);
  });

  it("name an import of a file that is not there, and one without its extension", () => {
    const found = find("resolves", { "a.ts": 'import "./gone.ts";\nimport "./b.js";\nimport "./b.ts";', "b.ts": "" });
    expect(found).toEqual(["a.ts:1: ./gone.ts is no source file", "a.ts:2: ./b.js is no source file"]);
  });

  it("name imports that go up, of types and dynamic ones too", () => {
    const sources = {
      "errors.ts": 'import type { R } from "./registry.ts";',
      "registry.ts": 'export * from "./registry/memory.ts";',
      "registry/memory.ts": 'import("../client/engine.ts");',
      "client/engine.ts": 'let x: import("../service.ts").S;',
      "service.ts": 'import { c } from "./client/engine.ts";\nimport "./errors.ts";',
    };
    expect(find("floor", sources).map((line) => line.split(":")[0])).toEqual([
      "errors.ts",
      "registry.ts",
      "registry/memory.ts",
      "client/engine.ts",
    ]);
  });

  it("name imports sideways into another folder of the same floor, not those inside of one", () => {
    const sources = {
      "server/a.ts": 'import "../client/a.ts";\nimport "./b.ts";',
      "server/b.ts": "",
      "client/a.ts": "",
      "wire/a.ts": 'import "../errors.ts";\nimport "../internal/a.ts";',
      "errors.ts": "",
      "internal/a.ts": "",
    };
    expect(find("floor", sources)).toEqual(["server/a.ts:1: imports client/a.ts, in another folder of its own floor"]);
  });

  it("let a driver use shared connections, and keep those below the drivers", () => {
    const sources = {
      "broker/nats.ts": 'import "../backends/nats.ts";',
      "backends/nats.ts": 'import type { X } from "../broker/nats.ts";',
    };
    expect(find("floor", sources)).toEqual(["backends/nats.ts:1: imports broker/nats.ts, which is above it"]);
  });

  it("name a driver that imports the driver of another concern, even its type", () => {
    const sources = {
      "broker/http.ts": 'import type { X } from "../registry/mdns/query.ts";\nimport "./memory.ts";',
      "broker/memory.ts": "",
      "registry/mdns/query.ts": "",
    };
    expect(find("driver", sources)).toEqual(["broker/http.ts:1: a broker driver imports registry/mdns/query.ts"]);
  });

  it("name an engine that loads a driver, now or later, but let it name a driver's type", () => {
    const sources = {
      "client/a.ts":
        'import "../registry/memory.ts";\nimport("../registry/memory.ts");\nimport type { M } from "../registry/memory.ts";',
      "registry/memory.ts": "",
    };
    expect(find("engine", sources)).toEqual([
      "client/a.ts:1: imports the driver registry/memory.ts",
      "client/a.ts:2: imports the driver registry/memory.ts",
    ]);
  });

  it("name a suite that imports a driver, and a source that imports a suite, but let the mesh import all", () => {
    const sources = {
      "testing/registry.ts":
        'import type { M } from "../registry/memory.ts";\nimport "../registry.ts";\nimport "./suite.ts";',
      "testing/suite.ts": "",
      "testing/mesh.ts": 'import "../service.ts";\nimport "./suite.ts";',
      "registry/memory.ts": 'import "../testing/suite.ts";',
      "registry.ts": "",
      "service.ts": "",
    };
    expect(find("testing", sources)).toEqual([
      "testing/registry.ts:1: a suite imports registry/memory.ts, above the contracts",
      "registry/memory.ts:1: imports testing/suite.ts",
    ]);
  });

  it("name a run-time cycle by its way around, and let types go in circles", () => {
    const sources = {
      "wire/a.ts": 'import "./b.ts";',
      "wire/b.ts": 'export { c } from "./c.ts";',
      "wire/c.ts": 'import { a } from "./a.ts";',
      "wire/d.ts": 'import type { E } from "./e.ts";',
      "wire/e.ts": 'import "./d.ts";',
    };
    expect(find("cycle", sources)).toEqual(["wire/a.ts:wire/a.ts → wire/b.ts → wire/c.ts → wire/a.ts"]);
  });

  it("know that an import with type names only is kept at run time, unless it says import type", () => {
    expect(
      find("cycle", { "wire/a.ts": 'import { type B } from "./b.ts";', "wire/b.ts": 'import "./a.ts";' }),
    ).toHaveLength(1);
    expect(find("cycle", { "wire/a.ts": 'import type { B } from "./b.ts";', "wire/b.ts": 'import "./a.ts";' })).toEqual(
      [],
    );
  });

  it("name the longest chain when it has ten imports, not nine, however the files branch", () => {
    const chain = (imports: number): Record<string, string> =>
      Object.fromEntries(
        Array.from({ length: imports + 1 }, (_, n) => [
          `wire/m${n}.ts`,
          n < imports ? `import "./m${imports}.ts";\nimport "./m${n + 1}.ts";` : "",
        ]),
      );
    expect(find("chain", chain(9))).toEqual([]);
    expect(find("chain", chain(10))).toEqual([
      expect.stringMatching(/^wire\/m0\.ts:10 imports in a row: wire\/m0\.ts → .* → wire\/m10\.ts$/),
    ]);
  });

  it("name a driver on two libraries, counting its private folder, and parts of one scope as one library", () => {
    const sources = {
      "registry/x.ts": 'import type { A } from "alpha";\nimport("alpha/sub");',
      "registry/x/more.ts": 'import("beta");',
      "registry/y.ts": 'import("@nats-io/transport-node");\nimport("@nats-io/kv");\nimport "node:net";',
    };
    expect(find("library", sources)).toEqual(["registry/x.ts:stands on alpha and beta"]);
  });

  it("name a library that is loaded at once, or outside of drivers and engines", () => {
    const sources = { "registry/x.ts": 'import { A } from "alpha";', "errors.ts": 'import type { B } from "beta";' };
    expect(find("library", sources)).toEqual([
      "registry/x.ts:1: loads alpha at once, not by import() when it is needed",
      "errors.ts:1: imports beta, outside of a driver or an engine",
    ]);
  });

  it("name a package's type or a heavy part of Node behind the front door, but not behind import()", () => {
    const sources = {
      "index.ts": 'export * from "./service.ts";\nexport type { R } from "./registry/x.ts";',
      "service.ts": 'import("./registry/y.ts");\nimport "./server/l.ts";',
      "server/l.ts": 'import * as h from "node:http2";\nimport type { T } from "node:tls";',
      "registry/x.ts": 'import type { A } from "alpha";',
      "registry/y.ts": 'import type { B } from "beta";\nimport "node:dgram";',
    };
    expect(find("front-door", sources)).toEqual([
      "registry/x.ts:1: mentions alpha",
      "server/l.ts:1: loads node:http2 at once",
    ]);
  });

  it("name a file over 600 lines, a median over 120 and a 95th over 400", () => {
    const file = (lines: number): string => "//\n".repeat(lines);
    const many = (count: number, lines: number): Record<string, string> =>
      Object.fromEntries(Array.from({ length: count }, (_, n) => [`wire/${lines}-${n}.ts`, file(lines)]));
    expect(find("size", { ...many(9, 100), "wire/x.ts": file(600) })).toEqual([
      "*:the 95th of a hundred files has 600 lines",
    ]);
    expect(find("size", { ...many(30, 100), "wire/x.ts": file(601) })).toEqual(["wire/x.ts:has 601 lines"]);
    expect(find("size", many(3, 120))).toEqual([]);
    expect(find("size", many(3, 121))).toEqual(["*:the median file has 121 lines"]);
    expect(find("size", { ...many(90, 100), ...many(10, 401) })).toEqual([
      "*:the 95th of a hundred files has 401 lines",
    ]);
  });

  it("name every form of any, and not the word in comments and texts", () => {
    const sources = { "wire/a.ts": 'let a: any;\nconst b = 1 as any;\nlet c: Array<any>;\n// any\nconst any = "any";' };
    expect(find("any", sources)).toEqual(["wire/a.ts:1: a: any", "wire/a.ts:2: 1 as any", "wire/a.ts:3: Array<any>"]);
  });

  it("name every way to end the process", () => {
    const sources = {
      "wire/a.ts":
        'process.exit(1);\nprocess["abort"]();\nimport { exit } from "node:process";\nprocess.exitCode = 1;\nthing.exit();',
    };
    expect(find("exit", sources).map((line) => line.split(":")[1])).toEqual(["1", "2", "3"]);
  });

  it("name default exports, and not the default of a switch", () => {
    const sources = {
      "wire/a.ts": "export default 1;",
      "wire/b.ts": "export default function f() {}",
      "wire/c.ts": "switch (x) { default: f(); }\nexport const d = 1;",
    };
    expect(find("default-export", sources).map((line) => line.split(":")[0])).toEqual(["wire/a.ts", "wire/b.ts"]);
  });

  it("name marks of unfinished work", () => {
    const words = ["TO", "DO"].join("");
    expect(find("unfinished", { "wire/a.ts": `// ${words}: later\nconst a = 1;` })).toEqual([
      `wire/a.ts:1: // ${words}: later`,
    ]);
  });

  it("name a tool that reaches past the public subpaths", () => {
    const sources = new Map([
      [
        "commands/a.ts",
        'import "ts-micro";\nimport "ts-micro/errors";\nimport "ts-micro/internal/x";\nimport "../../../ts-micro/src/x.ts";\nimport "../b.ts";',
      ],
    ]);
    expect(findToolViolations(sources, new Set([".", "./errors"]))).toEqual([
      "commands/a.ts:3: ts-micro/internal/x",
      "commands/a.ts:4: ../../../ts-micro/src/x.ts",
    ]);
  });
});
