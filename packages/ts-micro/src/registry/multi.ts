import { systemClock, type Clock } from "../clock.ts";
import { errors, fromUnknown, type MicroError } from "../errors.ts";
import { exitAmbient } from "../internal/ambient.ts";
import { mergeRecords, RecordTable } from "./common/record-table.ts";
import { checkRecord, cloneRecord } from "./common/records.ts";
import { Watchers } from "./common/watchers.ts";
import type { LookupOptions, RegisterOptions, Registry, ServiceRecord, WatchOptions, Watcher } from "../registry.ts";
import { first, type Answer } from "./multi/first.ts";
import { Follower } from "./multi/follower.ts";
import { Member, type Change, type MemberHealth } from "./multi/member.ts";

export type { MemberHealth } from "./multi/member.ts";

export interface MultiRegistryOptions {
  /** Name of the registry whose nodes are the only ones as long as it has some of a service. Default: those of all count. */
  prefer?: string | undefined;
  /** Called once when a registry stops answering, and again only after it had answered or for another reason. */
  onDegraded?: ((name: string, error: MicroError) => void) | undefined;
  clock?: Clock | undefined;
}

export interface MultiRegistry extends Registry {
  /** How each does, in the order given. */
  health(): readonly MemberHealth[];
}

/**
 * Several registries as one. Registers with all; a lookup is answered as soon as one knows the service (`complete` waits for all); records are
 * merged by version and node id, where the first registry's word counts; a node is gone when the last registry has lost it. One that fails is
 * degraded: the others do, what it said last goes on counting where a watch of the service knows it, and it gets what it missed once it
 * answers again. Only when all fail does a call fail, with REGISTRY_UNAVAILABLE. `start` and `close` are those of all. Mirrors
 * plg:v4/registry/multi.
 */
export function multiRegistry(registries: readonly Registry[], options: MultiRegistryOptions = {}): MultiRegistry {
  const names = registries.map(({ name }) => name);
  if (names.length === 0) throw errors.badRequest("multi", "a multi registry needs at least one registry");
  if (options.prefer !== undefined && !names.includes(options.prefer))
    throw errors.badRequest("multi", `no registry "${options.prefer}" among ${names.join(", ")}`);
  return new Multi(registries, options);
}

/** One watch with its own beginning; the table's sources are the ranks of the registries. */
interface Watch {
  readonly service: string | undefined;
  readonly watchers: Watchers;
  readonly table: RecordTable;
}

class Multi implements MultiRegistry {
  readonly name: string;
  readonly #members: readonly Member[];
  readonly #preferred: number | undefined;
  readonly #clock: Clock;
  readonly #watches = new Set<Watch>();
  readonly #ending = new Set<Promise<unknown>>();
  #closing: Promise<void> | undefined;

  constructor(registries: readonly Registry[], { prefer, clock = systemClock, onDegraded }: MultiRegistryOptions) {
    this.name = registries.map(({ name }) => name).join("+");
    this.#clock = clock;
    this.#preferred = prefer === undefined ? undefined : registries.findIndex(({ name }) => name === prefer);
    this.#members = registries.map((registry) => new Member(registry, clock, onDegraded ?? (() => {})));
  }

  health(): readonly MemberHealth[] {
    return this.#members.map((member) => member.health());
  }

  async start(): Promise<void> {
    this.#check();
    await this.#all("start", (registry) => registry.start());
  }

  async register(service: ServiceRecord, { ttl, signal }: RegisterOptions = {}): Promise<void> {
    this.#check(signal);
    checkRecord(service, this.name);
    await this.#change({ kind: "register", service: cloneRecord(service), ttl }, signal);
  }

  async deregister(service: ServiceRecord, { signal }: LookupOptions = {}): Promise<void> {
    this.#check(signal);
    await this.#change({ kind: "deregister", service: cloneRecord(service) }, signal);
  }

