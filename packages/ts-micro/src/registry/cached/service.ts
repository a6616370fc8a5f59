import type { Clock } from "../../clock.ts";
import { errors, type MicroError } from "../../errors.ts";
import { abortable } from "../../internal/abortable.ts";
import { exitAmbient } from "../../internal/ambient.ts";
import { applyEvent } from "../common/record-table.ts";
import { cloneRecord, sameRecord } from "../common/records.ts";
import { supervise, type Supervised } from "../../internal/supervise.ts";
import type { Registry, ServiceRecord, Watcher } from "../../registry.ts";

/** After a lookup that failed, old knowledge is not renewed for this long (ms). */
const retryAfter = 5000;

export interface CachedServiceOptions {
  readonly ttl: number;
  readonly clock: Clock;
  /** Called after each change of `records`. */
  changed(): void;
  /** The error that callers see. */
  fail(error: unknown): MicroError;
}

interface Lookup {
  readonly complete: boolean;
  answer: Promise<readonly ServiceRecord[]>;
  readonly control: AbortController;
  /** Callers that wait for it. */
  waiting: number;
}

/** All that is remembered of one service: its records, the watch that follows them, and the lookups under way. */
export class CachedService {
  readonly name: string;
  /** Order of use, kept by the owner. */
  used = 0;
  readonly #inner: Registry;
  readonly #options: CachedServiceOptions;
  readonly #watch: Supervised<Watcher>;
  #records: readonly ServiceRecord[] | undefined;
  #renewAt = Infinity;
  /** By whether they are to be complete: the first to answer is no answer for who waits for all. */
  readonly #lookups = new Map<boolean, Lookup>();
  #closed = false;
  /** Counts what was applied, so that an answer older than an event is not taken for newer. */
  #edition = 0;

  constructor(inner: Registry, name: string, options: CachedServiceOptions) {
    this.name = name;
    this.#inner = inner;
    this.#options = options;
    this.#watch = supervise<Watcher>(
      {
        name: `watch of ${name}`,
        start: (_up, signal) => this.#begin(signal),
        ended: (watcher, signal) => this.#follow(watcher, signal),
        stop: (watcher) => watcher.close(),
      },
      { clock: options.clock },
    );
  }

  get records(): readonly ServiceRecord[] | undefined {
    return this.#records;
  }

  /** Whether there is a node. */
  get known(): boolean {
    return this.#records !== undefined && this.#records.length > 0;
  }

  /** Asks again in the background when the answer is old. */
  renew(): void {
    const { clock } = this.#options;
    if (!this.known || clock.now() < this.#renewAt || this.#closed) return;
    this.#renewAt = clock.now() + retryAfter;
    this.ask(undefined, true).catch(() => {});
  }

  /** What the registry says now; callers at the same time that want the same share one lookup. */
  async ask(signal?: AbortSignal, complete = false): Promise<readonly ServiceRecord[]> {
    if (this.#closed) throw errors.invalidState(this.#inner.name, "the registry is closed");
    const lookup = this.#lookups.get(complete) ?? exitAmbient(() => this.#look(complete));
    lookup.waiting++;
    let abort: (() => void) | undefined;
    try {
      if (signal === undefined) return await lookup.answer;
      const left = new Promise<never>((_, reject) => {
        abort = () => reject(errors.cancelled(this.#inner.name, "the caller gave up"));
        signal.addEventListener("abort", abort, { once: true });
      });
      return await Promise.race([lookup.answer, left]);
    } finally {
      if (abort !== undefined) signal?.removeEventListener("abort", abort);
      // Nobody is left to tell; who comes now begins a new one.
      if (--lookup.waiting === 0) {
        this.#over(lookup);
        lookup.control.abort();
      }
    }
  }

  /** No longer followed; resolves when those who still wait have their answer. */
  async forget(): Promise<void> {
    void this.#watch.close();
    await Promise.allSettled([...this.#lookups.values()].map(({ answer }) => answer));
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const { control } of this.#lookups.values()) control.abort();
    await this.#watch.close();
  }

  #look(complete: boolean): Lookup {
    const lookup: Lookup = { complete, answer: Promise.resolve([]), control: new AbortController(), waiting: 0 };
    this.#lookups.set(complete, lookup);
    lookup.answer = this.#answer(lookup);
    lookup.answer.catch(() => {});
    return lookup;
  }

  async #answer(lookup: Lookup): Promise<readonly ServiceRecord[]> {
    const { complete, control } = lookup;
    const { signal } = control;
    const edition = this.#edition;
    try {
      const records = await abortable(this.#inner.getService(this.name, { signal, complete }), signal, unwanted);
      // What came by the watch meanwhile is newer; it may stand on less than all.
      if (edition === this.#edition) this.#set(records);
      return complete ? records : (this.#records ?? records);
    } catch (error) {
      if (this.#closed) throw errors.invalidState(this.#inner.name, "the registry is closed");
      throw this.#options.fail(error);
    } finally {
      this.#over(lookup);
    }
  }

  #over(lookup: Lookup): void {
    if (this.#lookups.get(lookup.complete) === lookup) this.#lookups.delete(lookup.complete);
  }

  /** First the watch, then the lookup: no change can fall between them. */
  async #begin(signal: AbortSignal): Promise<Watcher> {
    const watcher = this.#inner.watch({ service: this.name, signal, background: true });
    try {
      await watcher.ready;
      const records = await this.#inner.getService(this.name, { signal, complete: true });
      if (!signal.aborted) this.#set(records);
    } catch (error) {
      await watcher.close();
      throw error;
    }
    return watcher;
  }

  /** Applies what happened since the watch was ready, which may be older than the lookup: saying it again does no harm. */
  async #follow(watcher: Watcher, signal: AbortSignal): Promise<void> {
    for await (const event of watcher) {
      if (signal.aborted) return;
      if (event.service.name !== this.name) continue;
      if (event.service.nodes.length > 0) {
        this.#set(applyEvent(this.#records ?? [], event));
      } else {
        // It does not tell which nodes.
        const records = await this.#inner.getService(this.name, { signal, complete: true });
        if (!signal.aborted) this.#set(records);
      }
    }
  }

  #set(records: readonly ServiceRecord[]): void {
    if (this.#closed) return;
    this.#edition++;
    this.#renewAt = this.#options.clock.now() + this.#options.ttl;
    const kept = records.filter((record) => record.nodes.length > 0);
    const known = this.#records;
    if (known !== undefined && known.length === kept.length && kept.every((record) => has(known, record))) return;
    this.#records = deepFreeze(kept.map(cloneRecord));
    this.#options.changed();
  }
}

function has(records: readonly ServiceRecord[], record: ServiceRecord): boolean {
  return records.some((other) => sameRecord(other, record));
}

const unwanted = (): MicroError => errors.cancelled("registry", "nobody waits for the answer");

function deepFreeze<T>(value: T): T {
  if (typeof value === "object" && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    Object.values(value).forEach(deepFreeze);
  }
  return value;
}
