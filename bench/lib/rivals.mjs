import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { run } from "../../scripts/lib/run.mjs";

const here = fileURLToPath(new URL("..", import.meta.url));
const versions = (file) =>
  Object.entries(JSON.parse(readFileSync(`${here}${file}`, "utf8")).packages)
    .filter(([path, { optional, peer }]) => path !== "" && !optional && !peer)
    .map(([path, { version }]) => `${path}@${version}`);

/** The others' packages as the lock file of this folder says, into this folder's node_modules. */
export async function installRivals() {
  if (existsSync(`${here}node_modules/.package-lock.json`)) {
    const present = new Set(versions("node_modules/.package-lock.json"));
    if (versions("package-lock.json").every((each) => present.has(each))) return;
  }
  console.log("npm install (the peers of the bench)");
  const { code, output } = await run("npm", ["install", "--no-save", "--no-audit", "--no-fund"], {
    cwd: here,
    quiet: true,
    minutes: 10,
  });
  // Who is missing is reported as not available.
  if (code !== 0) console.error(output.trimEnd());
}
