import type { DnsQuestion, DnsRecord } from "../../wire/dns.ts";
import { answersOf, instanceOf, ttlSeconds, type Entry } from "./entry.ts";
import { listedName, type Names } from "./names.ts";

/** Port that Go gives the entries of the list of services; nobody listens there. */
const listPort = 9999;

/** The nodes of ours, and what they answer. Mirrors v4:util/mdns/zone.go. */
export class Zone {
  readonly #names: Names;
  readonly #entries = new Map<string, Entry>();
  readonly #parents = new Map<string, Map<string, Entry>>();
  readonly #listed = new Map<string, string>();
  readonly #hosts = new Set<string>();

  constructor(names: Names) {
    this.#names = names;
  }

  get(name: string): Entry | undefined {
    return this.#entries.get(name);
  }

  entries(): Iterable<Entry> {
    return this.#entries.values();
  }

  of(parent: string): Iterable<Entry> {
    return this.#parents.get(parent)?.values() ?? [];
  }

  services(): string[] {
    return [...this.#listed.values()];
  }

  set(entry: Entry): void {
    this.#entries.set(entry.name, entry);
    this.#hosts.add(entry.address.name);
    const siblings = this.#parents.get(entry.parent);
    if (siblings === undefined) this.#parents.set(entry.parent, new Map([[entry.name, entry]]));
    else siblings.set(entry.name, entry);
    this.#listed.set(listedName(this.#names, entry.service), entry.service);
  }

  delete(name: string): void {
    const entry = this.#entries.get(name);
    if (entry === undefined) return;
    this.#entries.delete(name);
    const siblings = this.#parents.get(entry.parent);
    siblings?.delete(name);
    if (siblings?.size !== 0) return;
    this.#parents.delete(entry.parent);
    this.#listed.delete(listedName(this.#names, entry.service));
  }

  clear(): void {
    this.#entries.clear();
    this.#parents.clear();
    this.#listed.clear();
  }

  /** The records of each packet that answers: one instance per packet, as Go reads no more of them. */
  answers({ name, type }: DnsQuestion): DnsRecord[][] {
    const pointer = type === "PTR" || type === "ANY";
    const { list, types } = this.#names;
    if (name === list) return pointer ? [...this.#listed.keys()].map((listed) => this.#listing(listed)) : [];
    if (name === types) return pointer ? this.#types() : [];
    const siblings = this.#parents.get(name);
    if (siblings !== undefined) return pointer ? [...siblings.values()].map(answersOf) : [];
    const entry = this.#entries.get(name);
    if (entry !== undefined) return some(ofInstance(instanceOf(entry), type));
    if (this.#listed.has(name)) return some(ofInstance(this.#listing(name).slice(1), type));
    return this.#hosts.has(name) ? some(this.#addresses(name, type)) : [];
  }

  #listing(listed: string): DnsRecord[] {
    const { host, list } = this.#names;
    return [
      { type: "PTR", name: list, ttl: ttlSeconds, target: listed },
      { type: "SRV", name: listed, ttl: ttlSeconds, priority: 10, weight: 1, port: listPort, target: host },
      { type: "A", name: host, ttl: ttlSeconds, address: "0.0.0.0" },
      { type: "TXT", name: listed, ttl: ttlSeconds, strings: [] },
    ];
  }

  #types(): DnsRecord[][] {
    const targets = [...this.#parents.keys()];
    if (targets.length > 0) targets.push(this.#names.list);
    return targets.map((target) => [{ type: "PTR", name: this.#names.types, ttl: ttlSeconds, target }]);
  }

  #addresses(host: string, type: string): DnsRecord[] {
    const found = new Map<string, DnsRecord>();
    for (const { address } of this.#entries.values())
      if (address.type === type && address.name === host) found.set(address.address, address);
    return [...found.values()];
  }
}

/** SRV brings the address along; an instance has no PTR. */
function ofInstance(records: readonly DnsRecord[], type: string): DnsRecord[] {
  const [srv, address, txt] = records as [DnsRecord, DnsRecord, DnsRecord];
  if (type === "ANY") return [srv, address, txt];
  if (type === "SRV") return [srv, address];
  if (type === "TXT") return [txt];
  return address.type === type ? [address] : [];
}

function some(records: DnsRecord[]): DnsRecord[][] {
  return records.length === 0 ? [] : [records];
}
