// What `npm install` of a peer brings: packages and bytes, of ours as packed, of the others as they lie in this folder's node_modules.
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { fileURLToPath } from "node:url";
import { pack, unpack } from "../../scripts/lib/pack.mjs";

const here = fileURLToPath(new URL("..", import.meta.url));

const bytesIn = (folder, skip) =>
  readdirSync(folder, { withFileTypes: true }).reduce((sum, entry) => {
    if (entry.name === skip) return sum;
    const path = `${folder}/${entry.name}`;
    return sum + (entry.isDirectory() ? bytesIn(path, skip) : statSync(path).size);
  }, 0);

function ours() {
  const folder = mkdtempSync(`${tmpdir()}/tsb-`);
  try {
    const home = unpack(pack("ts-micro", folder).tarball, folder, "ts-micro");
    const { dependencies = {} } = JSON.parse(readFileSync(`${home}/package.json`, "utf8"));
    return { packages: 1 + Object.keys(dependencies).length, bytes: bytesIn(home) };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The named packages and all that they depend on, by the lock file. */
function others(names) {
  const { packages } = JSON.parse(readFileSync(`${here}package-lock.json`, "utf8"));
  const found = new Set();
  const add = (name, from) => {
    for (let at = from; ; at = at.slice(0, Math.max(0, at.lastIndexOf("node_modules/") - 1))) {
      const path = `${at === "" ? "" : `${at}/`}node_modules/${name}`;
      const entry = packages[path];
      if (entry !== undefined) {
        if (found.has(path)) return;
        found.add(path);
        for (const next of Object.keys(entry.dependencies ?? {})) add(next, path);
        return;
      }
      if (at === "") return;
    }
  };
  for (const name of names) add(name, "");
  return {
    packages: found.size,
    bytes: [...found].reduce((sum, path) => sum + bytesIn(`${here}${path}`, "node_modules"), 0),
  };
}

/** Of one peer's `install`. */
export const installOf = (names) => (names.includes("ts-micro") ? ours() : others(names));
