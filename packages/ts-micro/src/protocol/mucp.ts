import { systemClock, type Clock } from "../clock.ts";
import { milliseconds, type Duration } from "../duration.ts";
import { errors } from "../errors.ts";
import type { Acceptor, CallHandler, Listener, Peer, Protocol } from "../protocol.ts";
import type { Transport } from "../transport.ts";
import type { Node } from "../wire/registry-record.ts";
import { MucpPeer } from "./mucp/peer.ts";
import { ServerConnection } from "./mucp/server.ts";

export interface MucpOptions {
  /** What moves the messages. Whoever made it closes it. */
  transport: Transport;
  /**
   * How long a bidi stream of a Go node may stay silent after our end before it counts as over: Go says nothing at the end when it has
   * seen ours. Default 2 s.
   */
  goHalfCloseGrace?: Duration | undefined;
  clock?: Clock | undefined;
}

/** Go Micro's own protocol, over any transport. Mirrors v4:client/rpc_client.go and v4:server/rpc_server.go (wire spec §1, §3). */
export function mucp(options: MucpOptions): Protocol {
  return new Mucp(options);
}

class Mucp implements Protocol {
  readonly name = "mucp";
  readonly metadata: Readonly<Record<string, string>>;
  readonly acceptor?: (calls: CallHandler) => Acceptor;
  readonly listen?: (address: string, calls: CallHandler) => Promise<Listener>;
  readonly #transport: Transport;
  readonly #clock: Clock;
  readonly #grace: number;
  readonly #peers = new Set<MucpPeer>();
  #closed = false;

  constructor(options: MucpOptions) {
    const { transport } = options;
    this.#transport = transport;
    this.#clock = options.clock ?? systemClock;
    this.#grace = milliseconds(options.goHalfCloseGrace ?? 2000);
    this.metadata = { protocol: "mucp", transport: transport.name, server: "mucp" };
    const serve =
      (calls: CallHandler) => (connection: Parameters<Parameters<NonNullable<Transport["listen"]>>[1]>[0]) => {
        connection.receive(new ServerConnection(connection, calls, this.#clock));
      };
    if (transport.acceptor !== undefined) this.acceptor = (calls) => transport.acceptor?.(serve(calls)) as Acceptor;
    if (transport.listen !== undefined)
      this.listen = (address, calls) => transport.listen?.(address, serve(calls)) as Promise<Listener>;
  }

  start(): Promise<void> {
    return this.#transport.start();
  }

  dial(node: Node): Peer {
    if (this.#closed) throw errors.invalidState("go.micro.client", "the protocol is closed");
    const peer = new MucpPeer(node, this.#transport, this.#clock, this.#grace, (left) => this.#peers.delete(left));
    this.#peers.add(peer);
    return peer;
  }

  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all([...this.#peers].map((peer) => peer.close()));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
