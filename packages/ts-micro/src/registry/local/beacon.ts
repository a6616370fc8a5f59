import { lstat } from "node:fs/promises";
import { createServer, connect, type Server, type Socket } from "node:net";
import type { Clock, Timer } from "../../clock.ts";

/** A socket that is there as long as its process is: the kernel closes it, whatever happens. */
export class Beacon {
  readonly #path: string;
  readonly #held = new Set<Socket>();
  #server: Server | undefined;

  constructor(path: string) {
    this.#path = path;
  }

  /** Whether it can be found. */
  async lit(): Promise<boolean> {
    if (this.#server === undefined) return false;
    if (process.platform === "win32") return true;
    return lstat(this.#path).then(
      (stats) => stats.isSocket(),
      () => false,
    );
  }

  /** Listens, again if its path was swept away. Who is connected stays so. */
  async light(): Promise<void> {
    if (await this.lit()) return;
    this.#server?.close();
    const server = createServer((socket) => {
      this.#held.add(socket);
      socket.unref();
      socket.on("error", () => {});
      socket.on("close", () => this.#held.delete(socket));
      // Read, or its end would never be noticed.
      socket.resume();
    });
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen({ path: this.#path, backlog: 511 }, resolve);
    });
    server.on("error", () => {});
    server.unref();
    this.#server = server;
  }

  async close(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (server === undefined) return;
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    for (const socket of this.#held) socket.destroy();
    await closed;
  }
}

/** Pause (ms) before looking again at a beacon that could not be judged, or that closed soon after it had answered. */
const pause = 250;

/** Errors that say nothing about the beacon: its backlog is full because the process is paused, or we are short of something. */
const undecided: ReadonlySet<string> = new Set([
  "EAGAIN",
  "EMFILE",
  "ENFILE",
  "ENOBUFS",
  "ENOMEM",
  "ETIMEDOUT",
  "EINTR",
]);

/** An idle connection to the beacon of another registry: its end is the other one's death, noticed at once. */
export class Link {
  /** Resolves with whether it lives, once that is known. */
  readonly known: Promise<boolean>;
  readonly #path: string;
  readonly #clock: Clock;
  readonly #died: () => void;
  #tell!: (alive: boolean) => void;
  #socket: Socket | undefined;
  #timer: Timer | undefined;
  #alive = false;
  #closed = false;

  /** `died` is called once, if it had been alive. */
  constructor(path: string, clock: Clock, died: () => void) {
    this.#path = path;
    this.#clock = clock;
    this.#died = died;
    this.known = new Promise((resolve) => (this.#tell = resolve));
    this.#connect();
  }

  get alive(): boolean {
    return this.#alive;
  }

  close(): void {
    this.#closed = true;
    this.#alive = false;
    if (this.#timer !== undefined) this.#clock.cancel(this.#timer);
    this.#socket?.destroy();
    this.#tell(false);
  }

  #connect(): void {
    const socket = connect(this.#path);
    this.#socket = socket;
    socket.unref();
    let since: number | undefined;
    let code: string | undefined;
    socket.on("connect", () => {
      since = this.#clock.now();
      this.#is(true);
    });
    socket.on("error", (error: NodeJS.ErrnoException) => (code = error.code));
    socket.on("close", () => {
      if (this.#closed) return;
      if (since !== undefined) {
        // Gone, or it closed only this connection: the next one tells.
        if (this.#clock.now() - since > 1000) this.#connect();
        else this.#later();
      } else if (code !== undefined && undecided.has(code)) {
        this.#is(true);
        this.#later();
      } else {
        this.#is(false);
      }
    });
    socket.resume();
  }

  #later(): void {
    this.#timer = this.#clock.after(pause, () => this.#connect());
  }

  #is(alive: boolean): void {
    const was = this.#alive;
    this.#alive = alive;
    this.#tell(alive);
    if (was && !alive) this.#died();
  }
}
