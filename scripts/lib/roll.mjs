// What of ts-micro is published: dist/ mirrors src/ file by file, but what is loaded together is one file: by `import "ts-micro"` front.js, by the start of a
// service start.js (and default-registry.js), by a first call first-call.js, by the first connection of a kind fast.js, mucp.js, http.js and grpc.js, by the first descriptor protobuf.js. A file costs Node's loader more than the code in it (docs/architecture.md, "Built"). Comments of code, and declarations that nobody can reach, stay here.
import { copyFileSync, existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { dirname, isAbsolute, posix } from "node:path";

const of = (paths) => new RegExp(`[\\\\/]src[\\\\/](${paths.replaceAll("/", "[\\\\/]")})\\.ts$`);
const groups = [
  { name: "front", test: of("index") },
  { name: "start", test: of("core") },
  { name: "default-registry", test: of("registry/(mdns|multi)") },
  { name: "fast", test: of("protocol/fast/acceptor") },
  { name: "first-call", test: of("call|protocol/(fast|mucp|grpc|http)/peer|transport/http/client") },
  { name: "mucp", test: of("protocol/mucp/(server|exchange)|transport/http/server") },
  { name: "http", test: of("protocol/http/(acceptor|call)") },
  { name: "grpc", test: of("protocol/grpc/server|backends/http2/node") },
  { name: "protobuf", test: of("codec/protobuf/messages") },
];

/** Writes the JavaScript of the package in `folder` into its dist/, and names the files. */
export async function rollCode(folder) {
  // Not at once: the scripts that import this file are also what installs it.
  const [{ rolldown }, { parseAst }] = await Promise.all([import("rolldown"), import("rolldown/parseAst")]);
  const src = `${folder}/src`;
  const sources = readdirSync(src, { recursive: true, encoding: "utf8" }).filter((file) => /(?<!\.d)\.ts$/.test(file));
  const bundle = await rolldown({
    // Each source is an entry: no module is there twice, and each has its own path.
    input: Object.fromEntries(sources.map((file) => [file.slice(0, -".ts".length), `${src}/${file}`])),
    platform: "node",
    external: (id) => !id.startsWith(".") && !isAbsolute(id),
    preserveEntrySignatures: "strict",
    transform: { target: "es2023" },
    // A driver that the core uses anyway is in its file, whether it is also chosen by name or not.
    checks: { ineffectiveDynamicImport: false },
    experimental: { attachDebugInfo: "none" },
  });
  const { output } = await bundle.write({
    dir: `${folder}/dist`,
    format: "esm",
    entryFileNames: "[name].js",
    chunkFileNames: "[name].js",
    minifyInternalExports: false,
    comments: false,
    // With all that it imports.
    codeSplitting: {
      groups: groups.map(({ name, test }, i) => ({ name, test, priority: groups.length - i })),
    },
  });
  await bundle.close();
  for (const [name, code] of straight(new Map(output.map(({ fileName, code }) => [fileName, code]))))
    writeFileSync(`${folder}/dist/${name}`, lean(code, parseAst));
  return output.map(({ fileName }) => fileName);
}

/** Has what is loaded at run time load the file where it is, not the one that hands it on, which would be one more to find and to read. */
function straight(files) {
  const handsOn = new Map();
  for (const [name, code] of files) {
    const [, names, from] = /^export \{ ([^}]*) \} from "(\.[^"]+)";\n$/.exec(code) ?? [];
    if (names === undefined) continue;
    const pairs = names.split(", ").map((each) => each.split(" as "));
    handsOn.set(name, { file: posix.join(posix.dirname(name), from), pairs });
  }
  const rewrite = (name, code) =>
    code.replaceAll(/\bimport\("(\.[^"]+)"\)/g, (whole, path) => {
      const { file, pairs } = handsOn.get(posix.join(posix.dirname(name), path)) ?? {};
      if (file === undefined) return whole;
      const relative = posix.relative(posix.dirname(name), file);
      const direct = `import("${relative.startsWith(".") ? relative : `./${relative}`}")`;
      return pairs.every(([, renamed]) => renamed === undefined)
        ? direct
        : `${direct}.then((all) => ({ ${pairs.map(([own, as = own]) => `${as}: all.${own}`).join(", ")} }))`;
    });
  return [...files].map(([name, code]) => [name, rewrite(name, code)]);
}

