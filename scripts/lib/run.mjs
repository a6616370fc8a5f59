// What all scripts share: where the repository is, how a command is run and how long things took.
import { spawn } from "node:child_process";
import { appendFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** The repository's root folder, without a slash at its end. */
export const root = fileURLToPath(new URL("../..", import.meta.url)).replace(/\/$/, "");

/** The public packages in the order in which they stand on each other. A folder without `src` is not built yet and is left out. */
export const packageNames = ["ts-micro", "protoc-gen-micro", "cli", "dashboard"];

/** The path of an installed development tool's script, to be run by this very Node. */
export const tool = (path) => `${root}/node_modules/${path}`;
export const tools = {
  tsc: tool("typescript/bin/tsc"),
  tsc7: tool("typescript-7/bin/tsc"),
  vitest: tool("vitest/vitest.mjs"),
  oxlint: tool("oxlint/bin/oxlint"),
  oxfmt: tool("oxfmt/bin/oxfmt"),
  knip: tool("knip/bin/knip.js"),
  attw: tool("@arethetypeswrong/cli/dist/index.js"),
};

const running = new Set();
for (const signal of ["SIGINT", "SIGTERM"]) {
  process.once(signal, () => {
    for (const child of running) killGroup(child, signal);
    process.kill(process.pid, signal);
  });
}

function killGroup(child, signal) {
  try {
    process.kill(-child.pid, signal);
  } catch {
    // It has ended already.
  }
}

/**
 * Runs a command in a process group of its own and waits for it. `quiet` collects the output instead of showing it.
 * After `minutes` (default 20: a limit against hanging, not a measure) the whole group is killed and the result is a failure.
 * @returns {Promise<{ code: number, output: string }>}
 */
export function run(command, args, { cwd = root, env = process.env, quiet = false, minutes = 20 } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      cwd,
      env,
      detached: true,
      stdio: ["ignore", quiet ? "pipe" : "inherit", quiet ? "pipe" : "inherit"],
    });
    running.add(child);
    let output = "";
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding("utf8");
      stream?.on("data", (text) => (output += text));
    }
    const limit = setTimeout(() => {
      output += `\nstopped: still running after ${minutes} minutes\n`;
      if (!quiet) console.error(`stopped: ${command} ${args.join(" ")} was still running after ${minutes} minutes`);
      killGroup(child, "SIGKILL");
    }, minutes * 60_000);
    child.once("error", reject);
    child.once("close", (code) => {
      clearTimeout(limit);
      running.delete(child);
      resolve({ code: code ?? 1, output });
    });
  });
}

/** Runs one of our Node tools with this Node. */
export const runNode = (script, args, options) => run(process.execPath, [script, ...args], options);

/** Runs `work` and returns its value and the seconds it took. */
export async function timed(work) {
  const from = performance.now();
  const value = await work();
  return { value, seconds: (performance.now() - from) / 1000 };
}

export const inSeconds = (seconds) => `${seconds.toFixed(1)} s`;

/** Adds one stage's counts to the file that `.ci/run` sums up, and what failed to the list that it ends with. Without it, nothing happens. */
export function record(stage, { passed, failed, skipped = 0 }, failures = []) {
  const file = process.env.TS_MICRO_RESULTS;
  if (!file) return;
  const name = stage.replaceAll(/\s/g, "-");
  appendFileSync(file, `${name} ${passed} ${failed} ${skipped}\n`);
  if (failures.length > 0)
    appendFileSync(`${file}.failed`, `${failures.map((one) => `FAILED ${name}: ${one}`).join("\n")}\n`);
}

/** The plain closing line of every script that counts. */
export function closing({ passed, failed }) {
  console.log(`${passed} passed, ${failed} failed`);
}
