// Installs what package-lock.json says, when it is not there: so that `npm test` and `npm run demo` work right after a clone.
import { existsSync, readFileSync } from "node:fs";
import { inSeconds, root, run, timed } from "./run.mjs";

const json = (path) => JSON.parse(readFileSync(`${root}/${path}`, "utf8"));

/** What is missing or has another version than the lock file says; undefined when all is in place. */
function installFault() {
  if (!existsSync(`${root}/node_modules/.package-lock.json`)) return "node_modules is missing";
  if (!existsSync(`${root}/package-lock.json`)) return undefined;
  const wanted = json("package-lock.json").packages;
  const present = json("node_modules/.package-lock.json").packages;
  for (const [path, entry] of Object.entries(wanted)) {
    if (path === "" || entry.optional || entry.devOptional || entry.peer) continue;
    const found = present[path];
    if (!found) return `${path} is not installed`;
    if (found.version !== entry.version) return `${path} is ${found.version}, not ${entry.version}`;
    if (!existsSync(`${root}/${path}`)) return `${path} is gone`;
  }
  return undefined;
}

/**
 * Makes node_modules what the lock file says, and makes sure that it is. Not by `npm ci`: that refuses a lock file without the binaries of
 * every platform, which a registry that lacks some of them cannot give. Throws with npm's own words above when it fails.
 */
export async function ensureInstalled() {
  const fault = installFault();
  if (fault === undefined) return;
  console.log(`npm install (${fault})`);
  const args = ["install", "--no-save", "--include=dev", "--no-audit", "--no-fund"];
  const { value, seconds } = await timed(() => run("npm", args, { minutes: 10 }));
  console.log(`npm install: ${inSeconds(seconds)}`);
  const left = installFault();
  if (value.code !== 0 || left !== undefined) throw new Error(`npm install failed: ${left ?? `exit ${value.code}`}`);
}
