import type { Clock } from "../../clock.ts";
import { milliseconds, type Duration } from "../../duration.ts";
import { errors, fromUnknown, type MicroError } from "../../errors.ts";
import { onAbort } from "../../internal/on-abort.ts";
import { supervise, type Supervised } from "../../internal/supervise.ts";
import type { Registry, ServiceRecord } from "../../registry.ts";

/** How long (ms) one registry may keep the others waiting. */
const limit = 10_000;
/** Most changes kept for a registry that misses them; past it the one that has waited longest is left out. */
const mostMissed = 10_000;

export interface Change {
  readonly kind: "register" | "deregister";
  readonly service: ServiceRecord;
  readonly ttl?: Duration | undefined;
}

/** How one of several registries is doing. */
export interface MemberHealth {
  readonly name: string;
  readonly degraded: boolean;
  /** Why it is degraded. */
  readonly error?: MicroError | undefined;
  /** Registrations and deregistrations that it has not taken yet; they are tried again with growing pauses. */
  readonly pending: number;
}

/** One of several registries: how it does, and what it has missed. */
export class Member {
  readonly registry: Registry;
  readonly #clock: Clock;
  readonly #degraded: (name: string, error: MicroError) => void;
  /** By what was asked of it. */
  readonly #failures = new Map<string, MicroError>();
  readonly #givenUp = new WeakSet<Change>();
  readonly #missed = new Map<string, { readonly change: Change; readonly until: number }>();
  readonly #busy = new Map<string, Promise<void>>();
  #retries: Supervised<void> | undefined;
  #more: () => void = () => {};
  readonly #end = new AbortController();

  constructor(registry: Registry, clock: Clock, degraded: (name: string, error: MicroError) => void) {
    this.registry = registry;
    this.#clock = clock;
    this.#degraded = degraded;
  }

  health(): MemberHealth {
    const [error] = this.#failures.values();
    return { name: this.registry.name, degraded: error !== undefined, error, pending: this.#missed.size };
  }

  /** Does `work` with the registry, within bounds of time, and notes how it went. */
  async ask<T>(what: string, work: (registry: Registry) => Promise<T>): Promise<T> {
    try {
      const result = await this.#limited(work(this.registry));
      this.#failures.delete(what);
      return result;
    } catch (error) {
      const why = fromUnknown(error, this.registry.name);
      this.#note(what, why);
      throw why;
    }
  }

  /** Makes a change; one that fails is made later, unless a newer one of the same nodes takes its place or it is given up. */
  async change(change: Change, signal?: AbortSignal): Promise<void> {
    const key = keyOf(change);
    await this.#alone(key, async () => {
      const before = this.#missed.get(key);
      this.#missed.delete(key);
      try {
        await this.#apply(change, signal);
      } catch (error) {
        const why = fromUnknown(error, this.registry.name);
        if (passing(why) && !this.#givenUp.has(change)) this.#miss(key, change, before?.until);
        throw why;
      }
    });
  }

  /** A change that need not be made any more. */
  giveUp(change: Change): void {
    this.#givenUp.add(change);
    this.#missed.delete(keyOf(change));
  }

  async close(): Promise<void> {
    this.#end.abort();
    this.#missed.clear();
    await this.#retries?.close();
    await this.registry.close();
  }

  #apply({ kind, service, ttl }: Change, signal?: AbortSignal): Promise<void> {
    return this.ask("register", (registry) =>
      kind === "register" ? registry.register(service, { ttl, signal }) : registry.deregister(service, { signal }),
    );
  }

  /** `before`: until when the missed registration counts that a deregistration undoes: the registry may have it all the same. */
  #miss(key: string, change: Change, before = Infinity): void {
    if (this.#end.signal.aborted) return;
    const own = change.ttl === undefined ? Infinity : this.#clock.now() + milliseconds(change.ttl);
    this.#missed.set(key, { change, until: change.kind === "register" ? own : before });
    const [longest] = this.#missed.keys();
    if (this.#missed.size > mostMissed && longest !== undefined) this.#missed.delete(longest);
    this.#more();
    this.#retries ??= supervise<void>(
      {
        name: `${this.registry.name} registrations`,
        start: () => this.#catchUp(),
        ended: () => new Promise<void>((resolve) => (this.#more = resolve)),
        fatal: () => false,
      },
      { clock: this.#clock, backoff: { min: 500 } },
    );
  }

  /** @throws MicroError when there is something left to do. */
  async #catchUp(): Promise<void> {
    for (const [key, { until }] of this.#missed) if (until <= this.#clock.now()) this.#missed.delete(key);
    for (const [key, missed] of this.#missed) {
      await this.#alone(key, async () => {
        if (this.#missed.get(key) !== missed) return;
        try {
          await this.#apply(missed.change);
        } catch (error) {
          const why = fromUnknown(error, this.registry.name);
          if (passing(why)) {
            // Behind the others, which may have more luck; unless it was given up meanwhile.
            if (this.#missed.delete(key)) this.#missed.set(key, missed);
            throw why;
          }
        }
        this.#missed.delete(key);
      });
    }
  }

  /** One change of the same nodes at a time, in order. */
  #alone(key: string, work: () => Promise<void>): Promise<void> {
    const done = (this.#busy.get(key) ?? Promise.resolve()).then(work);
    const settled = done
      .catch(() => {})
      .then(() => {
        if (this.#busy.get(key) === settled) this.#busy.delete(key);
      });
    this.#busy.set(key, settled);
    return done;
  }

  #note(what: string, error: MicroError): void {
    // The caller's doing, or ours.
    if (error.code === "CANCELLED" || this.#end.signal.aborted) return;
    const known = [...this.#failures.values()].some(({ detail }) => detail === error.detail);
    this.#failures.set(what, error);
    if (!known) this.#degraded(this.registry.name, error);
  }

  #limited<T>(work: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const late = (): void => reject(errors.timeout(this.registry.name, `no answer within ${limit} ms`));
      const timer = this.#clock.after(limit, late);
      const closed = (): void => {
        this.#clock.cancel(timer);
        reject(errors.invalidState(this.registry.name, "the registry is closed"));
      };
      const { signal } = this.#end;
      const unlink = signal.aborted ? () => {} : onAbort(signal, closed);
      const settled = (settle: () => void): void => {
        this.#clock.cancel(timer);
        unlink();
        settle();
      };
      work.then(
        (value) => settled(() => resolve(value)),
        (error: unknown) => settled(() => reject(fromUnknown(error, this.registry.name))),
      );
      if (signal.aborted) closed();
    });
  }
}

/** What the registry cannot hold it will not hold later. */
function passing(error: MicroError): boolean {
  return error.status >= 500 || error.code === "TIMEOUT";
}

function keyOf({ service }: Change): string {
  const ids = service.nodes.map(({ id }) => id).sort();
  return [service.name, service.version, ...ids].join("\0");
}
