import { existsSync, readFileSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, extname, join, relative, resolve } from "node:path";
import { UsageError } from "../command.ts";

/** What is to be run, and how. */
export interface Entry {
  /** The file. */
  readonly file: string;
  /** Working directory of the process. */
  readonly cwd: string;
  /** Changes below this folder restart it. */
  readonly watched: string;
  /** Node's own arguments. */
  readonly nodeArgs: readonly string[];
  /** What the user should know of the choice. */
  readonly note: string | undefined;
}

/** Tried in a folder whose package.json names no file, in this order. */
const usual: readonly string[] = ["src/main", "main", "src/index", "index", "src/server", "server"].flatMap((stem) =>
  ["ts", "mts", "js", "mjs"].map((ext) => `${stem}.${ext}`),
);

/**
 * The file that `source` means: itself, or for a folder what package.json names as main, or one of the usual names.
 * `tsx`: TypeScript goes through tsx in any case.
 * @throws UsageError when there is none.
 */
export function entryOf(source: string, tsx: boolean): Entry {
  const path = resolve(source);
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat === undefined) throw new UsageError(`${source}: no such file or folder`);
  const folder = stat.isDirectory();
  const main = folder ? manifestMain(join(path, "package.json")) : undefined;
  const named = main === undefined ? undefined : resolved(path, main);
  const file = folder ? (named ?? usual.map((name) => join(path, name)).find(isFile)) : path;
  const lack = main === undefined ? "has no main" : `has main ${JSON.stringify(main)}, which is not there`;
  if (file === undefined)
    throw new UsageError(`${source}: what to run? package.json ${lack}, and there is none of ${usual.join(", ")}`);
  return {
    file,
    cwd: folder ? path : process.cwd(),
    watched: folder ? path : packageOf(dirname(path)),
    nodeArgs: nodeArgs(file, tsx),
    note:
      main === undefined || named !== undefined ? undefined : `package.json ${lack}: running ${relative(path, file)}`,
  };
}

/** As Node finds it: `lib` may be lib.js, or a folder with an index.js. */
function resolved(folder: string, main: string): string | undefined {
  try {
    return createRequire(join(folder, "package.json")).resolve(resolve(folder, main));
  } catch {
    return undefined;
  }
}

function isFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() === true;
}

function manifestMain(path: string): string | undefined {
  if (!existsSync(path)) return undefined;
  try {
    const manifest = JSON.parse(readFileSync(path, "utf8").replace(/^\uFEFF/, "")) as { main?: unknown } | null;
    return typeof manifest?.main === "string" ? manifest.main : undefined;
  } catch (error) {
    throw new UsageError(`${path}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** The package that a folder is in; the folder itself when it is in none. */
function packageOf(folder: string): string {
  for (let at = folder; ; at = dirname(at)) {
    if (existsSync(join(at, "package.json"))) return at;
    if (dirname(at) === at) return folder;
  }
}

/** TypeScript runs by Node itself where it can, else through tsx. */
function nodeArgs(file: string, tsx: boolean): string[] {
  const kind = extname(file);
  const features = process.features as { readonly typescript?: string | false };
  const native = !tsx && features.typescript !== undefined && features.typescript !== false;
  if (kind === ".tsx" || kind === ".jsx" || (!native && /^\.[mc]?ts$/.test(kind)))
    return ["--import", import.meta.resolve("tsx")];
  return [];
}
