import { type ChildProcess, spawn } from "node:child_process";
import { extname } from "node:path";

/** How a process ended. */
export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** How long a service may take to stop, in ms: longer than its own drain. */
const patience = 20_000;
const groups = process.platform !== "win32";
/** As it stands beside this file, source or built. */
const guard = new URL(`./guard${extname(import.meta.url)}`, import.meta.url).href;

/** A running service. It has a process group of its own, so that a Ctrl-C reaches it once: through us. */
export class Child {
  readonly exited: Promise<Exit>;
  readonly #process: ChildProcess;
  #over = false;

  constructor(args: readonly string[], cwd: string, env: NodeJS.ProcessEnv) {
    this.#process = spawn(process.execPath, ["--import", guard, ...args], {
      cwd,
      env: { ...env, MICRO_RUN_LIFELINE: "1" },
      // The last one is the lifeline: it closes when we end, however that comes.
      stdio: ["ignore", "inherit", "inherit", "pipe"],
      detached: groups,
    });
    this.#process.stdio[3]?.on("error", () => {});
    process.once("exit", this.#atExit);
    this.exited = new Promise((resolve) => {
      const over = (exit: Exit): void => {
        this.#over = true;
        process.off("exit", this.#atExit);
        // What it has started itself goes with it.
        this.#kill("SIGTERM");
        resolve(exit);
      };
      this.#process.once("exit", (code, signal) => over({ code, signal }));
      this.#process.once("error", () => over({ code: 1, signal: null }));
    });
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
