import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { beforeAll, describe, expect, it } from "vitest";
import { compilerOptions, faultsIn } from "./program.ts";

const folder = fileURLToPath(new URL(".", import.meta.url));
const files = readdirSync(folder).filter((file) => file.endsWith(".test-d.ts"));

describe("what users' programs may and may not say", () => {
  let program: ts.Program;
  beforeAll(() => {
    program = ts.createProgram(
      files.map((file) => folder + file),
      compilerOptions(),
    );
  });

  it("is written down", () => {
    expect(files).not.toEqual([]);
  });

  it.each(files)(
    "holds in %s",
    (file) => {
      expect(faultsIn(program, [folder + file])).toEqual([]);
    },
    60_000,
  );
});
