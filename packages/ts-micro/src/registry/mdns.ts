import { systemClock, type Clock } from "../clock.ts";
import { milliseconds, type Duration } from "../duration.ts";
import { errors } from "../errors.ts";
import { exitAmbient } from "../internal/ambient.ts";
import { Deadlines } from "../internal/deadlines.ts";
import type { Driver } from "../internal/driver.ts";
import { holding } from "../internal/hold.ts";
import { mergeRecords, RecordTable } from "./common/record-table.ts";
import { checkRecord, cloneRecord, sameRecord } from "./common/records.ts";
import { Watchers } from "./common/watchers.ts";
import type { LookupOptions, RegisterOptions, Registry, ServiceRecord, WatchOptions, Watcher } from "../registry.ts";
import { Announcer } from "./mdns/announcer.ts";
import { entryOf, type Entry } from "./mdns/entry.ts";
import { Follower } from "./mdns/follow.ts";
import { Limiter } from "./mdns/limiter.ts";
import { Link } from "./mdns/link.ts";
import { namesOf, serviceName, type Names } from "./mdns/names.ts";
import { Queries } from "./mdns/queries.ts";
import type { Instance } from "./mdns/reader.ts";
import { Receiver } from "./mdns/receiver.ts";
import { Zone } from "./mdns/zone.ts";

export interface MdnsRegistryOptions {
  /** Only peers of the same domain see each other. Default `micro`, Go's. */
  domain?: string | undefined;
  /** UDP port that everybody listens on. Default 5353. */
  port?: number | undefined;
  /** Multicast groups. Default 224.0.0.251 and ff02::fb. */
  group4?: string | undefined;
  group6?: string | undefined;
  /** Name or address of the only network interface to use. Default: all of them, as they come and go. */
  interface?: string | undefined;
  /** How long a look-up collects answers, as nobody knows how many there will be. Default 100 ms, Go's. */
  timeout?: Duration | undefined;
  /** Largest packet, bytes; a record that needs more goes without the types of its endpoints. 512 to 61440, default 8192. */
  maxPacketBytes?: number | undefined;
  /** Questions of one host answered in a second, with bursts of twice as many. Default 500. */
  answersPerSecond?: number | undefined;
  clock?: Clock | undefined;
}

const hardMaxPacket = 60 * 1024;

/**
 * Multicast DNS, the default registry of Go Micro: no server, every host of the local network. Mirrors v4:registry/mdns_registry.go
 * (wire spec §5.2); Go's peers find ours and ours find theirs.
 *
 * Carries no service metadata. Node addresses are `host:port`; a host name is resolved when it is registered. A record that does not fit
 * into a packet says `truncated=true` in its node's metadata. A node whose id has no DNS form (with a service name above 26 bytes,
 * `<service>-<uuid>` is one) is known to Go by the UUID alone.
 *
 * Rejects with REGISTRY_UNAVAILABLE where there is no multicast or the port is held by another program alone; it goes on looking for
 * interfaces, and a later call may succeed. A node that was killed is noticed by a watch within 40 s.
 */
export function mdnsRegistry(options: MdnsRegistryOptions = {}): Registry {
  return new MdnsRegistry(options);
}

/** Chosen by name: `MICRO_REGISTRY=mdns`. The address is the name or address of a network interface; without one all are used. */
export const driver: Driver<Registry> = {
  name: "mdns",
  fromAddress: (address) => mdnsRegistry(address ? { interface: address } : {}),
};

interface Own {
  readonly entry: Entry;
  /** When it is over unless it is registered again. */
  deadline: number;
}

class MdnsRegistry implements Registry {
  readonly name = "mdns";
  readonly #names: Names;
  readonly #clock: Clock;
  readonly #maxPacket: number;
  readonly #link: Link;
  readonly #zone: Zone;
  readonly #queries: Queries<Instance | string>;
  readonly #announcer: Announcer;
  readonly #watchers = new Watchers("mdns");
  readonly #table = new RecordTable((event) => this.#watchers.emit(event));
  readonly #follower: Follower;
  readonly #own = new Map<string, Own>();
  readonly #deadlines: Deadlines<Own>;
  readonly #newcomers: Limiter;
  #turn: Promise<unknown> = Promise.resolve();
  #watchingAll = 0;
  #started: Promise<void> | undefined;
  #closing: Promise<void> | undefined;

