/** A child process steered by JSON lines: requests with an id, replies with the same id, and events in between. */
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { createInterface } from "node:readline";

/** An unsolicited line of the process; the other fields depend on `event`. */
export interface SteeredEvent {
  readonly event: string;
  readonly [field: string]: unknown;
}

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

interface Pending {
  resolve(value: unknown): void;
  reject(error: Error): void;
  timer: NodeJS.Timeout;
}

interface Waiter {
  match(event: SteeredEvent): boolean;
  resolve(event: SteeredEvent): void;
  reject(error: Error): void;
  timer: NodeJS.Timeout;
}

/** How many events are kept; the oldest go first. */
const KEPT_EVENTS = 20_000;
const KEPT_LOG = 16_000;

const alive = new Set<ChildProcessWithoutNullStreams>();
process.on("exit", () => {
  for (const child of alive) child.kill("SIGKILL");
});

export class SteeredProcess {
  readonly pid: number;
  /** Settles when the process has ended, however. */
  readonly exited: Promise<Exit>;
  #child: ChildProcessWithoutNullStreams;
  #exit: Exit | undefined;
  #serial = 0;
  #pending = new Map<number, Pending>();
  #events: SteeredEvent[] = [];
  #taken = new WeakSet<SteeredEvent>();
  #waiters = new Set<Waiter>();
  #log = "";
  #stopped = false;

  constructor(command: string, args: readonly string[], env: NodeJS.ProcessEnv) {
    const child = spawn(command, args, { stdio: ["pipe", "pipe", "pipe"], env });
    this.#child = child;
    this.pid = child.pid ?? 0;
    alive.add(child);
    child.stdin.on("error", () => {}); // the process has gone: `exited` says so
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      this.#log = (this.#log + text).slice(-KEPT_LOG);
    });
    createInterface({ input: child.stdout }).on("line", (line) => this.#onLine(line));
    this.exited = new Promise((resolve) => {
      const ended = (code: number | null, signal: NodeJS.Signals | null, why?: Error): void => {
        if (this.#exit !== undefined) return;
        this.#exit = { code, signal };
        alive.delete(child);
        this.#fail(why ?? new Error(`the process has ended (${signal ?? code})${this.#logTail()}`));
        resolve(this.#exit);
      };
      child.on("error", (error) => ended(null, null, error));
      child.on("close", (code, signal) => ended(code, signal));
    });
  }

  /** The end of what the process wrote to standard error. */
  get log(): string {
    return this.#log;
  }

  /** All events kept, oldest first, those of one name or of all. */
  events(name?: string): SteeredEvent[] {
    return this.#events.filter((event) => name === undefined || event.event === name);
  }

  /** Sends a request; rejects when the process cannot do it, ends, or does not reply within `limitMs`. */
  request(op: string, args: object, limitMs: number): Promise<unknown> {
    if (this.#exit !== undefined) return Promise.reject(new Error(`${op}: the process has ended${this.#logTail()}`));
    const id = ++this.#serial;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#pending.delete(id);
        reject(new Error(`${op}: no reply in ${limitMs} ms${this.#logTail()}`));
      }, limitMs);
      timer.unref();
      this.#pending.set(id, { resolve, reject, timer });
      this.#child.stdin.write(`${JSON.stringify({ ...args, id, op })}\n`);
    });
  }

  /** The first event that matches and was not taken before; each event is given once. Waits up to `limitMs`. */
  take(what: string, match: (event: SteeredEvent) => boolean, limitMs: number): Promise<SteeredEvent> {
    const known = this.#events.find((event) => !this.#taken.has(event) && match(event));
    if (known !== undefined) {
      this.#taken.add(known);
      return Promise.resolve(known);
    }
    if (this.#exit !== undefined) return Promise.reject(new Error(`${what}: the process has ended${this.#logTail()}`));
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiters.delete(waiter);
        reject(new Error(`no event ${what} in ${limitMs} ms${this.#logTail()}`));
      }, limitMs);
      timer.unref();
      const waiter: Waiter = { match, resolve, reject, timer };
      this.#waiters.add(waiter);
    });
  }

  /** Stops the process where it stands (SIGSTOP). */
  /** Returns when every thread of the process stands still: the signal alone takes a moment to reach those that run. */
  pause(): void {
    this.#stopped = true;
    this.#child.kill("SIGSTOP");
    const tasks = `/proc/${this.#child.pid}/task`;
    for (const end = Date.now() + 5000; existsSync(tasks) && Date.now() < end;) {
      const states = readdirSync(tasks).map(
        (task) => readFileSync(`${tasks}/${task}/stat`, "utf8").split(") ")[1]?.[0],
      );
      if (states.every((state) => state === "T")) return;
    }
  }

  resume(): void {
    this.#stopped = false;
    this.#child.kill("SIGCONT");
  }

  /** Sends the signal and waits for the end of the process. */
  kill(signal: NodeJS.Signals): Promise<Exit> {
    this.#child.kill(signal);
    return this.exited;
  }

  /** Lets the process end by itself: its standard input is closed. Kills it after `limitMs`. */
  async close(limitMs: number): Promise<Exit> {
    if (this.#exit !== undefined) return this.#exit;
    if (this.#stopped) this.resume();
    this.#child.stdin.end();
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), limitMs);
    try {
      return await this.exited;
    } finally {
      clearTimeout(timer);
    }
  }

  #onLine(line: string): void {
    let message: { id?: number; result?: unknown; failure?: string; event?: string };
    try {
      message = JSON.parse(line) as typeof message;
    } catch {
      this.#log = `${this.#log}\nnot JSON: ${line}`.slice(-KEPT_LOG);
      return;
    }
    if (message.id !== undefined) {
      const pending = this.#pending.get(message.id);
      if (pending === undefined) return;
      this.#pending.delete(message.id);
      clearTimeout(pending.timer);
      if (message.failure === undefined) pending.resolve(message.result);
      else pending.reject(new Error(message.failure));
      return;
    }
    if (typeof message.event !== "string") return;
    const event = message as SteeredEvent;
    this.#events.push(event);
    if (this.#events.length > KEPT_EVENTS) this.#events.splice(0, KEPT_EVENTS / 2);
    for (const waiter of this.#waiters) {
      if (!waiter.match(event)) continue;
      this.#waiters.delete(waiter);
      clearTimeout(waiter.timer);
      this.#taken.add(event);
      waiter.resolve(event);
      return;
    }
  }

  #fail(error: Error): void {
    for (const pending of this.#pending.values()) {
      clearTimeout(pending.timer);
      pending.reject(error);
    }
    this.#pending.clear();
    for (const waiter of this.#waiters) {
      clearTimeout(waiter.timer);
      waiter.reject(error);
    }
    this.#waiters.clear();
  }

  #logTail(): string {
    const tail = this.#log.trimEnd().split("\n").slice(-12).join("\n");
    return tail === "" ? "" : `; its log ends:\n${tail}`;
  }
}
