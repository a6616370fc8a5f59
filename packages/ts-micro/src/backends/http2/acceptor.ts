import type { Socket } from "node:net";
import type { Acceptor } from "../../protocol.ts";
import type { Http2Server } from "../http2.ts";

const preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");

/** HTTP/2 on a shared port: by its preface, or the TLS name `h2`. `load` makes the server at the first connection. */
export function http2Acceptor(name: string, load: () => Promise<Http2Server>): Acceptor {
  return new Http2Acceptor(name, load);
}

class Http2Acceptor implements Acceptor {
  readonly name: string;
  readonly alpn = ["h2"];
  readonly #load: () => Promise<Http2Server>;
  /** Connections that came before the engine was there. */
  readonly #waiting = new Set<Socket>();
  #loading: Promise<Http2Server> | undefined;
  #server: Http2Server | undefined;
  #draining = false;
  #closed = false;

  constructor(name: string, load: () => Promise<Http2Server>) {
    this.name = name;
    this.#load = load;
  }

  match(prefix: Buffer): boolean | undefined {
    const known = Math.min(prefix.length, preface.length);
    if (preface.compare(prefix, 0, known, 0, known) !== 0) return false;
    return known === preface.length ? true : undefined;
  }

  accept(socket: Socket, bytes: Buffer): void {
    if (this.#server !== undefined) return this.#server.accept(socket, bytes);
    this.#waiting.add(socket);
    this.#loading ??= this.#load();
    this.#loading.then(
      (server) => {
        this.#started(server);
        if (this.#waiting.delete(socket) && !this.#closed) server.accept(socket, bytes);
        else socket.destroy();
      },
      () => {
        // The next connection tries again.
        this.#loading = undefined;
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

  #started(server: Http2Server): void {
    if (this.#server !== undefined) return;
    this.#server = server;
    if (this.#draining) void server.drain();
  }
}