  constructor(options: MdnsRegistryOptions) {
    const { domain = "micro", port = 5353, group4 = "224.0.0.251", group6 = "ff02::fb" } = options;
    const { maxPacketBytes = 8192, answersPerSecond = 500, clock = systemClock } = options;
    this.#names = namesOf(domain.replace(/\.$/, ""));
    this.#clock = clock;
    this.#newcomers = new Limiter(clock, 20, 100);
    this.#maxPacket = Math.max(512, Math.min(maxPacketBytes, hardMaxPacket));
    this.#zone = new Zone(this.#names);
    const receiver: Receiver = new Receiver({
      names: this.#names,
      zone: this.#zone,
      clock,
      answersPerSecond,
      reply: (packet, to) => this.#link.reply(packet, to),
      wanted: (parent) => this.#follower.wants(parent) || this.#queries.asks(parent),
      instance: (instance) => this.#instance(instance),
      listed: (service) => this.#listed(service),
    });
    this.#link = new Link(
      { port, group4, group6, interface: options.interface, clock },
      { packet: (bytes, from, listening) => receiver.take(bytes, from, listening), joined: () => this.#joined() },
    );
    this.#queries = new Queries(this.#link, clock, milliseconds(options.timeout ?? "100ms"));
    this.#announcer = new Announcer(clock, (packet) => this.#link.multicast(packet));
    this.#follower = new Follower({ clock, ask: (parent) => this.#queries.send(parent), table: this.#table });
    this.#deadlines = new Deadlines(
      clock,
      () => this.#own.values(),
      (own) => void this.#withdraw(own.entry),
    );
  }

  start(): Promise<void> {
    this.#started ??= this.#open().catch((error: unknown) => {
      this.#started = undefined;
      throw error;
    });
    return this.#started;
  }

  register(service: ServiceRecord, options: RegisterOptions = {}): Promise<void> {
    return this.#inTurn(async () => {
      this.#check(options.signal);
      checkRecord(service, this.name);
      const ms = options.ttl === undefined ? 0 : milliseconds(options.ttl);
      const record = cloneRecord(service);
      for (const index of record.nodes.keys()) await this.#registerNode(record, index, ms, options.signal);
    });
  }

  deregister(service: ServiceRecord, options: LookupOptions = {}): Promise<void> {
    return this.#inTurn(async () => {
      this.#check(options.signal);
      for (const { id } of service.nodes) {
        const own = this.#own.get(keyOf(service.name, id));
        if (own !== undefined) await this.#withdraw(own.entry);
      }
    });
  }

  async getService(name: string, options: LookupOptions = {}): Promise<ServiceRecord[]> {
    this.#check(options.signal);
    const parent = this.#parent(name);
    if (parent === undefined) return [];
    const found = new Map<string, ServiceRecord>();
    let bytes = 0;
    await this.#ask(parent, options.signal, (answer) => {
      if (typeof answer === "string") return;
      const { name, ttl, record, size } = answer;
      if (ttl === 0) found.delete(name);
      else if (found.has(name) || (found.size < maxAnswers && (bytes += size) < maxBytes)) found.set(name, record);
    });
    const own = [...this.#zone.of(parent)].map(({ shown }) => shown);
    return mergeRecords([...own, ...found.values()]).map(cloneRecord);
  }

  /** Names only, as Go's. */
  async listServices(options: LookupOptions = {}): Promise<ServiceRecord[]> {
    this.#check(options.signal);
    const names = new Set<string>();
    await this.#ask(this.#names.list, options.signal, (answer) => {
      if (typeof answer === "string" && names.size < maxAnswers) names.add(answer);
    });
    for (const name of this.#zone.services()) names.add(name);
    return [...names].map((name) => ({ name, version: "", metadata: {}, endpoints: [], nodes: [] }));
  }

  watch(options: WatchOptions = {}): Watcher {
    let leave = (): void => {};
    const prepare = async (): Promise<void> => {
      this.#check();
      const { service } = options;
      const parent = service === undefined ? this.#names.list : serviceName(this.#names, service);
      this.#follow(parent, service === undefined);
      leave = () => this.#leave(parent, service === undefined);
      await this.#open();
      await this.#know(parent);
    };
    return this.#watchers.watch(
      options,
      () => exitAmbient(() => (options.background === true ? prepare() : holding(prepare()))),
      () => leave(),
    );
  }

  close(): Promise<void> {
    this.#closing ??= exitAmbient(() => holding(this.#close()));
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    this.#queries.close();
    this.#watchers.close();
    this.#follower.close();
    this.#deadlines.close();
    await this.#turn;
    await Promise.all([...this.#zone.entries()].map((entry) => this.#announcer.goodbye(entry)));
    this.#announcer.close();
    this.#zone.clear();
    await this.#link.close();
  }

  async #registerNode(record: ServiceRecord, index: number, ttlMs: number, signal?: AbortSignal): Promise<void> {
    const own = { ...record, nodes: record.nodes.slice(index, index + 1) };
    const key = keyOf(record.name, own.nodes[0]?.id ?? "");
    const known = this.#own.get(key);
    const deadline = ttlMs > 0 ? this.#clock.now() + ttlMs : Infinity;
    if (known !== undefined) this.#keep(key, known.entry, deadline);
    const same = known !== undefined && sameRecord(known.entry.record, own);
    const entry = same ? known.entry : await entryOf(this.#names, own, this.#maxPacket, this.#clock);
    await this.#open();
    this.#check(signal);
    if (same) return;
    this.#zone.set(entry);
    this.#keep(key, entry, deadline);
    try {
      await this.#announcer.announce(entry);
    } catch (error) {
      if (known === undefined) this.#forget(entry);
      throw error;
    }
    this.#follower.own(entry.parent, entry.name);
    this.#table.set(entry.name, 0, [entry.shown]);
  }

  #keep(key: string, entry: Entry, deadline: number): void {
    this.#own.set(key, { entry, deadline });
    if (deadline < Infinity) this.#deadlines.add(deadline);
  }

  #forget(entry: Entry): void {
    this.#own.delete(keyOf(entry.service, entry.record.nodes[0]?.id ?? ""));
    this.#zone.delete(entry.name);
    this.#table.delete(entry.name);
  }

  async #withdraw(entry: Entry): Promise<void> {
    this.#forget(entry);
    await this.#announcer.goodbye(entry);
  }

  #instance(instance: Instance): void {
    // What comes back of our own, by another interface or another host's repetition.
    if (this.#zone.get(instance.name) !== undefined) return;
    this.#queries.answer(instance.parent, instance);
    this.#follower.seen(instance);
  }

  #listed(service: string): void {
    this.#queries.answer(this.#names.list, service);
    const parent = this.#parent(service);
    if (this.#watchingAll === 0 || parent === undefined || this.#follower.follows(parent)) return;
    if (this.#newcomers.allow("")) this.#queries.send(parent).catch(() => {});
  }

  /** An interface came: neither we nor our services are known there. */
  #joined(): void {
    for (const entry of this.#zone.entries()) this.#announcer.announce(entry).catch(() => {});
    this.#follower.refresh();
  }

  #follow(parent: string, all: boolean): void {
    this.#follower.follow(parent);
    if (!all) return;
    this.#watchingAll++;
    this.#follower.everything = true;
  }

  #leave(parent: string, all: boolean): void {
    this.#follower.leave(parent);
    if (all && --this.#watchingAll === 0) this.#follower.leaveAll();
  }

  /** Waits until the followed nodes of a service, or of all, are known, so that only what comes later is told. */
  async #know(parent: string): Promise<void> {
    const services = new Set<string>();
    const take = (answer: Instance | string): void => {
      if (typeof answer === "string" && services.size < maxServices) services.add(answer);
    };
    await this.#queries.ask(parent, take);
    const parents = [...services].flatMap((service) => this.#parent(service) ?? []);
    await Promise.all(parents.map((each) => this.#queries.ask(each, () => {})));
  }

  async #ask(
    parent: string,
    signal: AbortSignal | undefined,
    take: (answer: Instance | string) => void,
  ): Promise<void> {
    await exitAmbient(() => holding(this.#link.open(false).then(() => this.#queries.ask(parent, take, signal))));
  }

  #parent(service: string): string | undefined {
    try {
      return serviceName(this.#names, service);
    } catch {
      return undefined; // nobody can have registered it
    }
  }

  async #open(): Promise<void> {
    this.#check();
    await exitAmbient(() => this.#link.open(true));
  }

  /** One after the other, in the order of the calls. */
  #inTurn(work: () => Promise<void>): Promise<void> {
    const turn = this.#turn.then(() => exitAmbient(() => holding(work())));
    this.#turn = turn.catch(() => {});
    return turn;
  }

  #check(signal?: AbortSignal): void {
    if (this.#closing !== undefined) throw errors.invalidState(this.name, "mdns: the registry is closed");
    if (signal?.aborted === true) throw errors.cancelled(this.name, "mdns: the caller gave up");
  }
}

/** What one look-up keeps: so many answers, or so many bytes of them. */
const maxAnswers = 8192;
const maxBytes = 64 << 20;
/** Services that a watch of all asks for when it begins. */
const maxServices = 1024;

function keyOf(service: string, id: string): string {
  return `${service}\0${id}`;
}
