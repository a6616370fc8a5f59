import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import type { Node, Registry, RegistryEvent, ServiceRecord, Watcher } from "../../registry.ts";
import { eventually, within } from "../suite.ts";

/** What the stage of a registry is made from. */
export interface StageOptions {
  create(namespace: string): Registry | Promise<Registry>;
  readonly watchLagMs?: number | undefined;
  pass?(ms: number): Promise<void>;
}

/** A watcher and what it saw. */
export interface Seen {
  readonly watcher: Watcher;
  readonly events: RegistryEvent[];
  /** Resolves at the clean end, rejects with the error of another one. */
  readonly over: Promise<void>;
  /** The first event of this action that is about this node. */
  event(action: RegistryEvent["action"] | undefined, id: string): Promise<RegistryEvent>;
}

/** An empty world of registries. */
export class Stage {
  readonly #options: StageOptions;
  readonly #namespace = `t${randomBytes(6).toString("hex")}`;
  readonly #registries: Registry[] = [];
  readonly #limit: number;

  constructor(options: StageOptions) {
    this.#options = options;
    this.#limit = Math.max(10_000, 10 * (options.watchLagMs ?? 0));
  }

  /** Another registry of this world. */
  async open(): Promise<Registry> {
    const registry = await this.#options.create(this.#namespace);
    this.#registries.push(registry);
    await registry.start();
    return registry;
  }

  /** A service name that nobody else has. */
  name(word = "greeter"): string {
    return `${word}-${this.#namespace.slice(0, 7)}`;
  }

  record(over: Partial<ServiceRecord> & { nodes: Node[] }): ServiceRecord {
    return { name: this.name(), version: "latest", metadata: {}, endpoints: [], ...over };
  }

  pass(ms: number): Promise<void> {
    return this.#options.pass?.(ms) ?? new Promise((resolve) => setTimeout(resolve, ms));
  }

  /** The records of `name`, once they satisfy `test`. */
  found(registry: Registry, name: string, test: (records: ServiceRecord[]) => boolean): Promise<ServiceRecord[]> {
    const ask = async (): Promise<ServiceRecord[] | false> => {
      const records = await registry.getService(name, { complete: true });
      return test(records) && records;
    };
    return eventually(ask, `the expected records of ${name}`, this.#limit);
  }

  /** Waits until exactly these nodes are there. */
  async nodes(registry: Registry, name: string, ids: readonly string[]): Promise<Node[]> {
    const expected = [...ids].sort().join();
    return nodesOf(await this.found(registry, name, (records) => idsOf(records).join() === expected));
  }

  /** A watch that sees. */
  async watch(registry: Registry, options: Parameters<Registry["watch"]>[0] = {}): Promise<Seen> {
    const watcher = registry.watch(options);
    const events: RegistryEvent[] = [];
    const over = (async () => {
      for await (const event of watcher) events.push(event);
    })();
    over.catch(() => {});
    await within(watcher.ready, "the watch sees", this.#limit);
    const event: Seen["event"] = (action, id) =>
      eventually(
        () => events.find((e) => (action ?? e.action) === e.action && e.service.nodes.some((n) => n.id === id)),
        `a ${action ?? "any"} event of node ${id}`,
        this.#limit,
      );
    return { watcher, events, over, event };
  }

  within<T>(work: Promise<T>, what: string): Promise<T> {
    return within(work, what, this.#limit);
  }

  async close(): Promise<void> {
    for (const registry of this.#registries) await within(registry.close(), "close");
  }
}

export function node(id: string, address = "127.0.0.1:7001", metadata: Record<string, string> = {}): Node {
  return { id, address, metadata: { protocol: "mucp", ...metadata } };
}

export function nodesOf(records: readonly ServiceRecord[]): Node[] {
  return records.flatMap(({ nodes }) => nodes);
}

export function idsOf(records: readonly ServiceRecord[]): string[] {
  return nodesOf(records)
    .map(({ id }) => id)
    .sort();
}

/** Kinds of things that keep this process alive, timers and passing work apart. */
export function holders(): string {
  const passing = new Set([
    "Timeout",
    "Immediate",
    "TickObject",
    "FSReqPromise",
    "FSReqCallback",
    "FileHandleCloseReq",
  ]);
  return process
    .getActiveResourcesInfo()
    .filter((kind) => !passing.has(kind))
    .sort()
    .join();
}

export async function rejects(work: Promise<unknown>, code: string): Promise<void> {
  await assert.rejects(within(work, `rejection with ${code}`), { code });
}
