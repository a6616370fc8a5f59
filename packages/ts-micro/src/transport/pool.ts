import type { Clock } from "../clock.ts";
import { Deadlines, type Expiring } from "../internal/deadlines.ts";

/** An idle connection that a {@link Pool} keeps. */
export interface Poolable extends Expiring {
  /** What it leads to. */
  readonly key: string;
  /** Set by the pool. */
  deadline: number;
  /** False once it is known to be of no use. */
  readonly alive: boolean;
  destroy(): void;
}

export interface PoolOptions {
  /** Most idle connections of one key. The oldest gives way. */
  size: number;
  /** Milliseconds from its making for which a connection may be used again. */
  ttl: number;
  clock: Clock;
}

/** Idle connections by key, the last used first (v4:util/pool/default.go). Unlike Go's, it lets the aged and the dead go by itself. */
export class Pool<T extends Poolable> {
  readonly #idle = new Map<string, T[]>();
  readonly #born = new WeakMap<T, number>();
  readonly #options: PoolOptions;
  readonly #aged: Deadlines<T>;
  #closed = false;

  constructor(options: PoolOptions) {
    this.#options = options;
    this.#aged = new Deadlines(
      options.clock,
      () => this.#all(),
      (link) => this.#remove(link),
    );
  }

  /** Idle connections, of one key or of all. */
  count(key?: string): number {
    if (key !== undefined) return this.#idle.get(key)?.length ?? 0;
    let sum = 0;
    for (const links of this.#idle.values()) sum += links.length;
    return sum;
  }

  /** Tells of a new connection: its age counts from here. */
  born(link: T): void {
    this.#born.set(link, this.#options.clock.now());
  }

  take(key: string): T | undefined {
    const links = this.#idle.get(key);
    if (links === undefined) return undefined;
    const now = this.#options.clock.now();
    for (let link = links.pop(); link !== undefined; link = links.pop()) {
      if (links.length === 0) this.#idle.delete(key);
      const fresh = link.deadline > now;
      link.deadline = Infinity;
      if (fresh && link.alive) return link;
      link.destroy();
    }
    return undefined;
  }

  /** Takes a connection back; one too old is ended. */
  give(link: T): void {
    const { clock, size, ttl } = this.#options;
    const deadline = (this.#born.get(link) ?? -Infinity) + ttl;
    if (this.#closed || !link.alive || deadline <= clock.now() || size <= 0) return link.destroy();
    let links = this.#idle.get(link.key);
    if (links === undefined) this.#idle.set(link.key, (links = []));
    else if (links.length >= size) links.shift()?.destroy();
    link.deadline = deadline;
    links.push(link);
    this.#aged.add(deadline);
  }

  /** An idle connection that has died is forgotten. */
  drop(link: T): void {
    const links = this.#idle.get(link.key);
    const at = links?.indexOf(link) ?? -1;
    if (links === undefined || at < 0) return;
    links.splice(at, 1);
    if (links.length === 0) this.#idle.delete(link.key);
  }

  forget(key: string): void {
    const links = this.#idle.get(key);
    this.#idle.delete(key);
    for (const link of links ?? []) link.destroy();
  }

  /** Ends what is idle; what is given back later is ended then. */
  close(): void {
    this.#closed = true;
    this.#aged.close();
    for (const key of this.#idle.keys()) this.forget(key);
  }

  #remove(link: T): void {
    this.drop(link);
    link.destroy();
  }

  *#all(): Iterable<T> {
    for (const links of this.#idle.values()) yield* links;
  }
}
