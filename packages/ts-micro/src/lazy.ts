import type { Broker, BrokerEvent } from "./broker.ts";
import { errors, type MicroError } from "./errors.ts";
import type { Component } from "./lifecycle.ts";
import type { Acceptor, Listener } from "./protocol.ts";
import type { Registry, Watcher } from "./registry.ts";
import type { Connection, Transport, Wants } from "./transport.ts";

/** A component made at first use. `close` before that does nothing and makes it unusable. */
class Later<T extends Partial<Component>> {
  readonly name: string;
  readonly #make: () => Promise<T>;
  #made: Promise<T> | undefined;
  #closed = false;
  value: T | undefined;

  constructor(name: string, make: () => Promise<T>) {
    this.name = name;
    this.#make = make;
  }

  get(): Promise<T> {
    if (this.#made !== undefined) return this.#made;
    if (this.#closed) return Promise.reject(errors.invalidState(this.name, "closed"));
    this.#made = this.#make().then((value) => (this.value = value));
    this.#made.catch(() => (this.#made = undefined));
    return this.#made;
  }

  async start(): Promise<void> {
    await (await this.get()).start?.();
  }

  async close(): Promise<void> {
    this.#closed = true;
    const made = await this.#made?.catch(() => undefined);
    await made?.close?.();
  }
}

/** A registry that is loaded at first use. */
export function lazyRegistry(name: string, make: () => Promise<Registry>): Registry {
  const later = new Later(name, make);
  return {
    name,
    start: () => later.start(),
    close: () => later.close(),
    [Symbol.asyncDispose]: () => later.close(),
    register: async (service, options) => (await later.get()).register(service, options),
    deregister: async (service, options) => (await later.get()).deregister(service, options),
    getService: async (service, options) => (await later.get()).getService(service, options),
    listServices: async (options) => (await later.get()).listServices(options),
    watch(options) {
      const watcher = later.get().then((registry) => registry.watch(options));
      watcher.catch(() => {});
      const close = async (): Promise<void> => {
        const inner: Watcher | undefined = await watcher.catch(() => undefined);
        await inner?.close();
      };
      const ready = watcher.then((inner) => inner.ready);
      ready.catch(() => {});
      return {
        ready,
        close,
        [Symbol.asyncDispose]: close,
        async *[Symbol.asyncIterator]() {
          yield* await watcher;
        },
      };
    },
  };
}

/** A broker that is loaded at first use. */
export function lazyBroker(name: string, make: () => Promise<Broker>): Broker {
  const later = new Later(name, async () => {
    const broker = await make();
    broker.onError ??= (error, event) => facade.onError?.(error, event);
    return broker;
  });
  const facade: Broker & { onError?: (error: MicroError, event?: BrokerEvent) => void } = {
    name,
    get address() {
      return later.value?.address ?? "";
    },
    get features() {
      return later.value?.features ?? { durable: false, redelivery: false, ack: false, wildcards: false };
    },
    start: () => later.start(),
    close: () => later.close(),
    [Symbol.asyncDispose]: () => later.close(),
    publish: async (topic, message, options) => (await later.get()).publish(topic, message, options),
    subscribe: async (topic, handler, options) => (await later.get()).subscribe(topic, handler, options),
  };
  return facade;
}

/** A transport that is loaded at first use. `acceptor` and `listen` are there once it has started. */
export function lazyTransport(name: string, make: () => Promise<Transport>): Transport {
  const later = new Later(name, make);
  return {
    name,
    start: () => later.start(),
    close: () => later.close(),
    [Symbol.asyncDispose]: () => later.close(),
    dial: async (node, options): Promise<Connection> => (await later.get()).dial(node, options),
    lease: (node) => later.value?.lease?.(node),
    forget: (node) => later.value?.forget(node),
    get acceptor(): ((serve: (connection: Connection) => void, wants?: Wants) => Acceptor) | undefined {
      const made = later.value;
      return made?.acceptor === undefined
        ? undefined
        : (serve, wants) => (made.acceptor as NonNullable<Transport["acceptor"]>)(serve, wants);
    },
    get listen(): ((address: string, serve: (connection: Connection) => void) => Promise<Listener>) | undefined {
      const made = later.value;
      return made?.listen === undefined
        ? undefined
        : (address, serve) => (made.listen as NonNullable<Transport["listen"]>)(address, serve);
    },
  } as Transport;
}
