import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { relative } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, describe, expect, it } from "vitest";
import { loadFrom, type DriverTable } from "../../src/internal/load-driver.ts";

interface Thing {
  readonly address: string | undefined;
}
const table: DriverTable<Thing> = {
  memory: () => Promise.resolve({ driver: { name: "memory", fromAddress: (address) => ({ address }) } }),
  local: () => Promise.reject(new Error("must not be loaded")),
};

const folder = mkdtempSync(`${tmpdir()}/ts-micro-drivers-`);
const file = (name: string, text: string): string => {
  writeFileSync(`${folder}/${name}`, text);
  return `${folder}/${name}`;
};
afterAll(() => rmSync(folder, { recursive: true }));

describe("a component chosen by name", () => {
  it("is loaded from the table, and nothing else of it is", async () => {
    const driver = await loadFrom("thing", table, "memory");
    expect(driver.fromAddress("127.0.0.1:1", {})).toEqual({ address: "127.0.0.1:1" });
  });

  it.each(["etcd", "toString", "__proto__", ""])(
    'is NOT_FOUND with the names that there are when it is called "%s"',
    async (name) => {
      await expect(loadFrom("thing", table, name)).rejects.toMatchObject({
        code: "NOT_FOUND",
        detail: expect.stringContaining("there are: memory, local"),
      });
    },
  );

  it("may be a file of the user's own, by path from the working directory, whole path or URL", async () => {
    const path = file("own.mjs", 'export const driver = { name: "own", fromAddress: (address) => ({ address }) };');
    for (const name of [path, `./${relative(process.cwd(), path)}`, pathToFileURL(path).href]) {
      expect((await loadFrom("thing", table, name)).fromAddress("x", {})).toEqual({ address: "x" });
    }
  });

  it.each([
    ["nothing", "export {};"],
    ["a driver without fromAddress", 'export const driver = { name: "x" };'],
    ["a driver that is null", "export const driver = null;"],
  ])("is BAD_REQUEST when its module exports %s", async (what, text) => {
    const path = file(`${what.replaceAll(" ", "-")}.mjs`, text);
    await expect(loadFrom("thing", table, path)).rejects.toMatchObject({
      code: "BAD_REQUEST",
      detail: expect.stringContaining(path),
    });
  });

  it("is PACKAGE_MISSING with the command to install it when the package is not there", async () => {
    await expect(loadFrom("thing", table, "@acme/not-there")).rejects.toMatchObject({
      code: "PACKAGE_MISSING",
      detail: expect.stringContaining("npm install @acme/not-there"),
    });
  });

  it("is PACKAGE_MISSING with its whole path when the file is not there", async () => {
    await expect(loadFrom("thing", table, `${folder}/gone.mjs`)).rejects.toMatchObject({
      code: "PACKAGE_MISSING",
      detail: expect.stringContaining(`${folder}/gone.mjs`),
    });
  });

  it("is INTERNAL, not missing, when it is there but does not load, with the cause", async () => {
    const path = file("broken.mjs", 'import "./something-else-gone.mjs";');
    await expect(loadFrom("thing", table, path)).rejects.toMatchObject({ code: "INTERNAL", cause: expect.any(Error) });
  });
});
