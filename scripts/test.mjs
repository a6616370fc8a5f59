// npm test: installs and builds what is missing, runs vitest, and closes with "N passed, N failed".
// Arguments go to vitest (`npm test -- packages/ts-micro/test/wire -t "name"`), except --suite=full|short|smoke (what runs on which Node).
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { build } from "./lib/build.mjs";
import { ensureInstalled } from "./lib/install.mjs";
import { closing, inSeconds, record, root, runNode, timed, tools } from "./lib/run.mjs";
import { suites } from "./lib/suites.mjs";

const own = process.argv.slice(2).filter((argument) => argument.startsWith("--suite="));
const rest = process.argv.slice(2).filter((argument) => !own.includes(argument));
const suiteName = own[0]?.slice("--suite=".length) ?? "full";
const suite = suites[suiteName];
if (!suite) throw new Error(`no suite "${suiteName}"; there are ${Object.keys(suites).join(", ")}`);

/** Counts of vitest's report. A file that does not load, and an error outside of any test, count as one failure each. */
function count(report, exitCode) {
  const unloaded = report.testResults.filter((file) => file.status === "failed" && file.assertionResults.length === 0);
  for (const file of unloaded) console.error(`does not load: ${file.name.replace(`${root}/`, "")}`);
  const failed = report.numFailedTests + unloaded.length;
  const skipped = report.numPendingTests + report.numTodoTests;
  return { passed: report.numPassedTests, failed: failed === 0 && exitCode !== 0 ? 1 : failed, skipped };
}

/** One line for each failed test: file, name, the first line of its error. */
const failures = (report) =>
  report.testResults.flatMap((file) => {
    const ofFile =
      file.assertionResults.length === 0 && file.status === "failed"
        ? [{ title: "does not load", message: file.message }]
        : [];
    const ofTests = file.assertionResults
      .filter((test) => test.status === "failed")
      .map(({ fullName, failureMessages: [message = ""] }) => ({ title: fullName, message }));
    return [...ofFile, ...ofTests].map(
      ({ title, message }) => `${file.name.replace(`${root}/`, "")}: ${title}: ${message.split("\n")[0].slice(0, 300)}`,
    );
  });

function readReport(file) {
  try {
    return JSON.parse(readFileSync(file, "utf8"));
  } catch {
    return undefined;
  }
}

await ensureInstalled();
const unbuilt = await build();
if (unbuilt.length > 0) console.error(`does not compile: ${unbuilt.join(", ")}`);

const folder = mkdtempSync(`${tmpdir()}/ts-micro-test-`);
const report = `${folder}/report.json`;
const args = ["run", ...suite.only, ...suite.without.map((glob) => `--exclude=${glob}`), ...rest];
const { value, seconds } = await timed(() =>
  runNode(tools.vitest, [...args, "--reporter=default", "--reporter=json", `--outputFile.json=${report}`], {
    minutes: 40,
  }),
);
const read = readReport(report);
rmSync(folder, { recursive: true });

const failed = read ? failures(read) : [];
const counts = read ? count(read, value.code) : { passed: 0, failed: 1, skipped: 0 };
if (!read) console.error(`vitest left no report (exit ${value.code})`);
counts.failed += unbuilt.length;
if (counts.passed + counts.failed === 0) {
  console.error("no test ran");
  counts.failed = 1;
}
if (counts.skipped > 0) console.log(`skipped: ${counts.skipped}`);
console.log(`test (${suiteName}, Node ${process.versions.node}): ${inSeconds(seconds)}`);
record(`test-${suiteName}-node${process.versions.node}`, counts, failed);
closing(counts);
process.exitCode = counts.failed > 0 || value.code !== 0 ? 1 : 0;
