import { channel } from "node:diagnostics_channel";
import { createServer, type Server, type Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import { systemClock, type Clock } from "../clock.ts";
import { milliseconds, type Duration } from "../duration.ts";
import { errors } from "../errors.ts";
import { endName } from "../internal/net-address.ts";
import type { Acceptor, Listener } from "../protocol.ts";
import type { TlsOptions } from "../tls.ts";
import { bind } from "./listener/bind.ts";
import { Sniffer } from "./listener/sniff.ts";

export interface ListenOptions {
  /** `host:port`, `:0` (every interface, a free port), `host:5000-6000` (the first free one), `[::1]:80`, `unix:/path`. */
  address: string;
  /** In order of preference. */
  acceptors: readonly Acceptor[];
  /** Certificate and key: then every connection is TLS. */
  tls?: TlsOptions;
  /** Connections at once; further ones are closed as they come. Default 65536. */
  maxConnections?: number;
  /** How long a new connection may say nothing. Default 10 s. */
  firstByteTimeout?: Duration;
  /** From the first byte until it is known who takes the connection; also the TLS handshake. Default 5 s. */
  headTimeout?: Duration;
  /** Most bytes that are looked at before it is known. Default 1 MiB. */
  maxHead?: number;
  clock?: Clock;
}

/** A {@link Listener} that counts. */
export interface PortListener extends Listener {
  /** Open now, those whose wire is not known yet included. */
  readonly connections: number;
  /** Connections turned away, and accepts that failed. */
  readonly shed: number;
}

/** What `ts-micro:listener:shed` (node:diagnostics_channel) gets for each connection turned away. */
export interface Shed {
  readonly address: string;
  readonly remote: string;
  readonly reason: string;
}

const shedChannel = channel("ts-micro:listener:shed");

/**
 * One port for many wires: each connection goes to the first acceptor that wants its first bytes, or its TLS protocol name. Connections
 * that nobody wants are dropped, counted, and told on the diagnostics channel `ts-micro:listener:shed`. Keeps the event loop alive.
 * @throws MicroError CONFLICT when the address is in use, FORBIDDEN, BAD_REQUEST
 */
export async function listen(options: ListenOptions): Promise<PortListener> {
  const port = new Port(options);
  await port.start();
  return port;
}

class Port implements PortListener {
  address = "";
  shed = 0;
  readonly #options: ListenOptions;
  readonly #sockets = new Set<Socket>();
  readonly #sniffer: Sniffer;
  readonly #headMs: number;
  #server: Server | undefined;
  #closing: Promise<void> | undefined;

  constructor(options: ListenOptions) {
    this.#options = options;
    this.#headMs = milliseconds(options.headTimeout ?? "5s");
    this.#sniffer = new Sniffer({
      acceptors: options.acceptors,
      clock: options.clock ?? systemClock,
      firstByte: milliseconds(options.firstByteTimeout ?? "10s"),
      head: this.#headMs,
      most: options.maxHead ?? 1 << 20,
      shed: (socket, reason) => {
        this.#count(endName(socket.remoteAddress, socket.remotePort), reason);
        socket.destroy();
      },
    });
  }

  get connections(): number {
    return this.#sockets.size;
  }

  async start(): Promise<void> {
    const server = this.#options.tls === undefined ? this.#plain() : await this.#secure(this.#options.tls);
    server.maxConnections = this.#options.maxConnections ?? 65_536;
    server.on("connection", (socket: Socket) => {
      this.#sockets.add(socket);
      socket.once("close", () => this.#sockets.delete(socket));
    });
    server.on("drop", (data) => this.#count(endName(data?.remoteAddress, data?.remotePort), "too many connections"));
    this.address = await bind(server, this.#options.address);
    // EMFILE and the like: that one connection is lost, the port goes on.
    server.on("error", (error) => this.#count("", `accept: ${error.message}`));
    this.#server = server;
  }

  async drain(): Promise<void> {
    await Promise.all(this.#options.acceptors.map((acceptor) => acceptor.drain()));
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const closed = new Promise<void>((resolve) => {
      if (this.#server === undefined) resolve();
      else this.#server.close(() => resolve());
    });
    this.#sniffer.close();
    await Promise.allSettled(this.#options.acceptors.map((acceptor) => acceptor.close()));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  #plain(): Server {
    return createServer(socketOptions, (socket) => {
      socket.on("error", ignore);
      this.#sniffer.take(socket);
    });
  }

  async #secure(options: TlsOptions): Promise<Server> {
    const tls = await import("node:tls");
    const names = this.#options.acceptors.flatMap((acceptor) => acceptor.alpn ?? []);
    let server: Server;
    try {
      server = tls.createServer(
        { ...socketOptions, ALPNProtocols: [...new Set(names)], handshakeTimeout: this.#headMs, ...options },
        (socket: TLSSocket) => {
          socket.on("error", ignore);
          this.#sniffer.take(socket, socket.alpnProtocol || undefined);
        },
      );
    } catch (error) {
      throw errors.badRequest("ts.micro.server", `tls: ${(error as Error).message}`, error);
    }
    server.on("tlsClientError", (error: Error, socket: Socket) => {
      this.#count(endName(socket.remoteAddress, socket.remotePort), `TLS: ${error.message}`);
      socket.destroy();
    });
    return server;
  }

  #count(remote: string, reason: string): void {
    this.shed++;
    if (shedChannel.hasSubscribers) shedChannel.publish({ address: this.address, remote, reason } satisfies Shed);
  }
}

/** Half-open because clients may send FIN after their request: what that means is each wire's business. */
const socketOptions = { allowHalfOpen: true, noDelay: true, keepAlive: true, keepAliveInitialDelay: 60_000 };

// What broke shows in "close"; without a listener the error would end the process.
function ignore(): void {}
