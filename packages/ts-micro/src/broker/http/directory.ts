import type { Clock } from "../../clock.ts";
import { errors, fromUnknown, type MicroError } from "../../errors.ts";
import { abortable } from "../../internal/abortable.ts";
import { supervise, type Supervised } from "../../internal/supervise.ts";
import { within } from "../../internal/within.ts";
import type { Node, Registry, RegistryEvent, ServiceRecord, Watcher } from "../../registry.ts";
import { broadcast, registryLimit, serviceName } from "./names.ts";

/** The nodes of one topic: those that each get a message, and the queues of which one does. */
export interface Audience {
  readonly everybody: readonly Node[];
  readonly queues: ReadonlyMap<string, readonly Node[]>;
}

const nobody: Audience = { everybody: [], queues: new Map() };

/** Milliseconds after which a look-up is made again behind the scenes, in case the watch missed something. */
const resync = 60_000;
/** For how long (ms) a look-up counts while there is no watch, and who knows something waits for one. */
const unwatched = 1000;

/** Who listens to what, from the registry: looked up once, then watched. */
export class Directory {
  readonly #registry: Registry;
  readonly #clock: Clock;
  /** Own subscriptions: known before the registry tells. */
  readonly #own = new Map<string, ServiceRecord>();
  #nodes = new Map<string, { readonly version: string; readonly node: Node }>();
  #topics: Map<string, Audience> | undefined;
  #task: Supervised<Watcher> | undefined;
  #loading: Promise<void> | undefined;
  /** Changes seen while a look-up runs, which may be older than they. */
  #seen: RegistryEvent[] | undefined;
  #loadedAt = -Infinity;
  #triedAt = -Infinity;

  constructor(registry: Registry, clock: Clock) {
    this.#registry = registry;
    this.#clock = clock;
  }

  /** @throws MicroError what the registry rejects with, when nothing is known yet. */
  async audience(topic: string): Promise<Audience> {
    this.#watch();
    const age = this.#clock.now() - this.#loadedAt;
    if (this.#task?.state === "up") {
      if (age > resync) void this.#load().catch(() => {});
    } else if (age > unwatched) {
      // What was known goes on being used while the registry is away.
      if (this.#loadedAt === -Infinity) await this.#load();
      else if (this.#loading === undefined && this.#clock.now() - this.#triedAt > unwatched) await this.#renewed();
    }
    return (this.#topics ??= this.#index()).get(topic) ?? nobody;
  }

  add(record: ServiceRecord): void {
    for (const node of record.nodes) this.#own.set(node.id, record);
    this.#upsert(record);
  }

  remove(record: ServiceRecord): void {
    for (const node of record.nodes) {
      this.#own.delete(node.id);
      this.#delete(node.id);
    }
  }

  /** Says that the node told that it is gone; a registry that still has it is asked no earlier than at the next resync. */
  forget(node: Node): void {
    this.#delete(node.id);
  }

  async close(): Promise<void> {
    await this.#task?.close();
  }

  #watch(): void {
    this.#task ??= supervise<Watcher>(
      {
        name: "http broker watch",
        start: async () => {
          const watcher = this.#registry.watch({ service: serviceName, background: true });
          try {
            await watcher.ready;
            await this.#load(true);
          } catch (error) {
            await watcher.close().catch(() => {});
            throw error;
          }
          return watcher;
        },
        ended: async (watcher) => {
          for await (const event of watcher) {
            if (event.service.nodes.length > 0) this.#apply(event);
            // It does not tell which nodes.
            else if (event.service.name === serviceName) await this.#load(true);
          }
        },
        stop: (watcher) => watcher.close(),
        // A registry without a watch is asked at each publish instead; it may get one.
        fatal: (error) => error.code === "UNSUPPORTED" || error.code === "INVALID_STATE",
      },
      { clock: this.#clock, backoff: { min: 200, max: 10_000 } },
    );
  }

  /** Resolves when it is known anew, or the registry takes too long. */
  async #renewed(): Promise<void> {
    const known = this.#load().catch(() => {});
    await within(this.#clock, unwatched, known, () => {});
  }

  /** One look-up at a time; `fresh` asks for one that begins now. */
  async #load(fresh = false): Promise<void> {
    if (fresh) await this.#loading?.catch(() => {});
    this.#loading ??= this.#lookUp().finally(() => (this.#loading = undefined));
    await this.#loading;
  }

  async #lookUp(): Promise<void> {
    const seen: RegistryEvent[] = (this.#seen = []);
    const late = new AbortController();
    const timer = this.#clock.after(registryLimit, () =>
      late.abort(errors.timeout(serviceName, "look-up took too long")),
    );
    try {
      // All topics are nodes of this one service: the first registry to have one says nothing of the others' topics.
      const asked = this.#registry.getService(serviceName, { signal: late.signal, complete: true });
      const records = await abortable(asked, late.signal, () => late.signal.reason);
      this.#nodes = new Map();
      this.#topics = undefined;
      for (const record of records) this.#upsert(record);
      this.#seen = undefined;
      for (const event of seen) this.#apply(event);
      for (const record of this.#own.values()) this.#upsert(record);
      this.#loadedAt = this.#clock.now();
    } catch (error) {
      throw failure(error);
    } finally {
      this.#clock.cancel(timer);
      this.#triedAt = this.#clock.now();
      if (this.#seen === seen) this.#seen = undefined;
    }
  }

  #apply(event: RegistryEvent): void {
    if (event.service.name !== serviceName) return;
    this.#seen?.push(event);
    if (event.action !== "delete") return this.#upsert(event.service);
    for (const node of event.service.nodes) if (!this.#own.has(node.id)) this.#delete(node.id);
  }

  #upsert({ version, nodes }: ServiceRecord): void {
    for (const node of nodes) {
      if (node.metadata["broker"] === "http" && node.metadata["topic"] !== undefined)
        this.#nodes.set(node.id, { version, node });
    }
    this.#topics = undefined;
  }

  #delete(nodeId: string): void {
    if (this.#nodes.delete(nodeId)) this.#topics = undefined;
  }

  #index(): Map<string, Audience> {
    const topics = new Map<string, { everybody: Node[]; queues: Map<string, Node[]> }>();
    for (const { version, node } of this.#nodes.values()) {
      const topic = node.metadata["topic"] as string;
      let audience = topics.get(topic);
      if (audience === undefined) topics.set(topic, (audience = { everybody: [], queues: new Map() }));
      const members = version === broadcast ? audience.everybody : audience.queues.get(version);
      if (members === undefined) audience.queues.set(version, [node]);
      else members.push(node);
    }
    return topics;
  }
}

function failure(error: unknown): MicroError {
  const found = fromUnknown(error, serviceName);
  return found.code === "CANCELLED" || found.code === "TIMEOUT"
    ? errors.registryUnavailable(serviceName, found.detail, error)
    : found;
}
