// npm run bench:docs [-- FILE...]: docs/benchmarks.md from bench/results.json. Files are taken as the new results first: the first is shown
// whole, of each other run its goals.
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { page } from "./report.mjs";

const at = (path) => fileURLToPath(new URL(path, import.meta.url));
const read = (file) => JSON.parse(readFileSync(file, "utf8"));

const given = process.argv.slice(2).map(read);
if (given.length > 0) {
  const [results, ...others] = given;
  writeFileSync(at("results.json"), `${JSON.stringify({ ...results, others })}\n`);
}
writeFileSync(at("../docs/benchmarks.md"), page(read(at("results.json"))));
