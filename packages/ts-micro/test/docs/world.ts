/** A folder in which the blocks of one page are files, commands find what a user has installed, and services see nobody else. */
import { spawn, type ChildProcess } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { serversDirectory } from "../servers/build.ts";
import { root } from "../support/public.ts";
import { optionsOf } from "../types/program.ts";
import type { Block } from "./pages.ts";

export interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

const generators = {
  "protoc-gen-micro": "packages/protoc-gen-micro/dist/main.js",
  buf: "node_modules/@bufbuild/buf/bin/buf",
  "protoc-gen-es": "node_modules/@bufbuild/protoc-gen-es/bin/protoc-gen-es",
};

/** What a command may take, in ms. Nothing here takes a tenth of it. */
const patience = 60_000;

export class PageWorld implements AsyncDisposable {
  readonly #home: string = realpathSync(mkdtempSync(`${tmpdir()}/ts-micro-docs-`));
  /** The page's project. What services keep is beside it: `micro run` starts them again when something in it changes. */
  readonly folder: string = `${this.#home}/page`;
  /** Block → its file. A `ts more` block is in a file with all that it continues. */
  readonly files: Map<Block, string> = new Map();
  readonly #services: { child: ChildProcess; over: Promise<Outcome> }[] = [];

  constructor(blocks: readonly Block[]) {
    mkdirSync(this.folder);
    const write = (name: string, text: string): void => writeFileSync(`${this.folder}/${name}`, text);
    write("package.json", JSON.stringify({ name: "page", private: true, type: "module" }));
    write("tsconfig.json", JSON.stringify({ compilerOptions: optionsOf() }));
    mkdirSync(`${this.folder}/bin`);
    symlinkSync(`${root}node_modules`, `${this.folder}/node_modules`);
    // As `npx` finds them: the command as built.
    const micro = `${root}packages/cli/dist/main.js`;
    this.#command("tsx", `exec "${process.execPath}" --import tsx "$@"`);
    for (const name of ["micro", "ts-micro-cli"]) this.#command(name, `exec "${process.execPath}" "${micro}" "$@"`);
    this.#command("npx", 'exec "$@"');
    for (const [name, path] of Object.entries(generators))
      this.#command(name, `exec "${process.execPath}" "${root}${path}" "$@"`);
    const protoc = `bash "${root}scripts/servers/build.sh" protoc "${serversDirectory()}"`;
    this.#command("protoc", `exec "$(${protoc})/bin/protoc" "$@"`);
    this.#name(blocks);
    for (const { way, file, text } of blocks) if (way === "prose" && file !== undefined) write(file, text);
    for (const [block, file] of this.files) write(file, this.#sourceOf(blocks, block));
  }

  /** Runs a program of the page, or shell lines, to the end. */
  run(block: Block): Promise<Outcome> {
    return this.#spawn(this.#argsOf(block)).over;
  }

  /** Starts what goes on running; resolves when it is registered. */
  async serve(block: Block): Promise<void> {
    const { child, over } = this.#spawn(this.#argsOf(block));
    this.#services.push({ child, over });
    const ready = new Promise<void>((resolve) => {
      let said = "";
      child.stderr?.on("data", (data: Buffer) => {
        said += data.toString();
        if (said.includes("registered node")) resolve();
      });
    });
    const early = over.then(({ code, stderr }) => {
      throw new Error(`${block.page}:${block.line} ended with ${code} before it was registered\n${stderr}`);
    });
    await Promise.race([ready, early]);
  }

  /** Stops the services, and says how they ended. */
  async end(): Promise<Outcome[]> {
    for (const { child } of this.#services) signal(child, "SIGTERM");
    return Promise.all(this.#services.splice(0).map(({ over }) => over));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end();
    rmSync(this.#home, { recursive: true, force: true });
  }

  #argsOf(block: Block): string[] {
    const file = this.files.get(block);
    return file === undefined ? ["bash", "-euc", block.text] : ["tsx", file];
  }

  #spawn([command = "", ...args]: readonly string[]): { child: ChildProcess; over: Promise<Outcome> } {
    const kept = Object.entries(process.env).filter(([key]) => !/^(?:MICRO_|VITEST|NODE_ENV)/.test(key));
    const child = spawn(command, args, {
      cwd: this.folder,
      // A group of its own: what it starts is stopped with it.
      detached: true,
      stdio: ["ignore", "pipe", "pipe"],
      env: {
        ...(Object.fromEntries(kept) as Record<string, string>),
        PATH: `${this.folder}/bin:${process.env["PATH"] ?? ""}`,
        TSX_TSCONFIG_PATH: `${this.folder}/tsconfig.json`,
        MICRO_REGISTRY: "local",
        MICRO_LOCAL_DIR: `${this.#home}/run`,
        MICRO_SERVER_ADDRESS: "127.0.0.1:0",
        MICRO_BROKER_ADDRESS: "127.0.0.1:0",
      },
    });
    const over = new Promise<Outcome>((resolve, reject) => {
      let [stdout, stderr] = ["", ""];
      const late = setTimeout(() => signal(child, "SIGKILL"), patience);
      child.stdout.on("data", (data: Buffer) => (stdout += data.toString()));
      child.stderr.on("data", (data: Buffer) => (stderr += data.toString()));
      child.once("error", reject);
      child.once("close", (code) => {
        clearTimeout(late);
        resolve({ code, stdout, stderr });
      });
    });
    return { child, over };
  }

  #command(name: string, line: string): void {
    writeFileSync(`${this.folder}/bin/${name}`, `#!/bin/sh\n${line}\n`);
    chmodSync(`${this.folder}/bin/${name}`, 0o755);
  }

  #name(blocks: readonly Block[]): void {
    for (const block of blocks) {
      if (block.way !== "check" && block.way !== "run") continue;
      this.files.set(block, block.file ?? `line-${block.line}.ts`);
    }
  }

  #sourceOf(blocks: readonly Block[], block: Block): string {
    const code = blocks.filter((other) => this.files.has(other));
    const at = code.indexOf(block);
    let from = at;
    while (code[from]?.more === true && from > 0) from--;
    const text = code.slice(from, at + 1).map((other) => other.text);
    // A page's snippet may be no module by itself, and top-level await needs one.
    return `${text.join("")}export {};\n`;
  }
}

/** To the process and all that it started; one that has ended is left alone. */
function signal(child: ChildProcess, name: NodeJS.Signals): void {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  process.kill(-child.pid, name);
}
