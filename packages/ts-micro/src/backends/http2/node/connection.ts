import {
  performServerHandshake,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from "node:http2";
import type { Socket } from "node:net";
import { exitAmbient } from "../../../internal/ambient.ts";
import type { Expiring } from "../../../internal/deadlines.ts";
import { endName } from "../../../internal/net-address.ts";
import { http2Codes } from "../../http2.ts";
import { NodeExchange } from "./exchange.ts";
import type { NodeServer } from "./server.ts";
import { ignore } from "./stream.ts";

/** Megabytes that node:http2 may hold for one connection, what waits to be read by its peer included. */
const memory = 256;

/** One client's connection on node:http2: what it may take, and for how long. */
export class NodeConnection implements Expiring {
  deadline: number;
  readonly local: string;
  readonly remote: string;
  readonly #server: NodeServer;
  readonly #socket: Socket;
  readonly #session: ServerHttp2Session;
  #streams = 0;
  #greeted = false;
  #draining = false;
  #resets = 0;
  #resetAt: number;
  #read = -1;
  #pinging = false;
  #reason = "";

  constructor(server: NodeServer, socket: Socket, bytes: Buffer) {
    const { options } = server;
    this.#server = server;
    this.#socket = socket;
    this.local = endName(socket.localAddress, socket.localPort);
    this.remote = endName(socket.remoteAddress, socket.remotePort);
    this.#resetAt = options.clock.now();
    this.deadline = this.#resetAt + options.greeting;
    // Node hands the session what it was given; a `resume` after that would pour it away.
    if (bytes.length > 0) socket.unshift(bytes);
    this.#session = exitAmbient(() =>
      performServerHandshake(socket, {
        maxSessionMemory: memory,
        settings: {
          maxConcurrentStreams: options.maxStreams,
          initialWindowSize: options.window,
          maxHeaderListSize: options.maxHeader,
        },
      }),
    );
    const session = this.#session;
    // In a turn of its own, whoever asks: destroyed in mid-read, Node 22 ends the process when the read has requests behind.
    const destroy = session.destroy.bind(session);
    session.destroy = (error, code) => void setImmediate(destroy, error, code);
    session.setLocalWindowSize(options.window * 16);
    session.on("error", ignore);
    session.once("remoteSettings", () => {
      this.#greeted = true;
      this.#rest();
    });
    session.on("stream", (stream, headers, flags) => this.#begin(stream, headers, flags));
    session.once("close", () => {
      socket.destroy();
      this.#server.left(this);
    });
    // HTTP/2 has no half-closed connections.
    socket.once("end", () => socket.destroy()).once("close", () => session.destroy());
  }

  /** Requests are under way. */
  get busy(): boolean {
    return this.#streams > 0;
  }

  get lost(): boolean {
    return this.#session.destroyed || this.#socket.destroyed;
  }

  /** Takes no new requests. One that came `late`, while others were drained, has its first one answered. */
  drain(late: boolean): void {
    this.#draining = true;
    if (!late) this.#goaway();
  }

  /** Cuts it off. */
  destroy(): Promise<void> {
    this.#session.destroy();
    return new Promise((resolve) => {
      const cut = (): void => {
        this.#socket.destroy();
        resolve();
      };
      // A turn later, so that what tells the client is on its way: cut off sooner, one on TLS may not notice.
      setImmediate(() => setImmediate(cut));
    });
  }

  /** Nothing was heard for as long as the connection's state allows. */
  expire(): void {
    if (this.lost) return void this.destroy();
    if (!this.#greeted) return this.#drop("no settings", http2Codes.protocol);
    if (this.#streams === 0) return this.#goaway();
    const { keepalive, keepaliveTimeout } = this.#server.options;
    const read = this.#socket.bytesRead;
    if (read !== this.#read) {
      this.#read = read;
      this.#pinging = false;
      return this.#arm(keepalive);
    }
    if (this.#pinging) return this.#drop("no answer to a ping", http2Codes.none);
    this.#pinging = true;
    this.#session.ping(ignore);
    this.#arm(keepaliveTimeout);
  }

  /** A request is over; `reset` by the client, or by what it sent wrong. */
  over(reset: boolean): void {
    if (--this.#streams === 0) {
      this.#rest();
      this.#server.wake();
    }
    if (reset) this.#suffer();
  }

  #begin(stream: ServerHttp2Stream, headers: IncomingHttpHeaders, flags: number): void {
    if (this.#reason !== "") return void stream.on("error", ignore);
    if (this.#streams++ === 0) this.#arm(this.#server.options.keepalive);
    const exchange = new NodeExchange(this, stream, headers, (flags & 1) === 1);
    if (this.#draining) this.#goaway();
    // `aborted`: a reset with NO_ERROR, which leaves what came before it to be read.
    if (stream.destroyed || stream.aborted) return exchange.close();
    this.#server.options.request(exchange);
  }

  #goaway(): void {
    if (!this.#session.closed && !this.#session.destroyed) this.#session.close();
  }

  /** Counts a reset; what is left of the budget is what time has given back. */
  #suffer(): void {
    const { clock, resets } = this.#server.options;
    const now = clock.now();
    this.#resets = Math.max(0, this.#resets - ((now - this.#resetAt) / 1000) * resets.perSecond) + 1;
    this.#resetAt = now;
    if (this.#resets > resets.burst) this.#drop("too many resets", http2Codes.calm);
  }

  #drop(reason: string, code: number): void {
    if (this.#reason !== "") return;
    this.#reason = reason;
    this.#server.dropped({ local: this.local, remote: this.remote, reason });
    this.#session.destroy(new Error(reason), code);
    // A peer that does not read would keep the socket until its bytes have left.
    if (code === http2Codes.none) this.#socket.destroy();
  }

  #rest(): void {
    this.#arm(this.#server.options.idle);
  }

  #arm(ms: number): void {
    this.deadline = this.#server.options.clock.now() + ms;
    this.#server.watch(this.deadline);
  }
}
