import type { Clock } from "../../clock.ts";
import { applyEvent, type RecordTable } from "../common/record-table.ts";
import { supervise, type Supervised } from "../../internal/supervise.ts";
import type { Registry, ServiceRecord, Watcher } from "../../registry.ts";
import type { Member } from "./member.ts";

/** Keeps what one registry says of a service, or of all, in a table; after each loss of its watch it looks up afresh. */
export class Follower {
  /** Settles as the first attempt does. */
  readonly attempted: Promise<void>;
  readonly #member: Member;
  readonly #rank: number;
  readonly #service: string | undefined;
  readonly #table: RecordTable;
  readonly #watch: Supervised<Watcher>;
  #tell!: (work: Promise<void>) => void;

  constructor(member: Member, rank: number, service: string | undefined, table: RecordTable, clock: Clock) {
    this.#member = member;
    this.#rank = rank;
    this.#service = service;
    this.#table = table;
    this.attempted = new Promise((resolve) => (this.#tell = resolve));
    this.attempted.catch(() => {});
    this.#watch = supervise<Watcher>(
      {
        name: `watch of ${member.registry.name}`,
        start: (_up, signal) => {
          const begun = this.#begin(signal);
          const attempt = begun.then(() => {});
          attempt.catch(() => {});
          this.#tell(attempt);
          return begun;
        },
        ended: (watcher, signal) => this.#follow(watcher, signal),
        stop: (watcher) => watcher.close(),
      },
      { clock },
    );
  }

  async close(): Promise<void> {
    await this.#watch.close();
    this.#tell(Promise.resolve());
  }

  /** First the watch, then the lookup: no change can fall between them. */
  #begin(signal: AbortSignal): Promise<Watcher> {
    return this.#member.ask("watch", async (registry) => {
      const watcher = registry.watch({ service: this.#service, signal, background: true });
      try {
        await watcher.ready;
        const records =
          this.#service === undefined
            ? await everything(registry, signal)
            : await registry.getService(this.#service, { signal, complete: true });
        if (!signal.aborted) this.#set(records);
      } catch (error) {
        await watcher.close();
        throw error;
      }
      return watcher;
    });
  }

  async #follow(watcher: Watcher, signal: AbortSignal): Promise<void> {
    for await (const event of watcher) {
      if (signal.aborted) return;
      const { name } = event.service;
      const known = this.#table.of(this.#key()) ?? [];
      if (event.service.nodes.length > 0) {
        this.#set(applyEvent(known, event));
      } else {
        // It does not tell which nodes.
        const records = await this.#member.registry.getService(name, { signal, complete: true });
        if (!signal.aborted) this.#set([...known.filter((record) => record.name !== name), ...records]);
      }
    }
  }

  #key(): string {
    return String(this.#rank);
  }

  #set(records: readonly ServiceRecord[]): void {
    this.#table.set(this.#key(), this.#rank, records);
  }
}

/** All records; where the list is of names only, each is looked up, a few at a time. */
async function everything(registry: Registry, signal: AbortSignal): Promise<ServiceRecord[]> {
  const list = await registry.listServices({ signal });
  const records = list.filter(({ nodes }) => nodes.length > 0);
  const full = new Set(records.map(({ name }) => name));
  const bare = [...new Set(list.map(({ name }) => name))].filter((name) => !full.has(name));
  for (let i = 0; i < bare.length; i += 16) {
    const some = bare.slice(i, i + 16).map((name) => registry.getService(name, { signal, complete: true }));
    records.push(...(await Promise.all(some)).flat());
  }
  return records;
}
