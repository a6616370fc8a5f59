import type { Clock } from "../../clock.ts";
import { Deadlines, type Expiring } from "../../internal/deadlines.ts";
import { tickTime } from "../../internal/tick.ts";

/** How long idle connections beyond a pool's size are kept, in milliseconds: a steady load of more callers than that dials no new ones. */
const grace = 1000;

/** An idle connection that a {@link Pool} keeps. */
export interface Poolable extends Expiring {
  /** What it leads to. */
  readonly key: string;
  /** Set by the pool, as long as it is idle. */
  deadline: number;
  /** Set by the pool: when it is too old to be used. */
  until?: number;
  /** False once it is known to be of no use. */
  readonly alive: boolean;
  destroy(): void;
}

export interface PoolOptions {
  /** Most idle connections of one key; those idle longest give way after a second. 0 keeps none. */
  size: number;
  /** Milliseconds from its making for which a connection may be used again. */
  ttl: number;
  clock: Clock;
}

/** Idle connections by key, the last used first (v4:util/pool/default.go). Unlike Go's, it lets the aged and the dead go by itself. */
export class Pool<T extends Poolable> {
  /** A list stays while there are connections of its key, though all may be in use. */
  readonly #idle = new Map<string, T[]>();
  readonly #options: PoolOptions;
  readonly #aged: Deadlines<T>;
  #closed = false;

  constructor(options: PoolOptions) {
    this.#options = options;
    this.#aged = new Deadlines(
      options.clock,
      () => this.#all(),
      (link) => this.#expired(link),
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
    const { clock, ttl } = this.#options;
    link.until = clock.now() + ttl;
  }

  take(key: string): T | undefined {
    const links = this.#idle.get(key);
    if (links === undefined) return undefined;
    const now = tickTime(this.#options.clock);
    for (let link = links.pop(); link !== undefined; link = links.pop()) {
      const fresh = (link.until ?? -Infinity) > now;
      link.deadline = Infinity;
      if (fresh && link.alive) return link;
      link.destroy();
    }
    return undefined;
  }

  /** Takes a connection back; one too old is ended. */
  give(link: T): void {
    const { clock, size } = this.#options;
    const deadline = link.until ?? -Infinity;
    const now = tickTime(clock);
    if (this.#closed || !link.alive || deadline <= now || size <= 0) return link.destroy();
    let links = this.#idle.get(link.key);
    if (links === undefined) this.#idle.set(link.key, (links = []));
    link.deadline = deadline;
    links.push(link);
    this.#aged.add(deadline);
    if (links.length <= size) return;
    const spare = links[links.length - 1 - size] as T;
    if (spare.deadline > now + grace) this.#aged.add((spare.deadline = now + grace));
  }

  /** A connection that has died is forgotten, if it is idle. */
  drop(link: T): void {
    const links = this.#idle.get(link.key);
    if (links === undefined) return;
    const at = links.indexOf(link);
    if (at >= 0) links.splice(at, 1);
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

  #expired(link: T): void {
    const links = this.#idle.get(link.key) ?? [];
    const until = link.until ?? -Infinity;
    // Fewer are idle by now.
    if (until > tickTime(this.#options.clock) && links.indexOf(link) >= links.length - this.#options.size)
      return this.#aged.add((link.deadline = until));
    this.drop(link);
    link.destroy();
  }

  *#all(): Iterable<T> {
    for (const links of this.#idle.values()) yield* links;
  }
}
