import ts from "typescript";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { run } from "../../../scripts/lib/run.mjs";
import { blocksOf, pages, readPage, wayOf, type Block } from "./docs/pages.ts";
import { PageWorld } from "./docs/world.ts";
import { root } from "./support/public.ts";
import { compilerOptions, faultsIn } from "./types/program.ts";

const all = new Map(pages().map((page) => [page, readPage(page)]));
const have = (ways: readonly Block["way"][]): string[] =>
  [...all].filter(([, blocks]) => blocks.some(({ way }) => ways.includes(way))).map(([page]) => page);

/** Blocks that nobody executes, each with its reason. A new one is written down here as well. */
const notRun: readonly string[] = [
  "README.md: examples/examples.test.ts runs this",
  "README.md: interop/one-port.test.ts and examples/examples.test.ts start it",
  "README.md: interop/one-port.test.ts runs this against the service above",
  "README.md: needs the package registry",
  "docs/adding-a-driver.md: there is no Acme",
  "docs/adding-a-driver.md: there is no Acme",
  "docs/cli.md: a session; packages/cli/test/commands.test.ts runs these commands",
  "docs/protobuf.md: examples/protobuf/main.ts, which examples/examples.test.ts runs",
  "docs/protobuf.md: packages/protoc-gen-micro/test/generated.test.ts does this",
  "docs/web-clients.md: the code of your protobuf file",
  "interop/README.md: the tests of this folder; interop/matrix.test.ts looks at what is said of them",
  "packages/cli/README.md: needs the package registry",
  "packages/protoc-gen-micro/README.md: needs the package registry",
  "packages/protoc-gen-micro/README.md: packages/protoc-gen-micro/test/readme.test.ts generates what it imports, compiles and runs it",
  "packages/ts-micro/README.md: needs the package registry",
];

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

const worlds = new Map<string, PageWorld>();
beforeAll(async () => {
  // The micro command is run as built.
  await run(process.execPath, [`${root}scripts/build.mjs`], { quiet: true });
  for (const [page, blocks] of all) worlds.set(page, new PageWorld(blocks));
}, 300_000);
afterAll(async () => {
  for (const world of worlds.values()) await world[Symbol.asyncDispose]();
});

describe("the documentation's code", () => {
  it("that is not executed is known, with its reason", () => {
    const said = [...all].flatMap(([page, blocks]) =>
      blocks.filter(({ way }) => way === "none").map(({ reason }) => `${page}: ${reason}`),
    );
    expect(said.toSorted()).toEqual(notRun.toSorted());
  });

  it("that is data can be parsed", () => {
    const wrong = [...all.values()].flat().filter(({ way, text }) => way === "data" && !isJson(text));
    expect(wrong.map(({ page, line }) => `${page}:${line}`)).toEqual([]);
  });

  it("says of no output what it comes from another way than right after it", () => {
    const lost = [...all.values()].flatMap((blocks) =>
      blocks.filter(({ way }, at) => way === "output" && !["run", "sh"].includes(blocks[at - 1]?.way ?? "")),
    );
    expect(lost.map(({ page, line }) => `${page}:${line}`)).toEqual([]);
  });

  describe("compiles under a strict user's options", () => {
    let program: ts.Program;
    const files = (page: string): string[] => {
      const world = worlds.get(page) as PageWorld;
      return [...world.files.values()].map((file) => `${world.folder}/${file}`);
    };
    beforeAll(() => {
      program = ts.createProgram([...worlds.keys()].flatMap(files), compilerOptions());
    }, 120_000);

    it.each(have(["check", "run"]))(
      "in %s",
      (page) => {
        const { folder } = worlds.get(page) as PageWorld;
        expect(faultsIn(program, files(page)).map((fault) => fault.replace(`${folder}/`, ""))).toEqual([]);
      },
      120_000,
    );
  });

  describe.concurrent("does what it says when it is run", () => {
    it.each(have(["run", "sh", "service"]))(
      "in %s",
      async (page) => {
        const blocks = all.get(page) as Block[];
        const world = worlds.get(page) as PageWorld;
        for (const [at, block] of blocks.entries()) {
          const where = `${page}:${block.line}`;
          if (block.way === "service") await world.serve(block);
          if (block.way !== "run" && block.way !== "sh") continue;
          const { code, stdout, stderr } = await world.run(block);
          expect(code, `${where}\n${stdout}${stderr}`).toBe(0);
          const next = blocks[at + 1];
          if (next?.way === "output") expect(stdout, where).toBe(next.text);
        }
        for (const { code, stderr } of await world.end()) expect(code, stderr).toBe(0);
      },
      180_000,
    );
  });
});

describe("the reader of pages", () => {
  it("finds blocks with their line, language and file", () => {
    const [first, second] = blocksOf("x.md", "a\n\n```ts\n// main.ts  shown\nlet a;\n```\n- b\n  ```sh\n  ls\n  ```\n");
    expect(first).toMatchObject({
      line: 4,
      language: "ts",
      way: "check",
      file: "main.ts",
      text: "// main.ts  shown\nlet a;\n",
    });
    expect(second).toMatchObject({ line: 9, way: "sh", text: "ls\n" });
  });

  it("refuses a block that says nothing known, gives no reason or does not end", () => {
    for (const info of ["", "js", "ts rn", "ts no-run:", "bash", "text no-run: x"])
      expect(() => wayOf(info), info).toThrow("one of");
    expect(() => blocksOf("x.md", "```ts\nlet a;\n")).toThrow("without an end");
  });
});