  async getService(name: string, { signal, complete = false }: LookupOptions = {}): Promise<ServiceRecord[]> {
    this.#check(signal);
    const control = new AbortController();
    const either = signal === undefined ? control.signal : AbortSignal.any([control.signal, signal]);
    try {
      const said = await this.#all(
        "lookup",
        (registry) => registry.getService(name, { signal: either, complete }),
        (soFar) => this.#enough(soFar, complete),
        signal,
      );
      // Else a cache would take the nodes of one that is away for gone.
      const answers = said.map((answer, rank) => (answer === null ? this.#lastSaid(rank, name) : answer));
      const preferred = this.#preferred === undefined ? undefined : answers[this.#preferred];
      const counting = hasNodes(preferred) ? [preferred] : answers;
      return mergeRecords(counting.flatMap((answer) => answer ?? [])).map(cloneRecord);
    } finally {
      // Nobody waits for the rest.
      control.abort();
    }
  }

  async listServices({ signal }: LookupOptions = {}): Promise<ServiceRecord[]> {
    this.#check(signal);
    const lists = await this.#all("list", (registry) => registry.listServices({ signal }), undefined, signal);
    const records = mergeRecords(lists.flatMap((list) => list ?? []));
    const full = new Set(records.filter(({ nodes }) => nodes.length > 0).map(({ name }) => name));
    // A bare name says nothing beside a record.
    return records.filter(({ nodes, name }) => nodes.length > 0 || !full.has(name)).map(cloneRecord);
  }

  watch(options: WatchOptions = {}): Watcher {
    const watchers = new Watchers(this.name);
    const table = new RecordTable((event) => watchers.emit(event), this.#preferred);
    const watch = { service: options.service, watchers, table };
    let followers: Follower[] = [];
    this.#watches.add(watch);
    return watchers.watch(
      options,
      async () => {
        this.#check();
        followers = exitAmbient(() =>
          this.#members.map((member, rank) => new Follower(member, rank, options.service, table, this.#clock)),
        );
        const attempts = followers.map(({ attempted }) => attempted);
        await first(attempts, () => false).catch((error: unknown) => {
          throw this.#failed(error);
        });
      },
      () => {
        this.#watches.delete(watch);
        const ending = Promise.all(followers.map((follower) => follower.close()));
        this.#ending.add(ending);
        void ending.finally(() => this.#ending.delete(ending));
      },
    );
  }

  close(): Promise<void> {
    this.#closing ??= (async () => {
      for (const { watchers } of [...this.#watches]) watchers.close();
      await Promise.all(this.#ending);
      const closed = await Promise.allSettled(this.#members.map((member) => member.close()));
      for (const result of closed) if (result.status === "rejected") throw fromUnknown(result.reason, this.name);
    })();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #change(change: Change, signal: AbortSignal | undefined): Promise<void> {
    try {
      await first(
        this.#members.map((member) => member.change(change, signal)),
        () => false,
        signal,
      );
    } catch (error) {
      // The caller knows that it failed: nothing more is tried behind its back.
      for (const member of this.#members) member.giveUp(change);
      throw this.#failed(error);
    }
  }

  /** Asks all. @throws MicroError when all fail. */
  async #all<T>(
    what: string,
    work: (registry: Registry) => Promise<T>,
    enough: (soFar: readonly Answer<T>[]) => boolean = () => false,
    signal?: AbortSignal,
  ): Promise<Answer<T>[]> {
    try {
      const answers = await first(
        this.#members.map((member) => member.ask(what, work)),
        enough,
        signal,
      );
      this.#check();
      return answers;
    } catch (error) {
      throw this.#failed(error);
    }
  }

  /** What a registry said of a service before it failed, as far as a watch knows. */
  #lastSaid(rank: number, name: string): ServiceRecord[] {
    for (const { service, table } of this.#watches) {
      const records = service === undefined || service === name ? table.of(String(rank)) : undefined;
      if (records !== undefined) return records.filter((record) => record.name === name);
    }
    return [];
  }

  #enough(soFar: readonly Answer<ServiceRecord[]>[], complete: boolean): boolean {
    const preferred = this.#preferred === undefined ? null : soFar[this.#preferred];
    if (hasNodes(preferred)) return true;
    return !complete && preferred !== undefined && soFar.some(hasNodes);
  }

  #failed(error: unknown): MicroError {
    if (this.#closing !== undefined) return errors.invalidState(this.name, "the registry is closed");
    const why = fromUnknown(error, this.name);
    if (why.status < 500 && why.code !== "TIMEOUT") return why;
    const each = this.#members.map(({ registry }) => registry.name).join(", ");
    return errors.registryUnavailable(this.name, `no registry answers (${each}): ${why.detail}`, why);
  }

  #check(signal?: AbortSignal): void {
    if (this.#closing !== undefined) throw errors.invalidState(this.name, "the registry is closed");
    if (signal?.aborted === true) throw errors.cancelled(this.name, "the caller gave up");
  }
}

function hasNodes(answer: Answer<ServiceRecord[]>): boolean {
  return answer?.some(({ nodes }) => nodes.length > 0) === true;
}
