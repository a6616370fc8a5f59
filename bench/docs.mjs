// npm run bench:docs [-- FILE...]: docs/benchmarks.md from bench/results.json. Files are taken as the new results first. Those of one Node
// (a run for each way of pinning) are put together; of Nodes other than the first file's the goals are shown.
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { page } from "./report.mjs";

const at = (path) => fileURLToPath(new URL(path, import.meta.url));
const read = (file) => JSON.parse(readFileSync(file, "utf8"));

const together = (node) => {
  const all = given.filter((each) => each.node === node);
  return Object.assign({}, ...all, { runs: all.flatMap(({ runs }) => runs) });
};

const given = process.argv.slice(2).map(read);
if (given.length > 0) {
  const [results, ...others] = [...new Set(given.map(({ node }) => node))].map(together);
  writeFileSync(at("results.json"), `${JSON.stringify({ ...results, others })}\n`);
}
writeFileSync(at("../docs/benchmarks.md"), page(read(at("results.json"))));
