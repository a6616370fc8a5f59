import { systemClock, type Clock } from "../clock.ts";
import { abortReason } from "../context.ts";
import { errors, MicroError } from "../errors.ts";
import { exitAmbient } from "../internal/ambient.ts";
import type { Driver } from "../internal/driver.ts";
import type { Listener } from "../protocol.ts";
import type { Connection, DialOptions, Transport } from "../transport.ts";
import type { Node } from "../wire/registry-record.ts";
import { Lease } from "./common/lease.ts";
import { End } from "./memory/end.ts";
import { Pool } from "./common/pool.ts";

export interface MemoryTransportOptions {
  /** Largest body, in bytes. Default 4 MiB. */
  maxBody?: number | undefined;
  /** Most idle connections kept for each address. Default 100. */
  poolSize?: number | undefined;
  clock?: Clock | undefined;
}

const id = "ts.micro.transport.memory";

/**
 * A world of its own inside the process: nodes are reached only through the instance that they listen on, addresses are plain names.
 * Messages are copied and delivered later, in order, as over a wire; there are no sockets and no ports.
 */
export function memoryTransport(options: MemoryTransportOptions = {}): Transport {
  return new MemoryTransport(options);
}

/** How it is chosen by name. */
export const driver: Driver<Transport> = { name: "memory", fromAddress: () => memoryTransport() };

class Place implements Listener {
  readonly address: string;
  readonly ends = new Set<End>();
  readonly #serve: (connection: Connection) => void;
  readonly #leave: () => void;
  #draining = false;
  #drained: (() => void)[] = [];

  constructor(address: string, serve: (connection: Connection) => void, leave: () => void) {
    this.address = address;
    this.#serve = serve;
    this.#leave = leave;
  }

  connect(end: End): void {
    this.ends.add(end);
    end.onOver = () => {
      this.ends.delete(end);
      this.#settle();
    };
    end.onIdle = () => this.#draining && end.end("draining");
    exitAmbient(() => this.#serve(end));
  }

  async drain(): Promise<void> {
    this.#draining = true;
    for (const end of this.ends) if (end.idle) end.end("draining");
    if (this.ends.size > 0) await new Promise<void>((resolve) => this.#drained.push(resolve));
  }

  async close(): Promise<void> {
    this.#leave();
    for (const end of this.ends) end.end("the listener was closed", true);
    this.#settle();
  }

  #settle(): void {
    if (this.ends.size > 0) return;
    const drained = this.#drained;
    this.#drained = [];
    for (const resolve of drained) resolve();
  }
}

class MemoryTransport implements Transport {
  readonly name = "memory";
  readonly #places = new Map<string, Place>();
  readonly #pool: Pool<End>;
  readonly #clients = new Set<End>();
  readonly #clock: Clock;
  readonly #maxBody: number;
  #named = 0;
  #dialled = 0;
  #closed = false;

  constructor(options: MemoryTransportOptions) {
    this.#clock = options.clock ?? systemClock;
    this.#maxBody = options.maxBody ?? 4 << 20;
    this.#pool = new Pool({ size: options.poolSize ?? 100, ttl: Infinity, clock: this.#clock });
  }

  async start(): Promise<void> {}

  async dial(node: Node, options: DialOptions): Promise<Connection> {
    const address = node.address;
    if (options.deadline <= this.#clock.now())
      throw new MicroError({ id, code: "TIMEOUT", detail: `dial ${address}: no time left`, refused: true });
    const known = options.reuse ? this.#pool.take(address) : undefined;
    if (known !== undefined) return new Lease(known);
    if (options.signal?.aborted) throw abortReason(options.signal, id);
    const place = this.#closed ? undefined : this.#places.get(address);
    if (place === undefined) {
      const detail = this.#closed ? "the transport is closed" : `dial ${address}: nobody listens there`;
      throw new MicroError({ id, code: "UNAVAILABLE", detail, refused: true });
    }
    const from = `client-${++this.#dialled}`;
    const client = new End(from, address, this.#maxBody);
    const server = new End(address, from, this.#maxBody);
    client.join(server);
    this.#pool.born(client);
    this.#clients.add(client);
    client.onOver = () => {
      this.#clients.delete(client);
      this.#pool.drop(client);
    };
    client.onRelease = () => (options.reuse ? this.#pool.give(client) : client.close());
    place.connect(server);
    return new Lease(client);
  }

  forget(node: Node): void {
    this.#pool.forget(node.address);
  }

  /** `address` is any name; an empty one, or one that ends in `:0`, is made unique. */
  async listen(address: string, serve: (connection: Connection) => void): Promise<Listener> {
    if (this.#closed) throw errors.invalidState(id, "the transport is closed");
    let name = address;
    if (address === "") name = `memory-${++this.#named}`;
    else if (address.endsWith(":0")) name = `${address.slice(0, -1)}${++this.#named}`;
    if (this.#places.has(name)) throw errors.conflict(id, `listen ${name}: the address is in use`);
    const place: Place = new Place(name, serve, () => {
      if (this.#places.get(name) === place) this.#places.delete(name);
    });
    this.#places.set(name, place);
    return place;
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#pool.close();
    for (const client of this.#clients) client.end("the transport was closed", true);
    for (const place of this.#places.values()) await place.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
