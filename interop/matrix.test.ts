/** The page of the matrix says what there is. Needs no Go. */
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { expect, test } from "vitest";

const read = (name: string): string => readFileSync(new URL(name, import.meta.url), "utf8");
const page = read("README.md");
const rows = [...page.matchAll(/^\| (\d+)(?:–\d+)? \|[^|]*\|[^|]*\| (green|fault|next issue) \|([^|]*)\|/gm)].map(
  ([, row = "", state = "", files = ""]) => ({ row, state, files: files.split(",").map((file) => file.trim()) }),
);

test("every row that is said to be tried has a test of its number in each file that it names", () => {
  expect(rows.length).toBeGreaterThan(60);
  const without = rows
    .filter(({ state }) => state !== "next issue")
    .flatMap(({ row, files }) =>
      files
        .filter((file) => !new RegExp(`\\brow ${row} `).test(read(`${file}.test.ts`)))
        .map((file) => `row ${row} in ${file}`),
    );
  expect(without).toEqual([]);
});

test("every row that callers and callees are told of is green", () => {
  const cells = [...page.matchAll(/^\| [GT]→[GT] \w+ \|(.*)\|$/gm)].flatMap(
    ([, text = ""]) => text.match(/\d+/g) ?? [],
  );
  expect(cells.length).toBeGreaterThan(25);
  const green = new Set(rows.filter(({ state }) => state === "green").map(({ row }) => row));
  expect(cells.filter((row) => !green.has(row))).toEqual([]);
});

test("the files and switches that the page names are there", () => {
  const table = /\| file \| what it is \|\n([\s\S]*?)\n\n/.exec(page)?.[1] ?? "";
  const named = table.split("\n").flatMap((line) => {
    const words = [...(line.split("|")[1] ?? "").matchAll(/`([^`]+)`/g)].map(([, word = ""]) => word);
    const end = words.at(-1)?.startsWith(".") === true ? words.pop() : "";
    return words.map((word) => word + end);
  });
  expect(named.length).toBeGreaterThan(20);
  expect(named.filter((name) => !existsSync(new URL(name, import.meta.url)))).toEqual([]);
  const files = readdirSync(new URL(".", import.meta.url)).filter((name) => name.endsWith(".ts"));
  const sources = files.map(read).join("\n");
  const switches = page.match(/\bTS_MICRO_\w+/g) ?? [];
  expect(switches.filter((name) => !sources.includes(`"${name}"`))).toEqual([]);
});
