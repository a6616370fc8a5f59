// Runs the real command, as built, in processes of their own.
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { fileURLToPath } from "node:url";
import { run as runTool } from "../../../scripts/lib/run.mjs";

export const root: string = fileURLToPath(new URL("../../../", import.meta.url));
export const bin: string = `${root}packages/cli/dist/main.js`;

/** Builds what the command is made of. */
export async function built(): Promise<void> {
  await runTool(process.execPath, [`${root}scripts/build.mjs`], { quiet: true });
}

/** A folder that is gone after the tests. */
export class Scratch {
  readonly path: string = realpathSync(mkdtempSync(`${tmpdir()}/ts-micro-cli-`));

  remove(): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

/** The environment of a world that nobody else sees. */
export function worldIn(folder: string): Readonly<Record<string, string>> {
  const kept = Object.entries(process.env).filter(([key]) => !/^(?:MICRO_|VITEST)/.test(key));
  return {
    ...(Object.fromEntries(kept) as Record<string, string>),
    NODE_ENV: "",
    MICRO_REGISTRY: "local",
    MICRO_LOCAL_DIR: folder,
    MICRO_SERVER_ADDRESS: "127.0.0.1:0",
    MICRO_BROKER_ADDRESS: "127.0.0.1:0",
  };
}

export interface Outcome {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

const running = new Set<Running>();

/** A process under way. */
export class Running {
  readonly child: ChildProcess;
  readonly ended: Promise<Outcome>;
  stdout = "";
  stderr = "";
  #over = false;
  #look: (() => void)[] = [];

  constructor(command: string, args: readonly string[], options: { env: NodeJS.ProcessEnv; cwd?: string }) {
    this.child = spawn(command, args, {
      cwd: options.cwd ?? tmpdir(),
      env: options.env,
      stdio: ["pipe", "pipe", "pipe"],
      detached: true,
    });
    this.child.stdin?.on("error", () => {});
    this.child.stdout?.setEncoding("utf8").on("data", (text: string) => this.#add("stdout", text));
    this.child.stderr?.setEncoding("utf8").on("data", (text: string) => this.#add("stderr", text));
    running.add(this);
    this.ended = new Promise((resolve) =>
      this.child.once("close", (code, signal) => {
        this.#over = true;
        running.delete(this);
        for (const look of this.#look) look();
        resolve({ code, signal, stdout: this.stdout, stderr: this.stderr });
      }),
    );
  }

  /** Waits until the output has `text`, `times` of it. */
  async says(text: string, from: "stdout" | "stderr" = "stdout", times = 1): Promise<void> {
    while (this[from].split(text).length <= times) {
      if (this.#over) throw new Error(`ended without ${JSON.stringify(text)}:\n${this.stdout}\n${this.stderr}`);
      await new Promise<void>((resolve) => this.#look.push(resolve));
    }
  }

  /** A signal for it and for what it has started, as a terminal sends it. */
  signal(name: NodeJS.Signals): void {
    if (this.child.pid !== undefined) process.kill(-this.child.pid, name);
  }

  #add(where: "stdout" | "stderr", text: string): void {
    this[where] += text;
    const look = this.#look;
    this.#look = [];
    for (const each of look) each();
  }
}

/** Ends what tests left running. */
export async function endAll(): Promise<void> {
  await Promise.all(
    Array.from(running, async (each) => {
      each.signal("SIGKILL");
      await each.ended;
    }),
  );
}
