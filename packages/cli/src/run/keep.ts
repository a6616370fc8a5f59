import { setTimeout as delay } from "node:timers/promises";
import { Child, type Exit } from "./child.ts";
import type { Watch } from "./watch.ts";

export interface KeepOptions {
  readonly args: readonly string[];
  readonly cwd: string;
  readonly env: NodeJS.ProcessEnv;
  readonly watch: Watch | undefined;
  /** Most starts in a row after crashes. */
  readonly retries: number;
  readonly signal: AbortSignal;
  readonly say: (text: string) => void;
  readonly started: (child: Child) => void;
}

/** A service that ran this long, in ms, had started well: its next crash counts as the first. */
const calm = 10_000;
const firstPause = 500;
const longestPause = 30_000;

/**
 * Keeps a service running: after a crash it is started again, each time a little later; after a change of a file that it has loaded at once. Resolves
 * with an exit code when `signal` aborts, or, without a watch, when the service has ended by itself or crashed too often.
 */
export async function keep(options: KeepOptions): Promise<number> {
  const { watch, signal, say } = options;
  for (let crashes = 0; ;) {
    const child = new Child(options.args, options.cwd, options.env);
    // What a running service has not loaded is none of its code; one that has ended may wait for any file.
    watch?.forget((file) => child.over || child.loaded.size === 0 || child.loaded.has(file));
    options.started(child);
    const began = performance.now();
    const next = await first(signal, child.exited, watch);
    if (next === undefined || typeof next === "string") {
      if (next !== undefined) say(`${next} changed: restarting`);
      await child.stop();
      if (next === undefined) return 0;
      crashes = 0;
      continue;
    }
    if (performance.now() - began >= calm) crashes = 0;
    const crashed = next.code !== 0;
    if (crashed) crashes++;
    const over = !crashed || crashes > options.retries || (child.unloadable && watch !== undefined);
    if (over && watch === undefined) {
      if (crashed) say(`it ${how(next)}; not started again`);
      return next.code ?? 1;
    }
    const pause = Math.min(firstPause * 2 ** (crashes - 1), longestPause);
    const then = over ? "waiting for a change" : `starting again in ${pause / 1000} s`;
    say(`it ${how(next)}; ${then}${over || watch === undefined ? "" : ", or after a change"}`);
    const outcome = await first(signal, over ? undefined : delay(pause, { code: 0, signal: null }, { signal }), watch);
    if (outcome === undefined) return 0;
    if (typeof outcome === "string") crashes = 0;
  }
}

/** What comes first: the exit, the path of a change, or undefined for the end. */
async function first(
  signal: AbortSignal,
  exited: Promise<Exit> | undefined,
  watch: Watch | undefined,
): Promise<Exit | string | undefined> {
  const settled = new AbortController();
  const either = AbortSignal.any([signal, settled.signal]);
  try {
    return await Promise.race([
      ...(exited === undefined ? [] : [exited.catch(() => undefined)]),
      ...(watch === undefined ? [] : [watch.next(either)]),
      new Promise<undefined>((resolve) => {
        if (signal.aborted) resolve(undefined);
        either.addEventListener("abort", () => resolve(undefined), { once: true });
      }),
    ]);
  } finally {
    settled.abort();
  }
}

function how({ code, signal }: Exit): string {
  if (signal !== null) return `was ended by ${signal}`;
  return code === 0 ? "ended" : `ended with code ${code}`;
}
