import ts from "typescript";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readPage, type Block } from "../../ts-micro/test/docs/pages.ts";
import { PageWorld } from "../../ts-micro/test/docs/world.ts";
import { compilerOptions, faultsIn } from "../../ts-micro/test/types/program.ts";
import { built, filesIn, hasProtoc } from "./world.ts";

// What it shows is generated first, so that the documentation's own test cannot compile it with all others.
describe.skipIf(!hasProtoc)("the README", () => {
  const blocks = readPage("packages/protoc-gen-micro/README.md").map((block): Block =>
    block.language === "ts" ? Object.assign(block, { way: "run" as const }) : block,
  );
  const world = new PageWorld(blocks);
  beforeAll(built, 120_000);
  afterAll(() => world[Symbol.asyncDispose]());

  it("generates, compiles under strict flags and runs as it is printed", async () => {
    for (const block of blocks.filter(({ way }) => way === "sh"))
      expect(await world.run(block)).toMatchObject({ code: 0 });
    const files = [...world.files.values(), ...[...filesIn(`${world.folder}/gen`).keys()].map((name) => `gen/${name}`)];
    expect(files).toContain("gen/greeter_micro.ts");
    const paths = files.map((file) => `${world.folder}/${file}`);
    expect(faultsIn(ts.createProgram(paths, compilerOptions()), paths)).toEqual([]);
    for (const block of world.files.keys())
      expect(await world.run(block)).toMatchObject({ code: 0, stdout: "Hello Ada\n" });
  }, 120_000);
});
