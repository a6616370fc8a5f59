import type { Socket } from "node:net";
import { connectionGrain, Deadlines, type Expiring } from "../../internal/deadlines.ts";
import type { Accepting } from "../../internal/lazy-acceptor.ts";
import type { CallHandler } from "../../protocol.ts";
import { readPreface } from "../../wire/fast/frame.ts";
import { directHandler, type DirectHandler } from "./by-unary.ts";
import type { LinkOptions } from "./link.ts";
import { ServerLink, type ServerHome } from "./server.ts";

interface Newcomer extends Expiring {
  readonly socket: Socket;
  expire(): void;
}

/** Connections that begin with our preface, or that TLS has named ours. */
export class FastAcceptor implements Accepting, ServerHome {
  readonly options: LinkOptions;
  readonly calls: DirectHandler;
  readonly #prefaceTimeout: number;
  readonly #links = new Set<ServerLink>();
  readonly #newcomers = new Set<Newcomer>();
  readonly #deadlines: Deadlines<Newcomer | ServerLink>;
  #draining = false;
  #closed = false;
  #empty: (() => void)[] = [];

  constructor(options: LinkOptions, prefaceTimeout: number, calls: CallHandler) {
    this.options = options;
    this.calls = directHandler(calls);
    this.#prefaceTimeout = prefaceTimeout;
    this.#deadlines = new Deadlines<Newcomer | ServerLink>(
      options.clock,
      () => this.#watched(),
      (one) => one.expire(),
      connectionGrain,
    );
  }

  accept(socket: Socket, bytes: Buffer): void {
    if (this.#closed) return void socket.destroy();
    const found = readPreface(bytes);
    if (found === undefined) return this.#wait(socket, bytes);
    if (found === false || found.version < 1) return void socket.destroy();
    socket.unref();
    const link = new ServerLink(socket, this);
    this.#links.add(link);
    link.begin(bytes.subarray(found.end));
    if (this.#draining && !link.closed) link.drain();
  }

  gone(link: ServerLink): void {
    this.#links.delete(link);
    if (this.#links.size > 0) return;
    if (this.#newcomers.size === 0) this.#deadlines.close();
    const empty = this.#empty;
    this.#empty = [];
    for (const resolve of empty) resolve();
  }

  watch(deadline: number): void {
    this.#deadlines.add(deadline);
  }

  async drain(): Promise<void> {
    this.#draining = true;
    for (const link of this.#links) link.drain();
    if (this.#links.size > 0) await new Promise<void>((resolve) => this.#empty.push(resolve));
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const { socket } of this.#newcomers) socket.destroy();
    this.#newcomers.clear();
    for (const link of this.#links) link.close("the server was closed");
    this.#deadlines.close();
  }

  *#watched(): Iterable<Newcomer | ServerLink> {
    yield* this.#newcomers;
    yield* this.#links;
  }

  /** TLS says that it is ours, its preface is still to come. */
  #wait(socket: Socket, bytes: Buffer): void {
    let seen = bytes;
    const leave = (): void => {
      this.#newcomers.delete(newcomer);
      socket.off("data", data).off("end", end).off("close", leave);
    };
    const data = (chunk: Buffer): void => {
      seen = Buffer.concat([seen, chunk]);
      if (readPreface(seen) === undefined) return;
      leave();
      socket.pause();
      this.accept(socket, seen);
    };
    const end = (): void => {
      leave();
      socket.destroy();
    };
    const newcomer: Newcomer = { socket, deadline: this.options.clock.now() + this.#prefaceTimeout, expire: end };
    this.#newcomers.add(newcomer);
    this.#deadlines.add(newcomer.deadline);
    socket.on("data", data).on("end", end).on("close", leave);
    socket.resume();
  }
}
