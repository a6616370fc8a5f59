import { spawnSync } from "node:child_process";
import { type FSWatcher, readdirSync, realpathSync, type Stats, statSync, watch } from "node:fs";
import { basename, dirname, extname, join, relative, sep } from "node:path";

/** Folders whose changes are not the programmer's; those with a dot in front neither. */
const ignored: ReadonlySet<string> = new Set(["node_modules", "dist", "coverage"]);
/** What a service loads. */
const code: ReadonlySet<string> = new Set(".ts .mts .cts .tsx .js .mjs .cjs .jsx".split(" "));
/** What it reads by itself, perhaps; it may write other files without being restarted for it. */
const read: ReadonlySet<string> = new Set(".json .yaml .yml .toml .proto .env .graphql .sql".split(" "));
/** Quiet time after which a burst of changes counts as over, in ms. */
const calm = 100;
/** Most folders watched. */
const mostFolders = 2000;

/** Changes of source files below a folder. */
export class Watch {
  readonly #root: string;
  readonly #without: ReadonlySet<string>;
  /** By their real paths, which are those that Node names. */
  readonly #folders = new Map<string, FSWatcher>();
  /** What each file was when it was last looked at: only real changes count, not mere touches of its folder. */
  readonly #files = new Map<string, string>();
  readonly #say: (text: string) => void;
  #timer: NodeJS.Timeout | undefined;
  /** The first file of the burst under way, and of the one that is over. */
  #first: string | undefined;
  #changed: string | undefined;
  #wake: (() => void) | undefined;
  #full = false;
  #closed = false;
  #loaded: (file: string) => boolean = () => true;

  /** `without`: folders of data. They need not be there yet. */
  constructor(root: string, without: readonly string[], say: (text: string) => void) {
    this.#root = realpathSync(root);
    this.#without = new Set(without.map(realOf));
    this.#say = say;
    this.#add(this.#root, false);
  }

  /** The next change: the path of the first file of its burst. One that happened since the last `forget` counts. */
  async next(signal: AbortSignal): Promise<string | undefined> {
    while (this.#changed === undefined && !signal.aborted && !this.#closed) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        signal.addEventListener("abort", () => resolve(), { once: true });
      });
    }
    return this.#changed;
  }

  /** What has happened until now does not count any more. From now on code counts that `loaded` says was loaded. */
  forget(loaded: (file: string) => boolean): void {
    this.#changed = undefined;
    this.#loaded = loaded;
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    for (const watcher of this.#folders.values()) watcher.close();
    this.#folders.clear();
    this.#wake?.();
  }

  /** `fresh`: the folder came just now, so that its files are changes. */
  #add(folder: string, fresh: boolean): void {
    if (this.#folders.has(folder) || this.#closed) return;
    if (this.#folders.size >= mostFolders) {
      if (!this.#full) this.#say(`more than ${mostFolders} folders below ${this.#root}: not all of them are watched`);
      this.#full = true;
      return;
    }
    try {
      const watcher = watch(folder, (event, name) => this.#event(folder, event, name));
      watcher.on("error", () => this.#remove(folder));
      this.#folders.set(folder, watcher);
    } catch (error) {
      if (statOf(folder) !== undefined)
        this.#say(`${folder} is not watched: ${error instanceof Error ? error.message : String(error)}`);
      return;
    }
    for (const entry of entries(folder)) this.#look(join(folder, entry), fresh);
  }

  #event(folder: string, event: string, name: string | null): void {
    // It is no longer where it was. What is there now, its watcher will never tell of.
    if (event === "rename" && name === basename(folder)) {
      this.#remove(folder);
      this.#add(folder, true);
    }
    if (name !== null) this.#look(join(folder, name), true);
    else for (const entry of entries(folder)) this.#look(join(folder, entry), true);
  }

  /** Compares what is there with what was; `counts`: a difference is a change. */
  #look(path: string, counts: boolean): void {
    const name = basename(path);
    const stat = statOf(path);
    if (stat?.isDirectory() === true) {
      if (ignored.has(name) || name.startsWith(".")) return;
      const folder = realOf(path);
      // A link may lead to where it stands, and above that are the files of others.
      if (!this.#without.has(folder) && !isIn(folder, this.#root)) this.#add(folder, counts);
      return;
    }
    if (this.#folders.has(path)) this.#remove(path);
    const kind = extname(name);
    if (!code.has(kind) && !read.has(kind) && !name.startsWith(".env")) return;
    const before = this.#files.get(path);
    const now = stat === undefined ? undefined : `${stat.mtimeMs} ${stat.size} ${stat.ino}`;
    if (before === now) return;
    if (now === undefined) this.#files.delete(path);
    else this.#files.set(path, now);
    if (counts && (code.has(kind) ? this.#loaded(path) : !this.#isData(path))) this.#report(path);
  }

  /** Git ignores what is made: of data that a service writes elsewhere, nobody else can tell. */
  #isData(path: string): boolean {
    if (this.#without.has(dirname(path))) return true;
    if (basename(path).startsWith(".env")) return false;
    return spawnSync("git", ["check-ignore", "-q", path], { cwd: this.#root, stdio: "ignore" }).status === 0;
  }

  /** The watchers below it, too, look at what was there before. */
  #remove(folder: string): void {
    for (const [each, watcher] of this.#folders) {
      if (!isIn(folder, each)) continue;
      watcher.close();
      this.#folders.delete(each);
    }
    for (const file of this.#files.keys()) if (isIn(folder, file)) this.#look(file, true);
  }

  #report(path: string): void {
    clearTimeout(this.#timer);
    this.#first ??= relative(this.#root, path);
    this.#timer = setTimeout(() => {
      this.#changed ??= this.#first;
      this.#first = undefined;
      this.#wake?.();
    }, calm);
  }
}

/** Undefined for what is not there, and for what nobody can look at: a link to itself, a file in a folder that is locked. */
function statOf(path: string): Stats | undefined {
  try {
    return statSync(path, { throwIfNoEntry: false });
  } catch {
    return undefined;
  }
}

/** A path without links, as far as it leads to something. */
function realOf(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    const up = dirname(path);
    return up === path ? path : join(realOf(up), basename(path));
  }
}

/** Whether `path` is `folder` or below it. */
function isIn(folder: string, path: string): boolean {
  return path === folder || path.startsWith(folder.endsWith(sep) ? folder : folder + sep);
}

function entries(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    // It has gone again.
    return [];
  }
}
