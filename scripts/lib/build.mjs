// Builds the packages with tsc alone: dist/ mirrors src/ file by file.
import {
  chmodSync,
  cpSync,
  existsSync,
  linkSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { inSeconds, packageNames, root, runNode, timed, tools } from "./run.mjs";

/** The packages that have sources, in build order. */
export const builtPackages = () => packageNames.filter((name) => files(`${root}/packages/${name}/src`).length > 0);

const files = (folder) =>
  existsSync(folder)
    ? readdirSync(folder, { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map((entry) => `${entry.parentPath}/${entry.name}`.slice(folder.length + 1))
    : [];

/** The files of dist/ that `source` becomes: two for TypeScript, else a copy of itself. */
function outputs(source) {
  if (source.endsWith(".d.ts")) return [];
  if (/\.tsx?$/.test(source)) {
    const stem = source.replace(/\.tsx?$/, "");
    return [`${stem}.js`, `${stem}.d.ts`];
  }
  return [source];
}

/** Builds one package when something in it, or under it, is newer than its dist/. */
async function buildPackage(name, below) {
  const folder = `${root}/packages/${name}`;
  const [src, dist, info] = [`${folder}/src`, `${folder}/dist`, `${cache}/${name}.tsbuildinfo`];
  const sources = files(src);
  const expected = new Set(sources.flatMap(outputs));
  const present = files(dist);
  const stale = present.filter((file) => !expected.has(file));
  for (const file of stale) rmSync(`${dist}/${file}`);

  const missing = [...expected].some((file) => !existsSync(`${dist}/${file}`));
  const changed = [
    ...sources.map((file) => `${src}/${file}`),
    `${folder}/package.json`,
    `${folder}/tsconfig.json`,
    `${root}/tsconfig.base.json`,
  ];
  const newest = Math.max(...changed.map((file) => statSync(file).mtimeMs));
  const stamp = existsSync(info) ? statSync(info).mtimeMs : 0;
  if (!missing && stale.length === 0 && stamp >= newest && !below) return { built: false, code: 0, output: "" };

  // A dist/ that lost files looks complete to the incremental build: let it begin anew.
  if (missing) rmSync(info, { force: true });
  const result = await runNode(tools.tsc, ["-p", folder, "--incremental", "--tsBuildInfoFile", info], { quiet: true });
  for (const file of sources.filter((source) => outputs(source)[0] === source)) {
    mkdirSync(dirname(`${dist}/${file}`), { recursive: true });
    cpSync(`${src}/${file}`, `${dist}/${file}`);
  }
  for (const bin of Object.values(JSON.parse(readFileSync(`${folder}/package.json`, "utf8")).bin ?? {})) {
    if (existsSync(`${folder}/${bin}`)) chmodSync(`${folder}/${bin}`, 0o755);
  }
  // A failed build must be tried again, whatever its time stamps say.
  if (result.code !== 0) rmSync(info, { force: true });
  return { built: true, ...result };
}

const cache = `${root}/node_modules/.cache/ts-micro`;

/** Builds all packages in order, prints seconds, and returns the names of those that do not compile. One process at a time. */
export async function build() {
  const unlock = await lock(`${cache}/build.lock`);
  try {
    return await buildAll();
  } finally {
    unlock();
  }
}

async function buildAll() {
  const failed = [];
  let below = false;
  for (const name of builtPackages()) {
    const { value, seconds } = await timed(() => buildPackage(name, below));
    below ||= value.built;
    if (value.built) console.log(`build ${name}: ${inSeconds(seconds)}`);
    if (value.code !== 0) {
      console.error(value.output.trimEnd());
      failed.push(name);
    }
  }
  return failed;
}

/** Takes a lock file that names this process, waiting while another living one has it. Returns what gives it back. */
async function lock(file) {
  mkdirSync(dirname(file), { recursive: true });
  // Linked, not written: a lock must never be seen without its owner.
  const own = `${file}.${process.pid}`;
  writeFileSync(own, String(process.pid));
  try {
    while (!linked(own, file)) {
      if (!isAlive(ownerOf(file))) rmSync(file, { force: true });
      await delay(100);
    }
  } finally {
    rmSync(own);
  }
  return () => rmSync(file, { force: true });
}

function linked(from, to) {
  try {
    linkSync(from, to);
    return true;
  } catch (error) {
    if (error.code === "EEXIST") return false;
    throw error;
  }
}

function ownerOf(file) {
  try {
    return Number(readFileSync(file, "utf8"));
  } catch {
    return 0;
  }
}

function isAlive(pid) {
  try {
    return pid > 0 && process.kill(pid, 0);
  } catch (error) {
    return error.code === "EPERM";
  }
}
