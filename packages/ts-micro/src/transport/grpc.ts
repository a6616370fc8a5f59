import { http2Acceptor } from "../backends/http2/acceptor.ts";
import { Http2Dialer } from "../backends/http2/dialer.ts";
import { Cancellation, linkSignal } from "../context.ts";
import { errors, type MicroError } from "../errors.ts";
import { bounded } from "../internal/bounded.ts";
import { dialFailure } from "../internal/dial.ts";
import type { Driver } from "../internal/driver.ts";
import { filled } from "../internal/filled.ts";
import type { Acceptor, WireDefaults } from "../protocol.ts";
import type { Connection, DialOptions, Transport } from "../transport.ts";
import type { Node } from "../wire/registry-record.ts";
import { ClientEnd } from "./grpc/client.ts";
import { id } from "./grpc/end.ts";
import { settingsOf, type GrpcTransportOptions, type Settings } from "./grpc/options.ts";
import { pooledDefaults } from "./common/options.ts";
import { Lease } from "./common/lease.ts";
import { Pool } from "./common/pool.ts";

export type { GrpcTransportOptions } from "./grpc/options.ts";

/**
 * Go Micro's grpc transport: mucp's messages on a gRPC stream for each connection, all of one address on one HTTP/2 connection (wire spec
 * §4.9). Not the grpc protocol, which needs no mucp.
 */
export function grpcTransport(options: GrpcTransportOptions = {}): Transport {
  return new GrpcTransport(options);
}

/** How it is chosen by name. */
export const driver: Driver<Transport> = { name: "grpc", fromAddress: () => grpcTransport() };

class GrpcTransport implements Transport {
  readonly name = "grpc";
  readonly #options: GrpcTransportOptions;
  readonly #settings: Settings;
  readonly #pool: Pool<ClientEnd>;
  readonly #ends = new Set<ClientEnd>();
  readonly #dialers = new Map<string, Http2Dialer>();
  #closed = false;

  constructor(options: GrpcTransportOptions) {
    const settings = settingsOf(options);
    this.#options = options;
    this.#settings = settings;
    this.#pool = new Pool({ size: settings.poolSize, ttl: settings.poolTtl, clock: settings.clock });
  }

  async start(): Promise<void> {}

  withDefaults(defaults: WireDefaults): Transport {
    const options = filled(this.#options, pooledDefaults(defaults));
    return options === undefined ? this : new GrpcTransport(options);
  }

  async dial(node: Node, options: DialOptions): Promise<Connection> {
    const { clock, maxBody } = this.#settings;
    const { deadline, reuse, signal } = options;
    const late = (): MicroError =>
      dialFailure(id, `dial ${node.address}: no connection within the deadline`, "TIMEOUT");
    if (this.#closed) throw errors.invalidState(id, "the transport is closed");
    if (deadline <= clock.now()) throw late();
    const tls = this.#settings.tls ?? (node.metadata["secure"] === "true" ? {} : undefined);
    const key = tls === undefined ? node.address : `tls ${node.address}`;
    const known = reuse ? this.#pool.take(key) : undefined;
    if (known !== undefined) {
      known.lend();
      return new Lease(known);
    }
    const cancellation = new Cancellation();
    const unlink = signal === undefined ? undefined : linkSignal(signal, cancellation, id);
    try {
      const dialer = this.#dialer(node.address, key, tls);
      const session = dialer.session ?? (await bounded({ clock, deadline, cancellation, late }, () => dialer.dial()));
      if (cancellation.reason !== undefined) throw cancellation.reason;
      const of = { scheme: dialer.scheme, authority: dialer.authority, key, maxBody };
      const end = new ClientEnd(
        session,
        of,
        (given) => (reuse ? this.#pool.give(given) : given.close()),
        (lost) => {
          this.#pool.drop(lost);
          this.#ends.delete(lost);
        },
      );
      this.#ends.add(end);
      this.#pool.born(end);
      return new Lease(end);
    } finally {
      unlink?.();
    }
  }

  forget(node: Node): void {
    for (const key of [node.address, `tls ${node.address}`]) {
      this.#pool.forget(key);
      this.#dialers.get(key)?.release();
      this.#dialers.delete(key);
    }
  }

  /** Every HTTP/2 connection of a port. */
  acceptor(serve: (connection: Connection) => void): Acceptor {
    return http2Acceptor(this.name, async () => {
      const [{ nodeHttp2 }, { GrpcTransportServer }] = await Promise.all([
        import("../backends/http2/node.ts"),
        import("./grpc/server.ts"),
      ]);
      return new GrpcTransportServer(nodeHttp2, this.#settings, serve);
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#pool.close();
    for (const end of this.#ends) end.lose("the transport was closed");
    for (const dialer of this.#dialers.values()) dialer.close();
    this.#dialers.clear();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #dialer(address: string, key: string, tls: Settings["tls"]): Http2Dialer {
    let dialer = this.#dialers.get(key);
    if (dialer === undefined)
      this.#dialers.set(key, (dialer = new Http2Dialer({ ...this.#settings, id, address, tls })));
    return dialer;
  }
}
