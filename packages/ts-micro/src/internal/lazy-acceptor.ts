import type { Socket } from "node:net";

/** What takes connections once it is there. */
export interface Accepting {
  accept(socket: Socket, bytes: Buffer, release: Release): void;
  drain(): Promise<void>;
  close(): Promise<void>;
}

type Release = (socket: Socket, bytes: Buffer) => void;
type Match = (prefix: Buffer, seen: number) => boolean | undefined;

/** An acceptor whose work is loaded by the first connection: a service that nobody calls that way does not pay for it. */
export class LazyAcceptor {
  readonly name: string;
  readonly alpn: readonly string[];
  readonly match: Match;
  readonly #load: () => Promise<Accepting>;
  /** Connections that came before it was there. */
  readonly #waiting = new Set<Socket>();
  #loading: Promise<Accepting> | undefined;
  #loaded: Accepting | undefined;
  #draining = false;
  #closed = false;

  constructor(name: string, alpn: readonly string[], match: Match, load: () => Promise<Accepting>) {
    this.name = name;
    this.alpn = alpn;
    this.match = match;
    this.#load = load;
  }

  accept(socket: Socket, bytes: Buffer, release: Release): void {
    if (this.#closed) return void socket.destroy();
    if (this.#loaded !== undefined) return this.#loaded.accept(socket, bytes, release);
    this.#waiting.add(socket);
    const loading = (this.#loading ??= this.#load());
    loading.then(
      (loaded) => {
        this.#started(loaded);
        if (this.#waiting.delete(socket)) loaded.accept(socket, bytes, release);
        else socket.destroy();
      },
      () => {
        // The next connection tries again.
        if (this.#loading === loading) this.#loading = undefined;
        this.#waiting.delete(socket);
        socket.destroy();
      },
    );
  }

  async drain(): Promise<void> {
    this.#draining = true;
    await (await this.#loading?.catch(() => undefined))?.drain();
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const socket of this.#waiting) socket.destroy();
    this.#waiting.clear();
    await (await this.#loading?.catch(() => undefined))?.close();
  }

  #started(loaded: Accepting): void {
    if (this.#loaded !== undefined) return;
    this.#loaded = loaded;
    if (this.#draining) void loaded.drain();
  }
}
