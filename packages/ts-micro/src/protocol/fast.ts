import { systemClock, type Clock } from "../clock.ts";
import { milliseconds, type Duration } from "../duration.ts";
import { errors } from "../errors.ts";
import { filled } from "../internal/filled.ts";
import { Later } from "../internal/later.ts";
import { LazyAcceptor } from "../internal/lazy-acceptor.ts";
import type { Acceptor, CallHandler, Peer, Protocol, WireDefaults } from "../protocol.ts";
import type { ClientTlsOptions } from "../tls.ts";
import { alpnName, defaults, isFast, leastPayload, requestSize, version } from "../wire/fast/frame.ts";
import type { Node } from "../wire/registry-record.ts";
import type { FastPeer, PeerOptions } from "./fast/peer.ts";

const client = new Later(() => import("./fast/peer.ts"));
const server = new Later(() => import("./fast/acceptor.ts"));

export interface FastOptions {
  /** Connections to one node. Default 1, which is the fastest unless both ends have CPUs to spare. */
  connections?: number | undefined;
  /** Longest body either way, in bytes, 16 KiB at least. Default 4 MiB. */
  maxBody?: number | undefined;
  /** What a sender of a stream may have on the way to a reader that does not read, in bytes. Default 256 KiB. */
  window?: number | undefined;
  /**
   * Bytes of all streams of a connection that may wait to be read here; the stream that brings more ends with RESOURCE_EXHAUSTED.
   * Default 64 MiB (256 streams of which nobody reads), 4 × (window + maxBody) where that is more.
   */
  maxUnread?: number | undefined;
  /** Silence after which the peer is asked whether it is there. Default 15 s. */
  pingInterval?: Duration | undefined;
  /** How long it may take to answer that. Default 10 s. */
  pingTimeout?: Duration | undefined;
  /** Limit of a dial, TLS handshake included. Default 5 s. */
  dialTimeout?: Duration | undefined;
  /** How long a node may take to answer the preface, before it is called another way. Default 2 s. */
  answerTimeout?: Duration | undefined;
  /** How long a node that did not answer it is called that other way. Default 5 min. */
  avoid?: Duration | undefined;
  /** Server: how long the preface may take where TLS has named the protocol. Default 10 s. */
  prefaceTimeout?: Duration | undefined;
  /** Every dial is TLS, with these options. Without it, TLS is for nodes that say `secure=true`, verified against the system's roots. */
  tls?: ClientTlsOptions | undefined;
  clock?: Clock | undefined;
}

/**
 * Our own framing (docs/wire/fast-framing.md): all calls and streams to a node on one connection, one write for all of a turn. Nodes that
 * serve it say `ts-wire=1`.
 */
export function fast(options: FastOptions = {}): Protocol {
  return new Fast(options);
}

function within(name: string, value: number, least: number, most: number): void {
  if (!Number.isInteger(value) || value < least || value > most)
    throw errors.badRequest("ts.micro.protocol.fast", `${name}: ${value} is not from ${least} to ${most}`);
}

class Fast implements Protocol {
  readonly name = "fast";
  readonly metadata: Readonly<Record<string, string>> = { protocol: "fast", transport: "tcp" };
  readonly marks: Readonly<Record<string, string>> = { "ts-wire": String(version) };
  readonly #given: FastOptions;
  readonly #options: PeerOptions;
  readonly #prefaceTimeout: number;
  readonly #peers = new Set<FastPeer>();
  #closed = false;

  constructor(options: FastOptions) {
    this.#given = options;
    const clock = options.clock ?? systemClock;
    const { connections = 1, maxBody = 4 << 20, window = defaults.credit } = options;
    within("connections", connections, 1, 1024);
    within("maxBody", maxBody, leastPayload - requestSize, 1 << 30);
    within("window", window, 1, 1 << 30);
    const { maxUnread = Math.max(64 << 20, 4 * (window + maxBody)) } = options;
    within("maxUnread", maxUnread, 1, 2 ** 40);
    this.#prefaceTimeout = milliseconds(options.prefaceTimeout ?? "10s");
    this.#options = {
      clock,
      connections,
      maxBody,
      window,
      maxUnread,
      pingInterval: milliseconds(options.pingInterval ?? "15s"),
      pingTimeout: milliseconds(options.pingTimeout ?? "10s"),
      answerTimeout: milliseconds(options.answerTimeout ?? "2s"),
      avoid: milliseconds(options.avoid ?? "5m"),
      tls: options.tls,
      dialler: {
        id: "ts.micro.protocol.fast",
        clock,
        dialTimeout: milliseconds(options.dialTimeout ?? "5s"),
        alpn: [alpnName, "http/1.1"],
      },
    };
  }

  async start(): Promise<void> {}

  withDefaults({ tls, maxMessageSize, clock }: WireDefaults): Protocol {
    const options = filled(this.#given, { tls, maxBody: maxMessageSize, clock });
    return options === undefined ? this : new Fast(options);
  }

  speaks(node: Node): boolean {
    const { protocol } = node.metadata;
    return Number(node.metadata["ts-wire"]) >= 1 && (protocol === "mucp" || protocol === "fast");
  }

  readonly loadClient = client.load;

  dial(node: Node, next?: () => Peer): Peer {
    if (this.#closed) throw errors.invalidState("go.micro.client", "the protocol is closed");
    const peer = new client.now.FastPeer(node, this.#options, next, (left) => this.#peers.delete(left));
    this.#peers.add(peer);
    return peer;
  }

  acceptor(calls: CallHandler): Acceptor {
    return new LazyAcceptor(this.name, [alpnName], isFast, async () => {
      await server.load();
      return new server.now.FastAcceptor(this.#options, this.#prefaceTimeout, calls);
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all([...this.#peers].map((peer) => peer.close()));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
