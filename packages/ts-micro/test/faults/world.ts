import { fork, type ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { fileURLToPath } from "node:url";
import { createClient, isMicroError, type Client, type ClientOptions } from "../../src/index.ts";

/** A replica that is running. */
export interface Replica {
  readonly name: string;
  readonly address: string;
  readonly pid: number;
  /** Resolves when the process has ended. */
  readonly gone: Promise<void>;
  /** Sends a signal. */
  kill(signal: NodeJS.Signals): void;
}

/** What callers saw. */
export interface Tally {
  calls: number;
  failed: unknown[];
  slowestMs: number;
  from: Map<string, number>;
  /** When a replica answered last. */
  last: Map<string, number>;
}

/** Replicas of `greeter` and clients on this host, seen by nobody else; `close` leaves nothing. */
export class World implements AsyncDisposable {
  readonly directory: string = mkdtempSync(`${tmpdir()}/ts-micro-faults-`);
  readonly #children = new Set<ChildProcess>();
  /** How clients call: nothing for the default. */
  protocol = "";
  readonly #clients: Client[] = [];

  async replica(name: string, env: Record<string, string> = {}): Promise<Replica> {
    const child = fork(fileURLToPath(new URL("./replica.ts", import.meta.url)), {
      execArgv: ["--import", "tsx"],
      env: { ...process.env, ...this.env(), MICRO_SERVER_ADDRESS: "127.0.0.1:0", REPLICA: name, ...env },
      stdio: ["ignore", "ignore", "inherit", "ipc"],
    });
    this.#children.add(child);
    const gone = new Promise<void>((resolve) => child.once("exit", () => (this.#children.delete(child), resolve())));
    const address = await new Promise<string>((resolve, reject) => {
      child.once("message", (message: { ready: string }) => resolve(message.ready));
      void gone.then(() => reject(new Error(`replica ${name} did not start`)));
    });
    return { name, address, pid: child.pid as number, gone, kill: (signal) => void child.kill(signal) };
  }

  client(options: ClientOptions = {}): Client {
    const client = createClient({ env: { ...this.env() }, logLevel: "fatal", requestTimeout: "10s", ...options });
    this.#clients.push(client);
    return client;
  }

  env(): Record<string, string> {
    return { MICRO_REGISTRY: "local", MICRO_LOCAL_DIR: this.directory, MICRO_CLIENT: this.protocol };
  }

  async close(): Promise<void> {
    for (const child of this.#children) {
      child.kill("SIGCONT");
      child.kill("SIGKILL");
    }
    await Promise.all(this.#clients.map((client) => client.close()));
    rmSync(this.directory, { recursive: true, force: true });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/** `callers` that call one after another until told to stop. */
export function steady(call: () => Promise<{ from: string }>, callers = 8): { tally: Tally; stop(): Promise<Tally> } {
  const tally: Tally = { calls: 0, failed: [], slowestMs: 0, from: new Map(), last: new Map() };
  let on = true;
  const one = async (): Promise<void> => {
    while (on) {
      const began = performance.now();
      try {
        const { from } = await call();
        tally.from.set(from, (tally.from.get(from) ?? 0) + 1);
        tally.last.set(from, performance.now());
      } catch (error) {
        tally.failed.push(error);
      }
      tally.calls++;
      tally.slowestMs = Math.max(tally.slowestMs, performance.now() - began);
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  };
  const all = Promise.all(Array.from({ length: callers }, one));
  return {
    tally,
    async stop() {
      on = false;
      await all;
      return tally;
    },
  };
}

/** Waits until `holds`; fails after `seconds`, which is a limit of liveness and no measure. */
export async function until(holds: () => boolean | Promise<boolean>, what: string, seconds = 20): Promise<void> {
  for (const end = performance.now() + seconds * 1000; !(await holds());) {
    if (performance.now() > end) throw new Error(`not within ${seconds} s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** Codes of failures, for messages; anything but a MicroError shows itself. */
export const codes = (failed: readonly unknown[]): string[] => [
  ...new Set(failed.map((error) => (isMicroError(error) ? error.code : String(error)))),
];
