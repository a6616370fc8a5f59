import { realpathSync } from "node:fs";
import { type ChildProcess, spawn } from "node:child_process";
import { extname } from "node:path";
import { fileURLToPath } from "node:url";
import { unloadable } from "./messages.ts";

/** How a process ended. */
export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** How long a service may take to stop, in ms: longer than its own drain. */
const patience = 20_000;
/** How long its last messages are waited for, in ms. */
const lastWords = 1000;
const groups = process.platform !== "win32";
/** As it stands beside this file, source or built. */
const guard = new URL(`./guard${extname(import.meta.url)}`, import.meta.url).href;

/** A running service. It has a process group of its own, so that a Ctrl-C reaches it once: through us. */
export class Child {
  readonly exited: Promise<Exit>;
  /** The files that it has loaded so far. */
  readonly loaded: Set<string> = new Set();
  /** It has a syntax error. */
  unloadable = false;
  readonly #process: ChildProcess;
  #over = false;

  constructor(args: readonly string[], cwd: string, env: NodeJS.ProcessEnv) {
    this.#process = spawn(process.execPath, ["--import", guard, ...args], {
      cwd,
      // The second one is Node's own: it has the process say what it loads, as for `node --watch`.
      env: { ...env, MICRO_RUN_LIFELINE: `${patience}`, WATCH_REPORT_DEPENDENCIES: "1" },
      // The fourth one is the lifeline: it closes when we end, however that comes.
      stdio: ["ignore", "inherit", "inherit", "pipe", "ipc"],
      detached: groups,
    });
    this.#process.stdio[3]?.on("error", () => {});
    this.#process.on("message", (message) => this.#heard(message));
    process.once("exit", this.#atExit);
    this.exited = new Promise((resolve) => {
      const over = (exit: Exit): void => {
        this.#over = true;
        process.off("exit", this.#atExit);
        // What it has started itself goes with it.
        this.#kill("SIGTERM");
        if (!this.#process.connected) return resolve(exit);
        // What it said at last is still to come.
        this.#process.once("disconnect", () => resolve(exit));
        setTimeout(() => resolve(exit), lastWords).unref();
      };
      this.#process.once("exit", (code, signal) => over({ code, signal }));
      this.#process.once("error", () => over({ code: 1, signal: null }));
    });
  }

  get over(): boolean {
    return this.#over;
  }

  /** TERM, and KILL for one that does not go. Resolves when it has ended. */
  async stop(): Promise<void> {
    if (this.#over) return;
    this.#process.kill("SIGTERM");
    const timer = setTimeout(() => this.kill(), patience);
    await this.exited;
    clearTimeout(timer);
  }

  kill(): void {
    this.#kill("SIGKILL");
  }

  #heard(message: unknown): void {
    if (typeof message !== "object" || message === null) return;
    if (unloadable in message) this.unloadable = true;
    for (const files of [Reflect.get(message, "watch:import"), Reflect.get(message, "watch:require")] as unknown[])
      for (const file of Array.isArray(files) ? files : []) if (typeof file === "string") this.#loads(file);
  }

  #loads(file: string): void {
    try {
      // By its real path: loaders may name it by a link.
      this.loaded.add(realpathSync(file.startsWith("file:") ? fileURLToPath(file) : file));
    } catch {
      // No file of this system.
    }
  }

  #kill(signal: NodeJS.Signals): void {
    const { pid } = this.#process;
    if (pid === undefined) return;
    try {
      if (groups) process.kill(-pid, signal);
      else if (!this.#over) this.#process.kill(signal);
    } catch {
      // Nobody of the group is left.
    }
  }

  readonly #atExit = (): void => this.kill();
}
