import { abortReason } from "../context.ts";
import { errors, type MicroError } from "../errors.ts";
import { dialFailure, openSocket, type Dialler } from "../internal/dial.ts";
import { Inlet } from "../internal/inlet.ts";
import type { Driver } from "../internal/driver.ts";
import { filled } from "../internal/filled.ts";
import { LazyAcceptor } from "../internal/lazy-acceptor.ts";
import type { Acceptor, WireDefaults } from "../protocol.ts";
import type { Connection, DialOptions, Transport, Wants } from "../transport.ts";
import type { Node } from "../wire/registry-record.ts";
import type { ClientEnd } from "./http/client.ts";
import { Ends } from "./http/ends.ts";
import { id, settingsOf, type HttpTransportOptions, type Settings } from "./http/options.ts";
import { matcher } from "./http/wanted.ts";
import { pooledDefaults } from "./common/options.ts";
import { Lease } from "./common/lease.ts";
import { Pool } from "./common/pool.ts";

export type { HttpTransportOptions } from "./http/options.ts";

/**
 * Go Micro's default transport: one `POST /` over HTTP/1.1 for each message, one `200` for each answer, and no rule that ties the two
 * together (wire spec §2). Plain TCP, TLS and Unix sockets. Connections for unary calls are pooled by address.
 */
export function httpTransport(options: HttpTransportOptions = {}): Transport {
  return new HttpTransport(options);
}

/** How it is chosen by name. */
export const driver: Driver<Transport> = { name: "http", fromAddress: () => httpTransport() };

class HttpTransport implements Transport {
  readonly name = "http";
  readonly #options: HttpTransportOptions;
  readonly #settings: Settings;
  readonly #dialler: Dialler;
  readonly #pool: Pool<ClientEnd>;
  readonly #ends: Ends<ClientEnd>;
  #closed = false;

  constructor(options: HttpTransportOptions) {
    const settings = settingsOf(options);
    this.#options = options;
    this.#settings = settings;
    this.#dialler = { id, clock: settings.clock, dialTimeout: settings.dialTimeout, alpn: ["http/1.1"] };
    this.#pool = new Pool({ size: settings.poolSize, ttl: settings.poolTtl, clock: settings.clock });
    this.#ends = new Ends(settings.clock);
  }

  async start(): Promise<void> {}

  withDefaults(defaults: WireDefaults): Transport {
    const options = filled(this.#options, pooledDefaults(defaults));
    return options === undefined ? this : new HttpTransport(options);
  }

  async dial(node: Node, options: DialOptions): Promise<Connection> {
    const { deadline, reuse } = options;
    if (this.#closed) throw closed();
    if (deadline <= this.#settings.clock.now()) throw dialFailure(id, `dial ${node.address}: no time left`, "TIMEOUT");
    const { address } = node;
    const tls = this.#tls(node);
    const key = tls === undefined ? address : `tls ${address}`;
    const known = reuse ? this.#pool.take(key) : undefined;
    if (known !== undefined) {
      known.lend();
      return new Lease(known);
    }
    const { ClientEnd } = await import("./http/client.ts");
    if (options.signal?.aborted) throw abortReason(options.signal, id);
    const inlet = new Inlet();
    const { signal } = options;
    const onread = tls === undefined ? inlet.onread : undefined;
    const socket = await openSocket(address, tls, { deadline, signal, onread }, this.#dialler);
    if (this.#closed) {
      socket.destroy();
      throw closed();
    }
    const end = new ClientEnd({
      socket,
      inlet,
      settings: this.#settings,
      ends: this.#ends,
      key,
      address,
      released: (end) => (reuse ? this.#pool.give(end) : end.close()),
      lost: (end) => this.#pool.drop(end),
    });
    this.#pool.born(end);
    return new Lease(end);
  }

  lease(node: Node): Connection | undefined {
    if (this.#closed) return undefined;
    const known = this.#pool.take(this.#tls(node) === undefined ? node.address : `tls ${node.address}`);
    known?.lend();
    return known;
  }

  #tls(node: Node): Settings["tls"] {
    return this.#settings.tls ?? (node.metadata["secure"] === "true" ? {} : undefined);
  }

  forget(node: Node): void {
    this.#pool.forget(node.address);
    this.#pool.forget(`tls ${node.address}`);
  }

  acceptor(serve: (connection: Connection) => void, wants?: Wants): Acceptor {
    const settings = this.#settings;
    return new LazyAcceptor("http", ["http/1.1"], matcher(settings, wants), async () => {
      const { HttpAcceptor } = await import("./http/server.ts");
      return new HttpAcceptor(settings, serve, wants);
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#pool.close();
    for (const end of this.#ends.all) end.shut("the transport was closed");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

function closed(): MicroError {
  return errors.invalidState(id, "the transport is closed");
}
