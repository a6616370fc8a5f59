// What calls and start load at first use is loaded here at once: virtual time must not wait for the disk.
import "../call.ts";
import "../core.ts";
import "../protocol/mucp/peer.ts";
import "../protocol/mucp/server.ts";
import { memoryBroker } from "../broker/memory.ts";
import type { Client } from "../client.ts";
import { createClient, type ClientOptions } from "../connect.ts";
import { milliseconds, type Duration } from "../duration.ts";
import { memoryLogger, type MemoryLogger } from "../logger/memory.ts";
import { memoryRegistry } from "../registry/memory.ts";
import type { Registry } from "../registry.ts";
import type { Broker } from "../broker.ts";
import { createService, type Service, type ServiceOptions } from "../service.ts";
import { memoryTransport } from "../transport/memory.ts";
import { virtualClock, type VirtualClock } from "./clock.ts";

/** A small world for tests: services and clients in one process, without ports, on virtual time. */
export interface Mesh extends AsyncDisposable {
  readonly clock: VirtualClock;
  readonly registry: Registry;
  readonly broker: Broker;
  /** Every line that services and clients of this mesh logged. */
  readonly logger: MemoryLogger;
  /** A service of this world. Give it handlers, then `start()`. Calls to it go through codec, protocol and transport, as over a network. */
  service<const N extends string>(name: N, options?: Omit<ServiceOptions<N>, "name">): Service<N>;
  client(options?: ClientOptions): Client;
  /** Lets virtual time pass. */
  advance(time: Duration): Promise<void>;
  /** Stops everything that was made here. */
  close(): Promise<void>;
}

/** A new world; several are strangers to each other. */
export function testMesh(): Mesh {
  const clock = virtualClock();
  const registry = memoryRegistry({ clock });
  const transport = memoryTransport({ clock });
  const broker = memoryBroker();
  const logger = memoryLogger();
  const made: (() => Promise<void>)[] = [];
  let count = 0;
  const parts = { registry, transport, broker, logger, clock, env: false } as const;
  const close = async (): Promise<void> => {
    let over = false;
    const stopped = Promise.all(made.splice(0).map((stop) => stop())).finally(() => (over = true));
    stopped.catch(() => {}); // seen below
    // Who waits for a handler that does not end does so on this clock, which nobody else moves any more.
    for (let n = 0; n < 200 && !over; n++) await clock.advance(n < 20 ? 0 : 1000);
    await stopped;
    await Promise.all([registry.close(), transport.close(), broker.close()]);
  };
  return {
    clock,
    registry,
    broker,
    logger,
    service(name, options) {
      const id = String(++count);
      const service = createService({ ...parts, name, id, address: `${name}-${id}`, settle: 0, ...options });
      made.push(() => service.stop());
      return service;
    },
    client(options) {
      const client = createClient({ ...parts, ...options });
      made.push(() => client.close());
      return client;
    },
    advance: (time) => clock.advance(milliseconds(time)),
    close,
    [Symbol.asyncDispose]: close,
  };
}
