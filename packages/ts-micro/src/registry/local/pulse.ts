import { watch, type FSWatcher } from "node:fs";
import { sleep, type Clock, type Timer } from "../../clock.ts";
import type { Directory } from "./directory.ts";

/** Poll (ms) where the system cannot tell of changes. */
const blind = 250;
/** A directory that changes all the time is looked at for a fifth of the time, its rests being of 250 ms at most. */
const rest = 4;
const longestRest = 250;

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
  /** When the next look may begin. */
  #next = 0;
  readonly #over = new AbortController();

  constructor(directory: Directory, pollMs: number, clock: Clock, look: () => Promise<void>) {
    this.#directory = directory;
    this.#pollMs = pollMs;
    this.#clock = clock;
    this.#look = look;
  }

  /** Idempotent. Resolves when changes from now on will be told. */
  async start(): Promise<void> {
    if (this.#timer !== undefined || this.#over.signal.aborted) return;
    this.#arm();
    await this.#aim();
  }

  async close(): Promise<void> {
    this.#over.abort();
    if (this.#timer !== undefined) this.#clock.cancel(this.#timer);
    this.#watcher?.close();
    this.#watcher = undefined;
    await this.#looking;
  }

  #arm(): void {
    if (this.#over.signal.aborted) return;
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
      while (this.#again && !this.#over.signal.aborted) {
        const wait = this.#next - this.#clock.now();
        if (wait > 0) await sleep(this.#clock, wait, this.#over.signal);
        if (this.#over.signal.aborted) break;
        this.#again = false;
        const began = this.#clock.now();
        await this.#look().catch(() => {});
        const now = this.#clock.now();
        this.#next = now + Math.min(rest * (now - began), longestRest);
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
    if (this.#over.signal.aborted || (this.#watcher !== undefined && inode === this.#watched)) return;
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
