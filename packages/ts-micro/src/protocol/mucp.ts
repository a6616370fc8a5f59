import { systemClock, type Clock } from "../clock.ts";
import { milliseconds, type Duration } from "../duration.ts";
import { errors } from "../errors.ts";
import { filled } from "../internal/filled.ts";
import { Later } from "../internal/later.ts";
import { parseAddress } from "../internal/net-address.ts";
import { LazyAcceptor } from "../internal/lazy-acceptor.ts";
import type { Acceptor, CallHandler, Listener, Peer, Protocol, WireDefaults } from "../protocol.ts";
import type { HttpRoute } from "../server.ts";
import type { Connection, Transport } from "../transport.ts";
import type { Node } from "../wire/registry-record.ts";
import type { MucpPeer } from "./mucp/peer.ts";
import { isMucp, mucpRoute } from "./mucp/route.ts";

const client = new Later(() => import("./mucp/peer.ts"));
const server = new Later(() => import("./mucp/server.ts"));

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

function isDialable(address: string): boolean {
  try {
    return parseAddress(address) !== undefined;
  } catch {
    return false;
  }
}

class Mucp implements Protocol {
  readonly name = "mucp";
  readonly metadata: Readonly<Record<string, string>>;
  readonly #options: MucpOptions;
  readonly #transport: Transport;
  /** That was made for it alone. */
  readonly #own: Transport | undefined;
  readonly #clock: Clock;
  readonly #grace: number;
  readonly #peers = new Set<MucpPeer>();
  #closed = false;

  constructor(options: MucpOptions, own?: Transport) {
    const { transport } = options;
    this.#options = options;
    this.#own = own;
    this.#transport = transport;
    this.#clock = options.clock ?? systemClock;
    this.#grace = milliseconds(options.goHalfCloseGrace ?? 2000);
    this.metadata = { protocol: "mucp", transport: transport.name, server: "mucp" };
  }

  // A transport that is loaded by name knows only after its start whether it has a port of its own.
  get acceptor(): ((calls: CallHandler, routes: readonly HttpRoute[]) => Acceptor) | undefined {
    const mount = this.#transport.acceptor?.bind(this.#transport);
    if (mount === undefined) return undefined;
    return (calls, routes) => {
      const inner = mount(this.#serve(calls), routes.length > 0 ? isMucp : undefined);
      return new LazyAcceptor(inner.name, inner.alpn ?? [], inner.match.bind(inner), async () => {
        await server.load();
        return inner;
      });
    };
  }

  routes(calls: CallHandler): readonly HttpRoute[] {
    return [
      mucpRoute(async (exchange) => {
        const [{ serveExchange }] = await Promise.all([import("./mucp/exchange.ts"), server.load()]);
        await serveExchange(exchange, calls, (end) => new server.now.ServerConnection(end, calls, this.#clock));
      }),
    ];
  }

  get listen(): ((address: string, calls: CallHandler) => Promise<Listener>) | undefined {
    const listen = this.#transport.listen?.bind(this.#transport);
    if (listen === undefined) return undefined;
    return async (address, calls) => {
      await server.load();
      return listen(address, this.#serve(calls));
    };
  }

  #serve(calls: CallHandler): (connection: Connection) => void {
    return (connection) => connection.receive(new server.now.ServerConnection(connection, calls, this.#clock));
  }

  start(): Promise<void> {
    return this.#transport.start();
  }

  withDefaults(defaults: WireDefaults): Protocol {
    const { transport: given } = this.#options;
    const transport = given.withDefaults?.(defaults) ?? given;
    const options = filled(this.#options, { clock: defaults.clock });
    if (transport === given) return options === undefined ? this : new Mucp(options, undefined);
    return new Mucp({ ...this.#options, ...options, transport }, transport);
  }

  /** Another transport's address, a queue's name say, is none of ours. */
  speaks(node: Node): boolean {
    const { protocol, transport, "ts-protocols": all } = node.metadata;
    if (protocol !== undefined && protocol !== "" && protocol !== "mucp")
      return all?.split(",").includes("mucp") === true;
    const same = transport === undefined || transport === "" || transport === this.#transport.name;
    // By another name it may be the same transport, as long as there is a host to dial.
    return same || this.#transport.name !== "http" || isDialable(node.address);
  }

  readonly loadClient = client.load;

  dial(node: Node): Peer {
    if (this.#closed) throw errors.invalidState("go.micro.client", "the protocol is closed");
    const peer = new client.now.MucpPeer(node, this.#transport, this.#clock, this.#grace, (left) =>
      this.#peers.delete(left),
    );
    this.#peers.add(peer);
    return peer;
  }

  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all([...this.#peers].map((peer) => peer.close()));
    await this.#own?.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
