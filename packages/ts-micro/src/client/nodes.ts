import type { Clock } from "../clock.ts";
import type { Filter } from "../context.ts";
import { errors } from "../errors.ts";
import { bounded, type Bounds } from "../internal/bounded.ts";
import type { Node, ServiceRecord } from "../registry.ts";
import type { CachedRegistry } from "../registry/cached.ts";
import { spokenBy } from "./peers.ts";

/** What the registry says of an endpoint. */
export interface EndpointFacts {
  /** `stream` when a Go node says that it streams, but not how. */
  readonly kind: "unary" | "server" | "client" | "bidi" | "stream";
  readonly idempotent: boolean;
}

/** Nodes that a call may go to. */
export interface Candidates {
  readonly nodes: readonly Node[];
  readonly facts: ReadonlyMap<string, EndpointFacts>;
}

/** Services that are remembered. */
const most = 10_000;

/** Finds nodes by service name; remembers what it made of a record until the record changes. */
export class Directory {
  readonly #registry: CachedRegistry;
  readonly #speaks: (node: Node) => boolean;
  readonly #filters: readonly Filter[];
  readonly #clock: Clock;
  /** What the client calls by, for its errors. */
  readonly #calling: readonly string[];
  readonly #memo = new Map<string, { records: readonly ServiceRecord[]; candidates: Candidates }>();
  /** Services that had nodes at some time. */
  readonly #known = new Set<string>();

  constructor(
    registry: CachedRegistry,
    speaks: (node: Node) => boolean,
    filters: readonly Filter[],
    clock: Clock,
    calling: readonly string[],
  ) {
    this.#registry = registry;
    this.#speaks = speaks;
    this.#filters = filters;
    this.#clock = clock;
    this.#calling = calling;
  }

  /** What is known now, without asking; undefined when the registry must be asked first. */
  peek(service: string, filters?: readonly Filter[]): Candidates | undefined {
    const records = this.#registry.peek(service);
    return records === undefined || records.length === 0 ? undefined : this.#candidates(service, records, filters);
  }

  /** What the record says of an endpoint, if it is known now. */
  facts(service: string, endpoint: string): EndpointFacts | undefined {
    const known = this.peek(service);
    return known === undefined ? undefined : known.facts.get(endpoint);
  }

