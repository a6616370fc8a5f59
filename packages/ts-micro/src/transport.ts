import type { Component } from "./lifecycle.ts";
import type { MicroError } from "./errors.ts";
import type { Acceptor, Body, Listener, WireDefaults } from "./protocol.ts";
import type { Node } from "./wire/registry-record.ts";

/** What transports move. Names are canonical on HTTP; `header` has no prototype. */
export interface Message {
  header: Record<string, string>;
  body: Uint8Array;
}

/** Where a connection delivers. Neither method may throw. */
export interface Receiver {
  /** One message, in order. */
  message(message: Message): void;
  /**
   * Asked first by transports that have header lines: a flat list of canonical names, each once, and their values; the body, which is others'
   * when this has returned. False: it is wanted as a `message`.
   */
  lines?(headers: readonly string[], bytes: Buffer, from: number, to: number): boolean;
  /** The connection is over, once; `error` says why (CONNECTION_LOST for a plain end). No message follows. */
  closed(error: MicroError): void;
}

/** One connection, the same on both ends: messages in order, either way, at any time. */
export interface Connection {
  readonly local: string;
  readonly remote: string;
  /** Must be called once in the turn the connection was given; messages before it are kept. On a reused connection it replaces the last user's. */
  receive(receiver: Receiver): void;
  /**
   * One message, head and body in one write; the body must not change afterwards. Resolves when there is room for more (backpressure).
   * Rejects with CONNECTION_LOST, or with PAYLOAD_TOO_LARGE for a body above the limit, of which nothing was sent.
   */
  send(message: Message): Promise<void>;
  /**
   * As `send`, of transports that have header lines: the lines as they are to stand, in any pieces (`Name: value` and CRLF, nothing that frames
   * the message), and a body in any form, which is copied. Throws what `send` rejects with; does not wait for room.
   */
  readonly sendLines?: ((lines: readonly string[], body: Body) => void) | undefined;
  /** Stops reading from the peer until `resume`. */
  pause(): void;
  resume(): void;
  /** Client side: the exchange is complete, somebody else may have it. The former owner's hands are off it then. */
  release(): void;
  /**
   * Server side: whether calls are under way. Without being told, each received message is one until the next `send`, which suits unary
   * calls (reading may stop while many are unanswered); an owner that says true (streams) must say false after its last `send`, and then
   * nothing is under way. A connection that is not busy is closed by `drain`, by the peer's `Connection: close`, and by the idle limit.
   */
  busy(yes: boolean): void;
  /** Ends it after what was sent has left; the own receiver hears nothing more. */
  close(): void;
  /** Ends it now. */
  destroy(): void;
}

/** Whether a message is wanted; its header is a flat list of canonical names and values, `target` what it was sent to. */
export type Wants = (message: {
  readonly method: string;
  readonly target: string;
  readonly headers: readonly string[];
}) => boolean;

export interface DialOptions {
  /** True: an idle connection will do and may be given back with `release`. False: one of its own (streams). */
  reuse: boolean;
  /** Give up then, with TIMEOUT. Clock time; Infinity for the transport's own dial timeout alone. */
  deadline: number;
  /** Gives up the dial. Read only where one is really made: a caller may make the signal when it is asked for, which costs more than a pooled connection. */
  readonly signal?: AbortSignal | undefined;
}

/** Moves messages `{ header, body }`; only mucp stands on it. Mirrors v4:transport/transport.go. It owns its connections and their pool. */
export interface Transport extends Component {
  /** `http`, `memory`, `nats` …: what nodes advertise as `transport`. */
  readonly name: string;
  /**
   * Another transport, made with the same options and `defaults` for those that were left open; itself when that changes nothing. Not for
   * transports that are reached only through their instance. Whoever asks closes the other.
   */
  withDefaults?(defaults: WireDefaults): Transport;
  /** Rejects with UNAVAILABLE and `refused` when nobody could be reached: then nothing was sent. */
  dial(node: Node, options: DialOptions): Promise<Connection>;
  /** As `dial` with `reuse`, at once: an idle connection, if there is one. Its user forgets it when it lets go of it. */
  lease?(node: Node): Connection | undefined;
  /** Idle pooled connections to the node are let go. */
  forget(node: Node): void;
  /**
   * Mounted on the one port: a transport over sockets. `wants` tells which messages are its user's by what precedes their body; a connection
   * on which another one comes goes back to the listener at that boundary. Without it every message is.
   */
  acceptor?(serve: (connection: Connection) => void, wants?: Wants): Acceptor;
  /** Listens by itself: a transport without sockets of ours. */
  listen?(address: string, serve: (connection: Connection) => void): Promise<Listener>;
}
