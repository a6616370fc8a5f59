// npm run bench:docs [-- FILE...]: docs/benchmarks.md from bench/results.json. Files are taken as the new results first; those of several
// (a run for each way of pinning) are put together.
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { page } from "./report.mjs";

const at = (path) => fileURLToPath(new URL(path, import.meta.url));
const read = (file) => JSON.parse(readFileSync(file, "utf8"));

const given = process.argv.slice(2).map(read);
if (given.length > 0) {
  const results = Object.assign({}, ...given, { runs: given.flatMap(({ runs }) => runs) });
  writeFileSync(at("results.json"), `${JSON.stringify(results)}\n`);
}
writeFileSync(at("../docs/benchmarks.md"), page(read(at("results.json"))));