/**
 * One character outside of Latin-1 would have V8 keep two bytes for each of the file: strings, templates, patterns and names take the escape
 * alike, but for what a tag sees of its template. Indentation, the spaces around most signs and what ends lines within a statement are 120 kB; a line
 * for each statement stays, and names, for stack traces.
 */
export function lean(code, parseAst) {
  const ascii = code
    .replaceAll(/[^\0-\x7f]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`)
    .replaceAll(/^\t+/gm, "");
  const shorter = tight(
    ascii,
    textsOf(parseAst(ascii)).toSorted(([a], [b]) => a - b),
  );
  const before = meaning(parseAst(code));
  if (meaning(parseAst(shorter)) !== before)
    throw new Error(
      "without indentation and in ASCII it would mean something else: a text has a line that begins with a tab, a backslash stands before a letter beyond ASCII, or a tag's template has one",
    );
  return shorter;
}

/**
 * Code without the spaces around signs, but for those that would run together with their neighbours, and without the
 * ends of lines that are no ends of statements, or the last of a block; `texts` are left as they are.
 */
function tight(code, texts) {
  let out = "";
  let at = 0;
  for (const [start, end] of [...texts, [code.length, code.length]]) {
    const between = code.slice(at, start).replaceAll(/ *([=!<>&|?:,;{}()[\]]+) */g, "$1");
    out += between.replaceAll(/;?\n(?=})|(?<=[{(,[])\n/g, "") + code.slice(start, end);
    at = end;
  }
  return out;
}

/** Where strings, patterns and the texts of templates stand. */
function textsOf(node, texts = []) {
  if (node === null || typeof node !== "object") return texts;
  const isText = node.type === "Literal" && (typeof node.value === "string" || node.regex !== undefined);
  if (isText || node.type === "TemplateElement") texts.push([node.start, node.end]);
  else for (const inner of Object.values(node)) textsOf(inner, texts);
  return texts;
}

/** A program without where things stand and how they were written. */
const meaning = (program) =>
  JSON.stringify(program, (key, value) => {
    if (value?.type === "TaggedTemplateExpression")
      return { ...value, seen: value.quasi.quasis.map((text) => text.value.raw) };
    if (typeof value === "bigint") return `${value}n`;
    if (key === "pattern" && typeof value === "string") return unescaped(value);
    return written.has(key) && typeof value !== "object" ? undefined : value;
  });
const written = new Set(["start", "end", "raw"]);
const unescaped = (pattern) =>
  pattern.replaceAll(/\\(?:u([0-9a-f]{4})|[^])/gi, (escape, code) =>
    code === undefined ? escape : String.fromCharCode(parseInt(code, 16)),
  );

/** Copies the public declarations, and those that they mention, from `emitted` into dist/, and names the files. */
export function copyTypes(folder, emitted) {
  const reached = new Set();
  const visit = (file) => {
    if (reached.has(file) || !existsSync(`${emitted}/${file}`)) return;
    reached.add(file);
    const text = readFileSync(`${emitted}/${file}`, "utf8");
    for (const [, path] of text.matchAll(/\b(?:from |import |import\()"(\.[^"]+)\.[jt]s"/g)) {
      visit(posix.join(posix.dirname(file), `${path}.d.ts`));
    }
  };
  for (const target of Object.values(JSON.parse(readFileSync(`${folder}/package.json`, "utf8")).exports)) {
    if (target?.endsWith(".js")) visit(target.replace("./dist/", "").replace(/\.js$/, ".d.ts"));
  }
  for (const file of reached) {
    mkdirSync(dirname(`${folder}/dist/${file}`), { recursive: true });
    copyFileSync(`${emitted}/${file}`, `${folder}/dist/${file}`);
  }
  return [...reached];
}
