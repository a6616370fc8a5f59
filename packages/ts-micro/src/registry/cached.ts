import { systemClock, type Clock } from "../clock.ts";
import { milliseconds, type Duration } from "../duration.ts";
import { errors, fromUnknown, type MicroError } from "../errors.ts";
import { exitAmbient } from "../internal/ambient.ts";
import type { LookupOptions, RegisterOptions, Registry, ServiceRecord, WatchOptions, Watcher } from "../registry.ts";
import { cloneRecord } from "./common/records.ts";
import { Watchers } from "./common/watchers.ts";
import { CachedService } from "./cached/service.ts";

/** Most names watched in the hope that a service of that name comes. */
const maxUnknown = 100;

/** A registry that remembers what was looked up, and follows the changes of it. */
export interface CachedRegistry extends Registry {
  /**
   * What is known of a service now, without asking; undefined when the registry has to be asked first. The very same array until something
   * changes; frozen. Old knowledge is renewed behind the caller's back.
   */
  peek(name: string): readonly ServiceRecord[] | undefined;
  /** Called with the name of each service whose records changed; returns how to stop. */
  onChange(listener: (name: string) => void): () => void;
}

export interface CachedRegistryOptions {
  /** How long an answer counts as fresh; after it the next use asks again, and serves the old one meanwhile. Default 1 min. */
  ttl?: Duration | undefined;
  /** Most services remembered, each with one watch; past it the least recently used one is forgotten. Default 1000. */
  maxNames?: number | undefined;
  clock?: Clock | undefined;
}

/**
 * Remembers lookups of `inner`: one lookup at a time per service, one supervised watch per service looked up, so that changes show at once.
 * While the registry is unreachable what is known goes on being served, and new names fail with REGISTRY_UNAVAILABLE. That there is none is
 * never remembered; a lookup that is to be `complete` asks `inner`, or joins one that does. Mirrors v4:registry/cache/cache.go (wire spec
 * §5.3). `start` starts `inner` too; `close` leaves it open.
 */
export function cachedRegistry(inner: Registry, options: CachedRegistryOptions = {}): CachedRegistry {
  return new Cached(inner, options);
}

class Cached implements CachedRegistry {
  readonly name: string;
  readonly #inner: Registry;
  readonly #clock: Clock;
  readonly #ttl: number;
  readonly #maxNames: number;
  /** Forgotten ones that somebody still waits for. */
  readonly #leaving = new Set<CachedService>();
  readonly #services = new Map<string, CachedService>();
  readonly #listeners = new Set<(name: string) => void>();
  readonly #end = new AbortController();
  #closed = false;
  #uses = 0;

  constructor(inner: Registry, options: CachedRegistryOptions) {
    this.name = inner.name;
    this.#inner = inner;
    this.#clock = options.clock ?? systemClock;
    this.#ttl = milliseconds(options.ttl ?? "1m");
    this.#maxNames = options.maxNames ?? 1000;
  }

  async start(): Promise<void> {
    this.#check();
    await this.#inner.start();
  }

  peek(name: string): readonly ServiceRecord[] | undefined {
    const service = this.#services.get(name);
    if (service === undefined) return undefined;
    service.used = ++this.#uses;
    service.renew();
    return service.records;
  }

  onChange(listener: (name: string) => void): () => void {
    const own = (name: string): void => listener(name);
    this.#listeners.add(own);
    return () => void this.#listeners.delete(own);
  }

  async getService(name: string, options: LookupOptions = {}): Promise<ServiceRecord[]> {
    this.#check();
    if (options.signal?.aborted === true) throw errors.cancelled(this.name, "the caller gave up");
    // What is remembered may be the answer of the first of several registries.
    const known = options.complete === true ? undefined : this.peek(name);
    const records = known?.length ? known : await this.#service(name).ask(options.signal, options.complete);
    return records.map(cloneRecord);
  }

  async listServices(options: LookupOptions = {}): Promise<ServiceRecord[]> {
    this.#check();
    try {
      return await this.#inner.listServices(options);
    } catch (error) {
      throw unavailable(error, this.name);
    }
  }

  async register(service: ServiceRecord, options?: RegisterOptions): Promise<void> {
    this.#check();
    await this.#inner.register(service, options);
  }

  async deregister(service: ServiceRecord, options?: LookupOptions): Promise<void> {
    this.#check();
    await this.#inner.deregister(service, options);
  }

  watch(options: WatchOptions = {}): Watcher {
    if (this.#closed) return new Watchers(this.name).watch(options, async () => this.#check());
    const signals = [this.#end.signal, ...(options.signal === undefined ? [] : [options.signal])];
    return this.#inner.watch({ ...options, signal: AbortSignal.any(signals) });
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#end.abort();
    this.#listeners.clear();
    const services = [...this.#services.values(), ...this.#leaving];
    this.#services.clear();
    await Promise.all(services.map((service) => service.close()));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #service(name: string): CachedService {
    let service = this.#services.get(name);
    if (service === undefined) {
      this.#makeRoom();
      const changed = (): void => {
        for (const listener of [...this.#listeners]) listener(name);
      };
      const fail = (error: unknown): MicroError => unavailable(error, this.name);
      service = exitAmbient(
        () => new CachedService(this.#inner, name, { ttl: this.#ttl, clock: this.#clock, changed, fail }),
      );
      this.#services.set(name, service);
    }
    service.used = ++this.#uses;
    return service;
  }

  #makeRoom(): void {
    // Names that do not exist never push out those that do.
    const unknown = [...this.#services.values()].filter((service) => !service.known);
    if (unknown.length >= maxUnknown) this.#forgetOldest(unknown);
    if (this.#services.size >= this.#maxNames) this.#forgetOldest(this.#services.values());
  }

  #forgetOldest(services: Iterable<CachedService>): void {
    let oldest: CachedService | undefined;
    for (const service of services) if (oldest === undefined || service.used < oldest.used) oldest = service;
    if (oldest === undefined) return;
    this.#services.delete(oldest.name);
    const leaving = oldest;
    this.#leaving.add(leaving);
    void leaving.forget().finally(() => this.#leaving.delete(leaving));
  }

  #check(): void {
    if (this.#closed) throw errors.invalidState(this.name, "the registry is closed");
  }
}

/** What the caller did wrong stays what it is; everything else means that the registry could not be asked. */
function unavailable(error: unknown, name: string): MicroError {
  const why = fromUnknown(error, name);
  if (why.code === "CANCELLED" || why.code === "INVALID_STATE" || why.code === "REGISTRY_UNAVAILABLE") return why;
  if (why.status < 500 && why.code !== "TIMEOUT") return why;
  return errors.registryUnavailable(name, `registry ${name}: ${why.detail}`, why);
}