  /**
   * The nodes of `service`; waits up to `waitFor` ms for a first one.
   * @throws MicroError NOT_FOUND for one that never had nodes, UNAVAILABLE for one whose nodes are gone, or when none speaks a protocol of ours,
   * REGISTRY_UNAVAILABLE, TIMEOUT, CANCELLED.
   */
  async find(
    service: string,
    filters: readonly Filter[] | undefined,
    waitFor: number,
    bounds: Bounds,
  ): Promise<Candidates> {
    const patience = this.#clock.now() + waitFor;
    for (let pause = 25; ; pause = Math.min(pause * 2, 500)) {
      const records = await bounded(bounds, (signal) => this.#registry.getService(service, { signal }));
      const candidates = this.#candidates(service, records, filters);
      if (candidates.nodes.length > 0) return candidates;
      const left = patience - this.#clock.now();
      if (left <= 0) throw await this.#notFound(service, records, waitFor, bounds);
      await bounded(bounds, (signal) => this.#change(service, Math.min(pause, left), signal));
    }
  }

  #candidates(service: string, records: readonly ServiceRecord[], filters: readonly Filter[] | undefined): Candidates {
    const known = this.#memo.get(service);
    if (filters === undefined && known !== undefined && known.records === records) return known.candidates;
    let kept = records;
    for (const filter of this.#filters) kept = filter(kept);
    if (filters !== undefined) for (const filter of filters) kept = filter(kept);
    const nodes = new Map<string, Node>();
    const facts = new Map<string, EndpointFacts>();
    for (const record of kept) {
      for (const node of record.nodes) if (this.#speaks(node)) nodes.set(node.id, node);
      for (const { name, metadata } of record.endpoints) {
        const kind = metadata["kind"];
        facts.set(name, {
          kind:
            kind === "server" || kind === "client" || kind === "bidi"
              ? kind
              : metadata["stream"] === "true"
                ? "stream"
                : "unary",
          // The node is not chosen yet: of all versions that have it.
          idempotent: metadata["idempotent"] === "true" && facts.get(name)?.idempotent !== false,
        });
      }
    }
    const candidates = { nodes: [...nodes.values()], facts };
    if (nodes.size > 0 && !this.#known.has(service)) {
      if (this.#known.size >= most) this.#known.clear();
      this.#known.add(service);
    }
    if (filters === undefined) {
      if (this.#memo.size >= most) this.#memo.clear();
      this.#memo.set(service, { records, candidates });
    }
    return candidates;
  }

  /** Resolves at the next change of `service`, after `ms`, or when `signal` aborts. */
  #change(service: string, ms: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        this.#clock.cancel(timer);
        unlisten();
        signal.removeEventListener("abort", done);
        resolve();
      };
      const timer = this.#clock.after(ms, done);
      const unlisten = this.#registry.onChange((name) => name === service && done());
      signal.addEventListener("abort", done, { once: true });
    });
  }

  async #notFound(service: string, records: readonly ServiceRecord[], waitFor: number, bounds: Bounds): Promise<Error> {
    const nodes = records.flatMap((record) => record.nodes);
    if (nodes.length > 0) {
      const spoken = [...new Set(nodes.flatMap(waysOf))].join(", ");
      const served = this.#calling.filter((name) => nodes.some((node) => waysOf(node).includes(name)));
      const why = nodes.some(this.#speaks)
        ? "no node is left after filters"
        : served.length > 0
          ? `${served.join(" and ")} can be served, not called by; its nodes speak ${spoken}`
          : `none of its nodes speaks ${this.#calling.join(" or ")}, by which this client calls; they speak ${spoken}`;
      return errors.unavailable("go.micro.client", `service ${service}: ${why}`);
    }
    const waited = waitFor > 0 ? ` within ${Math.round(waitFor)} ms` : "";
    const later = waitFor > 0 ? "" : "; a call with waitFor waits for one";
    if (this.#known.has(service))
      return errors.unavailable(
        "go.micro.client",
        `service ${service}: its last node is gone, and no other came${waited} (asked: ${this.#registry.name})${later}`,
      );
    const soon: Bounds = { ...bounds, deadline: Math.min(bounds.deadline, this.#clock.now() + 300) };
    const names = await bounded(soon, (signal) => this.#registry.listServices({ signal })).then(
      (list) => list.map((record) => record.name),
      () => undefined,
    );
    const like = [...new Set(names)].filter(
      (name) =>
        name !== service && distance(name.toLowerCase(), service.toLowerCase()) <= Math.max(1, service.length / 3),
    );
    const where = `asked: ${this.#registry.name}${names?.length === 0 ? ", where nothing is registered" : ""}`;
    const hint =
      like.length > 0
        ? `did you mean ${like
            .slice(0, 3)
            .map((name) => `"${name}"`)
            .join(", ")}?`
        : `is it started, and does it register there?${waitFor > 0 ? "" : " A call with waitFor waits for it"}`;
    return errors.notFound("go.micro.client", `service ${service}: not found${waited} (${where}); ${hint}`);
  }
}

/** What a node speaks, to show to people: its transport may be none of ours. */
function waysOf(node: Node): string[] {
  const { protocol, transport } = node.metadata;
  const over = protocol === "mucp" && transport ? ` over ${transport}` : "";
  return spokenBy(node).map((name) => (name === "mucp" ? `mucp${over}` : name));
}

/** Levenshtein distance. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      next.push(
        Math.min(
          (next[j - 1] as number) + 1,
          (row[j] as number) + 1,
          (row[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1),
        ),
      );
    }
    row = next;
  }
  return row[b.length] as number;
}
