// npm run bench:docs [-- FILE...]: docs/benchmarks.md from bench/results.json. Files are taken as the new results first: the first is shown
// whole, with what others of the same Node and machine add to it (merge.mjs); of each other run its goals.
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { withMore } from "./merge.mjs";
import { page } from "./report.mjs";

const at = (path) => fileURLToPath(new URL(path, import.meta.url));
const read = (file) => JSON.parse(readFileSync(file, "utf8"));

const given = process.argv.slice(2).map(read);
if (given.length > 0) {
  const [first, ...more] = given;
  const others = [];
  let results = first;
  for (const each of more) {
    const whole = withMore(results, each);
    if (whole === undefined) others.push(each);
    else results = whole;
  }
  writeFileSync(at("results.json"), `${JSON.stringify({ ...results, others })}\n`);
}
writeFileSync(at("../docs/benchmarks.md"), page(read(at("results.json"))));
