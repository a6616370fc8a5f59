// Builds the packages: dist/ mirrors src/ file by file. tsc checks and writes all of it, but for the JavaScript of ts-micro (roll.mjs).
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
import { copyTypes, rollCode } from "./roll.mjs";
import { inSeconds, packageNames, root, runNode, timed, tools } from "./run.mjs";

/** The packages that have sources, in build order. */
export const builtPackages = () => packageNames.filter((name) => files(`${root}/packages/${name}/src`).length > 0);

const files = (folder) =>
  existsSync(folder)
    ? readdirSync(folder, { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map((entry) => `${entry.parentPath}/${entry.name}`.slice(folder.length + 1))
    : [];

/** The files that tsc, or a copy, makes of `source`: two for TypeScript, or its declarations alone. */
function outputs(source, rolled) {
  if (source.endsWith(".d.ts")) return [];
  if (/\.tsx?$/.test(source)) {
    const stem = source.replace(/\.tsx?$/, "");
    return rolled ? [`${stem}.d.ts`] : [`${stem}.js`, `${stem}.d.ts`];
  }
  return [source];
}

/** Builds one package when something in it, or under it, is newer than its dist/. */
async function buildPackage(name, below) {
  const folder = `${root}/packages/${name}`;
  const [src, dist, info] = [`${folder}/src`, `${folder}/dist`, `${cache}/${name}.tsbuildinfo`];
  const rolled = name === "ts-micro";
  // What is rolled has its declarations here first, and a list of what its dist/ got, sorted, one a line.
  const [emitted, list] = rolled ? [`${cache}/${name}`, `${cache}/${name}.files`] : [dist, info];
  const sources = files(src);
  const expected = new Set(sources.flatMap((source) => outputs(source, rolled)));
  const stale = files(emitted).filter((file) => !expected.has(file));
  for (const file of stale) rmSync(`${emitted}/${file}`);

  const missing = [...expected].some((file) => !existsSync(`${emitted}/${file}`));
  const changed = [
    ...sources.map((file) => `${src}/${file}`),
    `${folder}/package.json`,
    `${folder}/tsconfig.json`,
    `${root}/tsconfig.base.json`,
    ...(rolled ? [`${root}/scripts/lib/roll.mjs`] : []),
  ];
  const newest = Math.max(...changed.map((file) => statSync(file).mtimeMs));
  const stamp = existsSync(list) ? statSync(list).mtimeMs : 0;
  const lost = rolled && (stamp === 0 || lines(files(dist)) !== readFileSync(list, "utf8"));
  if (!missing && !lost && stale.length === 0 && stamp >= newest && !below)
    return { built: false, code: 0, output: "" };

  // What lost files looks complete to the incremental build: let it begin anew.
  if (missing) rmSync(info, { force: true });
  const only = rolled ? ["--emitDeclarationOnly", "--outDir", emitted] : [];
  const args = ["-p", folder, "--incremental", "--tsBuildInfoFile", info, ...only];
  const result = await runNode(tools.tsc, args, { quiet: true });
  if (rolled && result.code === 0) {
    const made = [...(await rollCode(folder)), ...copyTypes(folder, emitted)];
    for (const file of files(dist).filter((one) => !made.includes(one))) rmSync(`${dist}/${file}`);
    writeFileSync(list, lines(made));
  }
  for (const file of sources.filter((source) => outputs(source, rolled)[0] === source)) {
    mkdirSync(dirname(`${dist}/${file}`), { recursive: true });
    cpSync(`${src}/${file}`, `${dist}/${file}`);
  }
  for (const bin of Object.values(JSON.parse(readFileSync(`${folder}/package.json`, "utf8")).bin ?? {})) {
    if (existsSync(`${folder}/${bin}`)) chmodSync(`${folder}/${bin}`, 0o755);
  }
  // A failed build must be tried again, whatever its time stamps say.
  if (result.code !== 0) for (const file of [info, list]) rmSync(file, { force: true });
  return { built: true, ...result };
}

const lines = (names) => names.toSorted((a, b) => (a < b ? -1 : 1)).join("\n");

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
