import { watch, type FSWatcher } from "node:fs";
import type { Clock, Timer } from "../../clock.ts";
import type { Directory } from "./directory.ts";

/** Poll (ms) where the system cannot tell of changes. */
const blind = 250;

/** Tells when to look at the directory: at once where the system can tell of changes, which is a hint and no more, and at each poll. */
export class Pulse {
  readonly #directory: Directory;
  readonly #pollMs: number;
  readonly #clock: Clock;
  readonly #look: () => Promise<void>;
  #watcher: FSWatcher | undefined;
  #watched: bigint | undefined;
  #timer: Timer | undefined;
  #looking: Promise<void> | undefined;
  #again = false;
  #closed = false;

  constructor(directory: Directory, pollMs: number, clock: Clock, look: () => Promise<void>) {
    this.#directory = directory;
    this.#pollMs = pollMs;
    this.#clock = clock;
    this.#look = look;
  }

  /** Idempotent. Resolves when changes from now on will be told. */
  async start(): Promise<void> {
    if (this.#timer !== undefined || this.#closed) return;
    this.#arm();
    await this.#aim();
  }

  async close(): Promise<void> {
    this.#closed = true;
    if (this.#timer !== undefined) this.#clock.cancel(this.#timer);
    this.#watcher?.close();
    this.#watcher = undefined;
    await this.#looking;
  }

  #arm(): void {
    if (this.#closed) return;
    const ms = this.#watcher === undefined ? Math.min(blind, this.#pollMs) : this.#pollMs;
    this.#timer = this.#clock.after(ms, () => void this.#poll());
  }

  async #poll(): Promise<void> {
    await this.#aim();
    await this.#beat();
    this.#arm();
  }

  /** One look at a time; a hint that comes meanwhile is another look. Never rejects: the next poll tries again. */
  #beat(): Promise<void> {
    this.#again = true;
    this.#looking ??= (async () => {
      while (this.#again && !this.#closed) {
        this.#again = false;
        await this.#look().catch(() => {});
      }
      this.#looking = undefined;
    })();
    return this.#looking;
  }

  /** Watches the directory that is there now; one that was renamed or removed goes silent. */
  async #aim(): Promise<void> {
    const inode = await this.#directory.stat().then(
      (stats) => stats?.ino,
      () => undefined,
    );
    if (this.#closed || (this.#watcher !== undefined && inode === this.#watched)) return;
    this.#watcher?.close();
    this.#watcher = undefined;
    this.#watched = inode;
    if (inode === undefined) return;
    try {
      const watcher = watch(this.#directory.path, { persistent: false }, () => void this.#beat());
      this.#watcher = watcher;
      watcher.on("error", () => {
        watcher.close();
        if (this.#watcher === watcher) this.#watcher = undefined;
      });
    } catch {
      // No watch left for this user (EMFILE, ENOSPC): polling remains.
    }
  }
}
