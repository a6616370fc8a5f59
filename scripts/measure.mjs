// npm run measure: what `import "ts-micro"` adds to bare Node, from the package as npm would install it.
// Pairs of processes, one with and one without the import, run by turns, so that both see the same machine; medians of their differences.
// `npm run measure -- ts-micro/errors --pairs=31` measures other imports, with more pairs. `--json` prints the figures for programs.
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, readdirSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { build } from "./lib/build.mjs";
import { ensureInstalled } from "./lib/install.mjs";
import { pack, unpack } from "./lib/pack.mjs";
import { root } from "./lib/run.mjs";

const args = process.argv.slice(2);
const pairs = Math.max(15, Number(args.find((one) => one.startsWith("--pairs="))?.slice("--pairs=".length) ?? 21));
const named = args.filter((one) => !one.startsWith("--"));
const specifiers = named.length > 0 ? named : ["ts-micro"];

await ensureInstalled();
const unbuilt = await build();
if (unbuilt.length > 0) throw new Error(`does not compile: ${unbuilt.join(", ")}`);

const folder = mkdtempSync(`${tmpdir()}/ts-micro-measure-`);
process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
const { tarball, account } = pack("ts-micro", folder);
const home = unpack(tarball, folder, "ts-micro");
for (const name of Object.keys(JSON.parse(readFileSync(`${home}/package.json`, "utf8")).dependencies ?? {})) {
  symlinkSync(`${root}/node_modules/${name}`, `${folder}/node_modules/${name}`);
}
writeFileSync(
  `${folder}/hooks.mjs`,
  'import { writeSync } from "node:fs";\nexport const load = (url, context, next) => (writeSync(1, url + "\\n"), next(url, context));\n',
);
writeFileSync(
  `${folder}/count.mjs`,
  'import { register } from "node:module";\nregister("./hooks.mjs", import.meta.url);\n',
);

const script = (name, text) => {
  writeFileSync(
    `${folder}/${name}.mjs`,
    `${text}\nconsole.log(JSON.stringify([performance.now(), process.memoryUsage.rss()]));\n`,
  );
  return `${folder}/${name}.mjs`;
};

/** Milliseconds from the start of the process to the end of its imports, and its resident bytes then. */
const once = (file) => JSON.parse(execFileSync(process.execPath, [file], { encoding: "utf8" }));

const median = (values) => {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  return sorted.length % 2 === 1 ? sorted[Math.floor(middle)] : (sorted[middle - 1] + sorted[middle]) / 2;
};

function measure(specifier, n) {
  const bare = script("bare", "");
  const loaded = script(`import-${n}`, `import ${JSON.stringify(specifier)};`);
  once(bare);
  once(loaded);
  const runs = Array.from({ length: pairs }, (_, pair) => {
    // The one that goes first changes with each pair: what follows on another process may run warmer.
    const first = pair % 2 === 0 ? once(bare) : undefined;
    const with_ = once(loaded);
    const without = first ?? once(bare);
    return { ms: with_[0] - without[0], bytes: with_[1] - without[1], bare: without[0] };
  });
  const said = execFileSync(process.execPath, ["--no-warnings", "--import", `${folder}/count.mjs`, loaded], {
    encoding: "utf8",
  });
  return {
    import: specifier,
    bareMs: median(runs.map((one) => one.bare)),
    addedMs: median(runs.map((one) => one.ms)),
    addedMiB: median(runs.map((one) => one.bytes)) / 2 ** 20,
    files: said.split("\n").filter((url) => url.includes("/node_modules/")).length,
  };
}

const rows = specifiers.map(measure);
const installed = readdirSync(home, { recursive: true, encoding: "utf8" })
  .map((file) => statSync(`${home}/${file}`))
  .filter((stat) => stat.isFile());
const size = {
  files: installed.length,
  bytes: installed.reduce((sum, { size: bytes }) => sum + bytes, 0),
  tarball: account.size,
};

if (args.includes("--json")) {
  console.log(JSON.stringify({ node: process.versions.node, pairs, rows, size }));
} else {
  console.log(`Node ${process.versions.node}, medians of ${pairs} interleaved pairs`);
  console.table(
    Object.fromEntries(
      rows.map((row) => [
        row.import,
        {
          "bare Node, ms": row.bareMs.toFixed(1),
          "added ms": row.addedMs.toFixed(1),
          "added RSS, MiB": row.addedMiB.toFixed(1),
          "files loaded": row.files,
        },
      ]),
    ),
  );
  console.log(
    `package: ${(size.bytes / 1000).toFixed(0)} kB in ${size.files} files, ${(size.tarball / 1000).toFixed(0)} kB packed`,
  );
}
