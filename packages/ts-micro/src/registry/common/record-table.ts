import type { Node, RegistryEvent, ServiceRecord } from "../../registry.ts";
import { sameFacts, sameNode } from "./records.ts";

interface Source {
  readonly rank: number;
  readonly records: readonly ServiceRecord[];
}

/**
 * What several sources say, as one: merged by name, version and node id; where two speak of the same node the lower rank wins. Each change
 * of a source becomes the events that it means for the whole, so a node is deleted only when the last source has lost it.
 * Records that are put in must not change afterwards; those that are read are the table's own: copy them before they leave.
 */
export class RecordTable {
  readonly #emit: (event: RegistryEvent) => void;
  readonly #sources = new Map<string, Source>();
  /** Ordered by rank. */
  readonly #byName = new Map<string, Source[]>();
  readonly #merged = new Map<string, readonly ServiceRecord[]>();
  readonly #preferred: number | undefined;
  #batch: Set<string> | undefined;

  /** With `preferred`: while sources of that rank have nodes of a service, the others' do not count. */
  constructor(emit: (event: RegistryEvent) => void, preferred?: number) {
    this.#emit = emit;
    this.#preferred = preferred;
  }

  /** What a source says; undefined when it says nothing. */
  of(source: string): readonly ServiceRecord[] | undefined {
    return this.#sources.get(source)?.records;
  }

  /** From now on `source` says `records` and nothing else. */
  set(source: string, rank: number, records: readonly ServiceRecord[]): void {
    const names = this.#forget(source);
    const entry = { rank, records };
    this.#sources.set(source, entry);
    for (const { name } of records) {
      names.add(name);
      const entries = this.#byName.get(name);
      if (entries === undefined) this.#byName.set(name, [entry]);
      else if (!entries.includes(entry)) insert(entries, entry);
    }
    this.#changed(names);
  }

  delete(source: string): void {
    this.#changed(this.#forget(source));
  }

  /** Many changes as one: each service is merged once, at the end. */
  batch(work: () => void): void {
    const names = new Set<string>();
    this.#batch = names;
    try {
      work();
    } finally {
      this.#batch = undefined;
      this.#changed(names);
    }
  }

  get(name: string): readonly ServiceRecord[] {
    return this.#merged.get(name) ?? [];
  }

  list(): ServiceRecord[] {
    return [...this.#merged.values()].flat();
  }

  #changed(names: ReadonlySet<string>): void {
    for (const name of names) {
      if (this.#batch === undefined) this.#update(name);
      else this.#batch.add(name);
    }
  }

  #forget(source: string): Set<string> {
    const names = new Set<string>();
    const old = this.#sources.get(source);
    if (old === undefined) return names;
    this.#sources.delete(source);
    for (const { name } of old.records) {
      names.add(name);
      const entries = this.#byName.get(name);
      const at = entries?.indexOf(old) ?? -1;
      if (at >= 0) entries?.splice(at, 1);
    }
    return names;
  }

  #update(name: string): void {
    const before = this.#merged.get(name) ?? [];
    const all = this.#byName.get(name) ?? [];
    if (all.length === 0) this.#byName.delete(name);
    const preferred = this.#preferred === undefined ? [] : all.filter(({ rank }) => rank === this.#preferred);
    const counts = preferred.some(({ records }) => records.some((r) => r.name === name && r.nodes.length > 0));
    const records: ServiceRecord[] = [];
    for (const source of counts ? preferred : all)
      for (const record of source.records) if (record.name === name) records.push(record);
    const after = mergeRecords(records);
    if (after.length === 0) this.#merged.delete(name);
    else this.#merged.set(name, after);
    for (const event of changes(before, after)) this.#emit(event);
  }
}

function insert(sources: Source[], source: Source): void {
  let low = 0;
  for (let high = sources.length; low < high;) {
    const middle = (low + high) >> 1;
    if ((sources[middle] as Source).rank <= source.rank) low = middle + 1;
    else high = middle;
  }
  sources.splice(low, 0, source);
}

/** One record per name and version; of nodes with the same id the first counts, and so does the first that has endpoints or metadata. */
export function mergeRecords(records: readonly ServiceRecord[]): ServiceRecord[] {
  const merged = new Map<string, { record: ServiceRecord; nodes: Map<string, Node> }>();
  for (const record of records) {
    const key = `${record.name}\0${record.version}`;
    let entry = merged.get(key);
    if (entry === undefined) merged.set(key, (entry = { record: { ...record }, nodes: new Map() }));
    if (entry.record.endpoints.length === 0) entry.record.endpoints = record.endpoints;
    if (Object.keys(entry.record.metadata).length === 0) entry.record.metadata = record.metadata;
    for (const node of record.nodes) if (!entry.nodes.has(node.id)) entry.nodes.set(node.id, node);
  }
  return [...merged.values()].map(({ record, nodes }) => Object.assign(record, { nodes: [...nodes.values()] }));
}

/** The events that lead from one list of records of a service to another; deletions last, so that nobody sees a moment without nodes. */
export function changes(before: readonly ServiceRecord[], after: readonly ServiceRecord[]): RegistryEvent[] {
  const events: RegistryEvent[] = [];
  const gone: RegistryEvent[] = [];
  for (const record of after) {
    const old = before.find(({ version }) => version === record.version);
    const known = new Map(old?.nodes.map((node) => [node.id, node]));
    const facts = old !== undefined && sameFacts(old, record);
    const created = record.nodes.filter(({ id }) => !known.has(id));
    const updated = record.nodes.filter((node) => {
      const was = known.get(node.id);
      return was !== undefined && !(facts && sameNode(was, node));
    });
    if (created.length > 0) events.push({ action: "create", service: { ...record, nodes: created } });
    if (updated.length > 0) events.push({ action: "update", service: { ...record, nodes: updated } });
  }
  for (const old of before) {
    const left = new Set(after.find(({ version }) => version === old.version)?.nodes.map(({ id }) => id));
    const nodes = old.nodes.filter(({ id }) => !left.has(id));
    if (nodes.length > 0) gone.push({ action: "delete", service: { ...old, nodes } });
  }
  return [...events, ...gone];
}

/** What `records` become by an event that tells its nodes. */
export function applyEvent(records: readonly ServiceRecord[], { action, service }: RegistryEvent): ServiceRecord[] {
  const ids = new Set(service.nodes.map(({ id }) => id));
  const others = records.map((record) =>
    record.name === service.name && record.version === service.version
      ? { ...record, nodes: record.nodes.filter(({ id }) => !ids.has(id)) }
      : record,
  );
  return mergeRecords(action === "delete" ? others : [service, ...others]);
}
