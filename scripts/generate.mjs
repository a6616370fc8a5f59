// npm run generate: writes what follows from the files that there are, so that a new driver edits no index. `--check` only says what differs.
// - packages/ts-micro/src/drivers.ts: which drivers can be chosen by name, each behind import()
// - "exports" of packages/ts-micro/package.json: one line per public module
// - the table of drivers in README.md and the list of pages in docs/README.md, each between its two marks
import { existsSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { root, runNode, tools } from "./lib/run.mjs";

const home = `${root}/packages/ts-micro`;
const src = `${home}/src`;

/** Concerns that have drivers, in the order of the documentation. */
const concerns =
  "registry protocol transport codec selector broker events store cache sync config auth runtime logger".split(" ");
/** Floor 4: users reach these through the front door. */
const composition = new Set(
  "assemble call connect core flags function group lazy protocol-names service settings".split(" "),
);
/** Folders of engines whose modules are all for users. */
const publicEngines = ["interceptors", "gateway", "web"];
/** Folders of engines whose modules are ours, but for those with `@public` in their first comment. */
const privateEngines = ["client", "server", "debug"];

const byText = (a, b) => (a < b ? -1 : 1);
const textOf = (path) => readFileSync(path, "utf8");
const modulesOf = (folder) =>
  existsSync(`${src}/${folder}`)
    ? readdirSync(`${src}/${folder}`, { withFileTypes: true })
        .filter((entry) => entry.isFile() && entry.name.endsWith(".ts"))
        .map((entry) => entry.name.slice(0, -3))
        .toSorted(byText)
    : [];

/** `registry` → `Registry`: the type of a concern's contract, if its drivers do not say another. */
const contractOf = (concern) => concern[0].toUpperCase() + concern.slice(1);

/** Whether a module in a driver folder is for users: a driver, a wrapper around one, or filters. Everything else there is a helper. */
function isComponent(concern, path) {
  const text = textOf(`${src}/${path}.ts`);
  const contract = contractOf(concern);
  const makers = text.matchAll(/^export (?:async )?function (\w+)(?:<[^(]*>)?\([\s\S]*?\): (\w+)/gm);
  return (
    /^export const driver\b/m.test(text) ||
    [...makers].some(([, name, made]) => name.endsWith(contract) || made === contract || made === "Filter")
  );
}

/** The concerns with the drivers that can be chosen by name, and the type that each driver makes. */
export function driversByConcern() {
  return concerns.flatMap((concern) => {
    const found = modulesOf(concern).flatMap((name) => {
      const made = /^export const driver\b(?:\s*:\s*Driver<(\w+)>)?/m.exec(textOf(`${src}/${concern}/${name}.ts`));
      return made ? [{ name, type: made[1] }] : [];
    });
    if (found.length === 0) return [];
    const types = new Set(found.flatMap(({ type }) => type ?? []));
    if (types.size > 1)
      throw new Error(`the drivers in src/${concern}/ make different things: ${[...types].join(", ")}`);
    return [
      {
        concern,
        type: [...types][0] ?? contractOf(concern),
        names: found.map(({ name }) => name),
      },
    ];
  });
}

function driversModule() {
  const tables = driversByConcern();
  const key = (name) => (/^[a-z]\w*$/i.test(name) ? name : JSON.stringify(name));
  const imports = tables.map(({ concern, type }) => ({
    path: `./${concern}.ts`,
    line: `import type { ${type} } from "./${concern}.ts";`,
  }));
  imports.push({ path: "./internal/driver.ts", line: 'import type { Driver } from "./internal/driver.ts";' });
  imports.push({
    path: "./internal/load-driver.ts",
    line: 'import { loadFrom, type DriverTable } from "./internal/load-driver.ts";',
  });
  return `// Written by \`npm run generate\` from the driver folders.
${imports
  .toSorted((a, b) => byText(a.path, b.path))
  .map(({ line }) => line)
  .join("\n")}

export type { Driver } from "./internal/driver.ts";

/** The concerns whose component can be chosen by name, and what each is. */
export interface Concerns {
${tables.map(({ concern, type }) => `  readonly ${concern}: ${type};`).join("\n")}
}

const tables: { readonly [C in keyof Concerns]: DriverTable<Concerns[C]> } = {
${tables
  .map(
    ({ concern, names }) =>
      `  ${concern}: {\n${names.map((name) => `    ${key(name)}: () => import("./${concern}/${name}.ts"),`).join("\n")}\n  },`,
  )
  .join("\n")}
};

/** The names that {@link loadDriver} knows for a concern. */
export function driverNames(concern: keyof Concerns): string[] {
  return Object.keys(tables[concern]);
}

/**
 * A driver by its name (\`MICRO_REGISTRY=etcd\`), loaded when it is asked for. A name that looks like a package or a path (\`@acme/x\`,
 * \`./x.js\`) is imported as it is and must export \`driver\` too. NOT_FOUND lists the names; PACKAGE_MISSING says what to install.
 */
export function loadDriver<C extends keyof Concerns>(concern: C, name: string): Promise<Driver<Concerns[C]>> {
  return loadFrom(concern, tables[concern] as DriverTable<Concerns[C]>, name);
}
`;
}

/** One line per public module: \`"./registry/etcd": "./dist/registry/etcd.js"\`. Types are found beside the module. */
function exportsMap() {
  const marked = (path) => /^\s*\/\*\*(?:(?!\*\/)[\s\S])*@public/.test(textOf(`${src}/${path}.ts`));
  const of = (folder) => modulesOf(folder).map((name) => `${folder}/${name}`);
  const paths = [
    "drivers",
    ...modulesOf(".").filter((name) => name !== "index" && name !== "drivers" && !composition.has(name)),
    ...concerns.flatMap((concern) => of(concern).filter((path) => isComponent(concern, path) || marked(path))),
    ...publicEngines.flatMap(of),
    ...privateEngines.flatMap(of).filter(marked),
    ...of("testing"),
  ].toSorted(byText);
  return {
    ".": "./dist/index.js",
    ...Object.fromEntries(paths.map((path) => [`./${path}`, `./dist/${path}.js`])),
    "./internal/*": null,
    "./package.json": "./package.json",
  };
}

const manifest = JSON.parse(textOf(`${home}/package.json`));
const outputs = [
  { path: `${src}/drivers.ts`, text: driversModule() },
  {
    path: `${home}/package.json`,
    text: `${JSON.stringify({ ...manifest, exports: exportsMap() }, undefined, 2)}\n`,
    sameAs: (now) => JSON.stringify(JSON.parse(now)),
  },
  ...between("README.md", "drivers", driverRows()),
  ...between("docs/README.md", "pages", pageLinks()),
];

/** A page with the text between `<!-- name -->` and `<!-- /name -->` written anew; nothing when it has no such marks. */
function between(page, name, lines) {
  const path = `${root}/${page}`;
  const marks = new RegExp(`(<!-- ${name} -->\\n)[\\s\\S]*?(<!-- /${name} -->)`);
  if (!existsSync(path) || !marks.test(textOf(path))) return [];
  return [{ path, text: textOf(path).replace(marks, (_, open, close) => `${open}${lines.join("\n")}\n${close}`) }];
}

/** A row for each concern, with the modules to import: drivers, wrappers, filters. */
function driverRows() {
  const rows = concerns.flatMap((concern) => {
    const names = modulesOf(concern).filter((name) => isComponent(concern, `${concern}/${name}`));
    return names.length > 0
      ? [`| [${concern}](docs/${concern}.md) | ${names.map((name) => `\`${name}\``).join(" ")} |`]
      : [];
  });
  return ["| concern | `ts-micro/<concern>/…` |", "|---|---|", ...rows];
}

/** A link to each page below docs/ by its heading: first those of docs/ itself, then folder by folder. */
function pageLinks() {
  if (!existsSync(`${root}/docs`)) return [];
  const pages = readdirSync(`${root}/docs`, { recursive: true }).filter(
    (page) => page.endsWith(".md") && page !== "README.md",
  );
  const depth = (page) => page.split("/").length;
  return pages
    .toSorted((a, b) => depth(a) - depth(b) || byText(a, b))
    .map((page) => `- [${/^# (.+)$/m.exec(textOf(`${root}/docs/${page}`))?.[1] ?? page}](${page})`);
}

const check = process.argv.includes("--check");
let stale = false;
for (const { path, text, sameAs = (now) => now } of outputs) {
  const now = existsSync(path) ? textOf(path) : "";
  if (now !== "" && sameAs(now) === sameAs(text)) continue;
  stale = true;
  const name = path.slice(root.length + 1);
  if (!check) {
    writeFileSync(path, text);
    if (!path.endsWith(".md")) await runNode(tools.oxfmt, [path], { quiet: true });
  }
  console.log(check ? `not up to date: ${name} (npm run generate)\n${difference(now, text)}` : `written: ${name}`);
}
process.exitCode = check && stale ? 1 : 0;

/** The lines that one text has and the other has not. */
function difference(now, wanted) {
  const [before, after] = [now.split("\n"), wanted.split("\n")];
  const lines = [
    ...before.filter((line) => !after.includes(line)).map((line) => `- ${line}`),
    ...after.filter((line) => !before.includes(line)).map((line) => `+ ${line}`),
  ];
  return lines.slice(0, 20).join("\n");
}
