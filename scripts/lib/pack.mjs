// Packs a package as npm publishes it, and lays it out as an installed one, without a registry.
import { execFileSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { root } from "./run.mjs";

/** Packs `packages/<name>` into `folder` and returns the tarball's path and npm's account of it. */
export function pack(name, folder) {
  mkdirSync(folder, { recursive: true });
  const said = execFileSync("npm", ["pack", "--json", "--silent", "--pack-destination", folder], {
    cwd: `${root}/packages/${name}`,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "pipe"],
  });
  const report = JSON.parse(said);
  // npm 10 and 11 give a list, later ones an object by package name.
  const account = Array.isArray(report) ? report[0] : Object.values(report)[0];
  return { tarball: `${folder}/${account.filename.replace("@", "").replace("/", "-")}`, account };
}

/** Unpacks a tarball into `folder/node_modules/<name>`, as npm would for a package without dependencies. */
export function unpack(tarball, folder, name) {
  const target = `${folder}/node_modules/${name}`;
  mkdirSync(target, { recursive: true });
  execFileSync("tar", ["-xzf", tarball, "-C", target, "--strip-components=1"]);
  return target;
}
