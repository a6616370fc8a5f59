import type { Clock } from "../../clock.ts";
import { milliseconds, type Duration } from "../../duration.ts";
import type { RegistryEvent, ServiceRecord } from "../../registry.ts";
import { Deadlines } from "../../internal/deadlines.ts";
import { RecordTable } from "./record-table.ts";
import { cloneRecord, sameRecord } from "./records.ts";

interface Entry {
  readonly key: string;
  deadline: number;
}

/** Nodes registered here, each until its time to live is over. Merged by id; endpoints and metadata of a version are those registered last. */
export class Registrations {
  readonly #clock: Clock;
  readonly #table: RecordTable;
  readonly #entries = new Map<string, Entry>();
  readonly #deadlines: Deadlines<Entry>;
  readonly #expired: () => void;
  #order = 0;

  /** `expired` is called after nodes went because nobody refreshed them. */
  constructor(clock: Clock, emit: (event: RegistryEvent) => void, expired: () => void = () => {}) {
    this.#clock = clock;
    this.#table = new RecordTable(emit);
    this.#expired = expired;
    this.#deadlines = new Deadlines(
      clock,
      () => this.#entries.values(),
      () => this.#expire(),
    );
  }

  get size(): number {
    return this.#entries.size;
  }

  /** @throws MicroError BAD_REQUEST for a ttl that is no duration. */
  add(record: ServiceRecord, ttl: Duration | undefined): void {
    const ms = ttl === undefined ? Infinity : milliseconds(ttl);
    const deadline = ms > 0 ? this.#clock.now() + ms : Infinity;
    const copy = cloneRecord(record);
    for (const node of copy.nodes) {
      const key = keyOf(copy, node.id);
      this.#entries.set(key, { key, deadline });
      const own = { ...copy, nodes: [node] };
      const old = this.#table.of(key)?.[0];
      // What is new ranks before what is old; a mere refresh changes nothing.
      if (old === undefined || !sameRecord(old, own)) this.#table.set(key, --this.#order, [own]);
    }
    if (deadline < Infinity) this.#deadlines.add(deadline);
  }

  remove(record: ServiceRecord): void {
    for (const node of record.nodes) this.#drop(keyOf(record, node.id));
  }

  /** Copies. */
  get(name: string): ServiceRecord[] {
    this.#expire();
    return this.#table.get(name).map(cloneRecord);
  }

  /** Copies. */
  list(): ServiceRecord[] {
    this.#expire();
    return this.#table.list().map(cloneRecord);
  }

  close(): void {
    this.#deadlines.close();
  }

  /** Also at each look: a timer may be late. */
  #expire(): void {
    const now = this.#clock.now();
    const due = [...this.#entries.values()].filter(({ deadline }) => deadline <= now);
    for (const { key } of due) this.#drop(key);
    if (due.length > 0) this.#expired();
  }

  #drop(key: string): void {
    if (this.#entries.delete(key)) this.#table.delete(key);
  }
}

function keyOf(record: ServiceRecord, node: string): string {
  return `${record.name}\0${record.version}\0${node}`;
}
