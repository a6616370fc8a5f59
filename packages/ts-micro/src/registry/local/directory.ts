import { lstat, mkdir, readdir } from "node:fs/promises";
import type { BigIntStats } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { errors, type MicroError } from "../../errors.ts";

const windows = process.platform === "win32";
/** Socket paths have 104 bytes on macOS, 108 on Linux, the end mark included. */
const longestPath = 103;

/**
 * The same for a login shell, cron and a system unit of one user, which differ in TMPDIR and XDG_RUNTIME_DIR: `/tmp/ts-micro-<uid>`, on
 * Windows `%LOCALAPPDATA%\ts-micro\run`.
 */
export function defaultDirectory(): string {
  if (windows) return join(process.env["LOCALAPPDATA"] ?? homedir(), "ts-micro", "run");
  return `/tmp/ts-micro-${process.getuid?.() ?? 0}`;
}

/** The private directory of one user's registries: a record file for each, and a folder with their beacons. */
export class Directory {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  record(id: string): string {
    return join(this.path, `${id}.json`);
  }

  /** On the same file system as the records, so that it can be renamed into place; not among them, so that nobody is woken. */
  draft(id: string): string {
    return join(this.path, "beacon", `${id}.tmp`);
  }

  beacon(id: string): string {
    return windows ? `\\\\.\\pipe\\ts-micro-${id}` : join(this.path, "beacon", id);
  }

  /** Makes it if it is not there. @throws MicroError REGISTRY_UNAVAILABLE when it cannot be made or is not this user's alone. */
  async ensure(): Promise<void> {
    if (!windows && Buffer.byteLength(this.beacon("x".repeat(24))) > longestPath)
      throw unusable(this.path, "its name is too long for a socket in it");
    // Looked at before anything is made in it: somebody else may have planted a link.
    if ((await this.stat()) === undefined) {
      await io(this.path, mkdir(this.path, { recursive: true, mode: 0o700 }));
      await this.stat();
    }
    await io(this.path, mkdir(join(this.path, "beacon"), { recursive: true, mode: 0o700 }));
  }

  /** Its status; undefined when it is not there. @throws MicroError REGISTRY_UNAVAILABLE when it is not this user's alone. */
  async stat(): Promise<BigIntStats | undefined> {
    let stats: BigIntStats;
    try {
      stats = await lstat(this.path, { bigint: true });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
      throw unusable(this.path, (error as Error).message);
    }
    if (!stats.isDirectory()) throw unusable(this.path, "it is not a directory");
    if (windows) return stats;
    if (stats.uid !== BigInt(process.getuid?.() ?? 0)) throw unusable(this.path, "it belongs to another user");
    if ((stats.mode & 0o077n) !== 0n) throw unusable(this.path, "others may read or write it (chmod 700 it)");
    return stats;
  }

  /** The names of what is in it; none when it is not there. @throws MicroError REGISTRY_UNAVAILABLE when it cannot be read now. */
  async names(): Promise<string[]> {
    try {
      return await readdir(this.path);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
      throw unusable(this.path, (error as Error).message);
    }
  }
}

function unusable(path: string, why: string): MicroError {
  return errors.registryUnavailable("local", `the directory ${path} of the local registry cannot be used: ${why}`);
}

async function io(path: string, work: Promise<unknown>): Promise<void> {
  try {
    await work;
  } catch (error) {
    throw unusable(path, (error as Error).message);
  }
}
