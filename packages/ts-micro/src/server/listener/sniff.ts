import type { Socket } from "node:net";
import type { Clock } from "../../clock.ts";
import { Deadlines, type Expiring } from "../../internal/deadlines.ts";
import type { Acceptor } from "../../protocol.ts";
import { Gathered } from "../../wire/http1/bytes.ts";

export interface SnifferOptions {
  acceptors: readonly Acceptor[];
  clock: Clock;
  /** Milliseconds to the first byte, and from there to a decision. */
  firstByte: number;
  head: number;
  /** Most bytes read before a decision. */
  most: number;
  shed(socket: Socket, reason: string): void;
}

/** A connection whose first bytes are being looked at. */
interface Newcomer extends Expiring {
  readonly socket: Socket;
  readonly candidates: readonly Acceptor[];
  readonly bytes: Gathered;
  deadline: number;
  /** Removes the listeners. */
  leave: () => void;
}

/** Reads first bytes until an acceptor wants them or none can. One deadline for all that a connection may take, however it dribbles. */
export class Sniffer {
  readonly #options: SnifferOptions;
  readonly #table = new Set<Newcomer>();
  readonly #deadlines: Deadlines<Newcomer>;
  #closed = false;

  constructor(options: SnifferOptions) {
    this.#options = options;
    this.#deadlines = new Deadlines(
      options.clock,
      () => this.#table,
      (newcomer) => this.#shed(newcomer, newcomer.bytes.length === 0 ? "no first byte" : "slow head"),
    );
  }

  get size(): number {
    return this.#table.size;
  }

  /** Takes a new connection, or one given back at a message boundary with the bytes read since. */
  take(socket: Socket, alpn?: string, bytes?: Buffer): void {
    if (this.#closed || socket.destroyed) return void socket.destroy();
    const { acceptors, clock, firstByte, head } = this.#options;
    const named = alpn === undefined ? [] : acceptors.filter((acceptor) => acceptor.alpn?.includes(alpn));
    const candidates = named.length > 0 ? named : acceptors;
    const seen = bytes !== undefined && bytes.length > 0;
    const newcomer: Newcomer = {
      socket,
      candidates,
      bytes: new Gathered(),
      deadline: clock.now() + (seen ? head : firstByte),
      leave: () => {},
    };
    if (named.length === 1 && !seen) return this.#give(newcomer, named[0] as Acceptor);
    const data = (chunk: Buffer): void => this.#read(newcomer, chunk);
    const end = (): void => this.#shed(newcomer, "closed before a request");
    const close = (): void => newcomer.leave();
    newcomer.leave = () => {
      this.#table.delete(newcomer);
      socket.off("data", data).off("end", end).off("close", close);
    };
    socket.on("data", data).on("end", end).on("close", close);
    this.#table.add(newcomer);
    this.#deadlines.add(newcomer.deadline);
    if (seen) this.#read(newcomer, bytes);
    // A pause of the acceptor that gave it back is sticky.
    if (this.#table.has(newcomer)) socket.resume();
  }

  close(): void {
    this.#closed = true;
    this.#deadlines.close();
    for (const newcomer of this.#table) {
      newcomer.leave();
      newcomer.socket.destroy();
    }
  }

  #read(newcomer: Newcomer, chunk: Buffer): void {
    const { bytes } = newcomer;
    const seen = bytes.length;
    if (seen === 0) {
      newcomer.deadline = this.#options.clock.now() + this.#options.head;
      this.#deadlines.add(newcomer.deadline);
      bytes.adopt(chunk);
    } else bytes.append(chunk, 0, chunk.length);
    // An earlier acceptor that cannot tell yet comes before a later one that can.
    const prefix = bytes.view();
    for (const acceptor of newcomer.candidates) {
      const answer = acceptor.match(prefix, seen);
      if (answer === true) return this.#give(newcomer, acceptor);
      if (answer === undefined) {
        if (bytes.length > this.#options.most) this.#shed(newcomer, "head too large");
        return;
      }
    }
    this.#shed(newcomer, prefix[0] === 0x16 ? "TLS on a plain port" : "not a protocol spoken here");
  }

  // The order matters: without listeners and paused nothing is lost between us and the acceptor's own listeners.
  #give(newcomer: Newcomer, acceptor: Acceptor): void {
    const { socket } = newcomer;
    newcomer.leave();
    socket.pause();
    try {
      acceptor.accept(socket, newcomer.bytes.take(), (again, bytes) => this.take(again, undefined, bytes));
    } catch (error) {
      this.#options.shed(socket, `${acceptor.name}: ${String(error)}`);
    }
  }

  #shed(newcomer: Newcomer, reason: string): void {
    newcomer.leave();
    this.#options.shed(newcomer.socket, reason);
  }
}
