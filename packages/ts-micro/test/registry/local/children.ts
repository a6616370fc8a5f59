import { fork, spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import type { ServiceRecord } from "../../../src/registry.ts";
import { eventually, within } from "../../../src/testing/suite.ts";
import type { Order } from "./program.ts";

const root = fileURLToPath(new URL("../../../", import.meta.url));

/** Sources as Node 20 can run them, in a folder of their own: `entry` and what it imports. */
export class Programs {
  readonly #folder = mkdtempSync(join(tmpdir(), "ts-micro-programs-"));
  readonly #done = new Set<string>();

  constructor() {
    writeFileSync(join(this.#folder, "package.json"), '{ "type": "module" }');
  }

  /** The compiled file of a source. */
  compile(source: string): string {
    const path = resolve(root, source);
    const target = join(this.#folder, relative(root, path)).replace(/\.ts$/, ".js");
    if (this.#done.has(path)) return target;
    this.#done.add(path);
    this.#write(target, readFileSync(path, "utf8"));
    for (const [, imported] of readFileSync(path, "utf8").matchAll(/(?:from|import\()\s*"(\.[^"]+\.ts)"/g))
      this.compile(resolve(dirname(path), imported ?? ""));
    return target;
  }

  /** Compiles `code`, which imports as a file of the package's root would. */
  inline(name: string, code: string): string {
    const target = join(this.#folder, `${name}.js`);
    for (const [, imported] of code.matchAll(/from "(\.[^"]+\.ts)"/g)) this.compile(imported ?? "");
    this.#write(target, code);
    return target;
  }

  #write(target: string, code: string): void {
    mkdirSync(dirname(target), { recursive: true });
    const compilerOptions = {
      module: ts.ModuleKind.ESNext,
      target: ts.ScriptTarget.ES2023,
      rewriteRelativeImportExtensions: true,
    };
    writeFileSync(target, ts.transpileModule(code, { compilerOptions }).outputText);
  }

  remove(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** A process with a registry of its own. */
export class Child {
  readonly events: string[] = [];
  readonly #process: ChildProcess;
  readonly #pending = new Map<number, { resolve(value: never): void; reject(error: Error): void }>();
  #orders = 0;
  #ready!: () => void;
  readonly ready: Promise<void> = new Promise((resolve) => (this.#ready = resolve));

  constructor(program: string, directory: string) {
    this.#process = fork(program, [directory], { stdio: "inherit", execArgv: [] });
    this.#process.on(
      "message",
      (message: { ready?: true; event?: string; id?: number; error?: string; result?: unknown }) => {
        if (message.ready) this.#ready();
        if (message.event !== undefined) this.events.push(message.event);
        if (message.id === undefined) return;
        const order = this.#pending.get(message.id);
        this.#pending.delete(message.id);
        if (message.error === undefined) order?.resolve(message.result as never);
        else order?.reject(new Error(message.error));
      },
    );
  }

  get pid(): number {
    return this.#process.pid ?? 0;
  }

  get running(): boolean {
    return this.#process.exitCode === null && this.#process.signalCode === null;
  }

  #order<T>(order: Order): Promise<T> {
    const id = ++this.#orders;
    const answer = new Promise<T>((resolve, reject) => this.#pending.set(id, { resolve, reject }));
    this.#process.send({ id, order });
    return within(answer, `the answer to ${order.do}`);
  }

  register(record: ServiceRecord): Promise<void> {
    return this.#order({ do: "register", record });
  }
  deregister(record: ServiceRecord): Promise<void> {
    return this.#order({ do: "deregister", record });
  }
  list(): Promise<string[]> {
    return this.#order({ do: "list" });
  }
  watch(): Promise<void> {
    return this.#order({ do: "watch" });
  }
  close(): Promise<void> {
    return this.#order({ do: "close" });
  }

  /** Waits until it was told this. */
  async told(event: string): Promise<void> {
    await eventually(() => this.events.includes(event), `"${event}" among: ${this.events.join(", ")}`);
  }

  pause(): void {
    this.#process.kill("SIGSTOP");
  }
  resume(): void {
    this.#process.kill("SIGCONT");
  }

  async kill(): Promise<void> {
    if (!this.running) return;
    const gone = once(this.#process, "exit");
    this.#process.kill("SIGKILL");
    await gone;
  }
}

/** Runs a program to its end, perhaps with at most so many open files; resolves with its exit code and what it printed. */
export async function run(
  program: string,
  args: readonly string[],
  onLine: (line: string) => void = () => {},
  files?: number,
): Promise<string> {
  const command = [process.execPath, program, ...args];
  if (files !== undefined) command.unshift("sh", "-c", `ulimit -n ${files} && exec "$@"`, "sh");
  const [executable = "", ...rest] = command;
  const child = spawn(executable, rest, { stdio: ["ignore", "pipe", "inherit"] });
  let out = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    out += text;
    onLine(text);
  });
  try {
    const [code]: number[] = await within(once(child, "close"), "the end of the process");
    return `${code}: ${out.trim()}`;
  } finally {
    child.kill("SIGKILL");
  }
}
