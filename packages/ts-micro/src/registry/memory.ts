import { systemClock, type Clock } from "../clock.ts";
import { errors } from "../errors.ts";
import type { Driver } from "../internal/driver.ts";
import { checkRecord } from "./common/records.ts";
import { Registrations } from "./common/registrations.ts";
import { Watchers } from "./common/watchers.ts";
import type {
  LookupOptions,
  RegisterOptions,
  Registry,
  RegistryEvent,
  ServiceRecord,
  WatchOptions,
  Watcher,
} from "../registry.ts";

/** What registries that see each other have in common; made by {@link memoryWorld}. */
export interface MemoryWorld {
  readonly registrations: Registrations;
  readonly seen: Set<(event: RegistryEvent) => void>;
}

export interface MemoryRegistryOptions {
  /** There from the beginning, for ever. */
  services?: readonly ServiceRecord[] | undefined;
  /** Shared by the registries that are to see each other. Default: a world of its own. */
  world?: MemoryWorld | undefined;
  /** How time passes for TTLs; `world` has its own. */
  clock?: Clock | undefined;
}

/** A world for several memory registries of one process. */
export function memoryWorld(clock: Clock = systemClock): MemoryWorld {
  const seen = new Set<(event: RegistryEvent) => void>();
  const emit = (event: RegistryEvent): void => {
    for (const see of seen) see(event);
  };
  return { registrations: new Registrations(clock, emit), seen };
}

/** A registry inside the process, unknown to anybody else. Mirrors v4:registry/memory.go; expiry is exact. */
export function memoryRegistry(options: MemoryRegistryOptions = {}): Registry {
  return new MemoryRegistry(options.world ?? memoryWorld(options.clock), options.services ?? []);
}

/** Chosen by name: `MICRO_REGISTRY=memory`. There is no address. */
export const driver: Driver<Registry> = { name: "memory", fromAddress: () => memoryRegistry() };

class MemoryRegistry implements Registry {
  readonly name = "memory";
  readonly #world: MemoryWorld;
  readonly #watchers = new Watchers("memory");
  readonly #see = (event: RegistryEvent): void => this.#watchers.emit(event);
  #closed = false;

  constructor(world: MemoryWorld, services: readonly ServiceRecord[]) {
    this.#world = world;
    for (const service of services) world.registrations.add(service, undefined);
    world.seen.add(this.#see);
  }

  async start(): Promise<void> {
    this.#check();
  }

  async register(service: ServiceRecord, options: RegisterOptions = {}): Promise<void> {
    this.#check(options.signal);
    checkRecord(service, this.name);
    this.#world.registrations.add(service, options.ttl);
  }

  async deregister(service: ServiceRecord, options: LookupOptions = {}): Promise<void> {
    this.#check(options.signal);
    this.#world.registrations.remove(service);
  }

  async getService(name: string, options: LookupOptions = {}): Promise<ServiceRecord[]> {
    this.#check(options.signal);
    return this.#world.registrations.get(name);
  }

  async listServices(options: LookupOptions = {}): Promise<ServiceRecord[]> {
    this.#check(options.signal);
    return this.#world.registrations.list();
  }

  watch(options: WatchOptions = {}): Watcher {
    return this.#watchers.watch(options, async () => this.#check());
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#watchers.close();
    this.#world.seen.delete(this.#see);
    if (this.#world.seen.size === 0) this.#world.registrations.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #check(signal?: AbortSignal): void {
    if (this.#closed) throw errors.invalidState(this.name, "the registry is closed");
    if (signal?.aborted === true) throw errors.cancelled(this.name, "the caller gave up");
  }
}
