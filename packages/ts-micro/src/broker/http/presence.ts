import { sleep, type Clock } from "../../clock.ts";
import { errors, fromUnknown, type MicroError } from "../../errors.ts";
import { exitAmbient } from "../../internal/ambient.ts";
import { backoff } from "../../internal/backoff.ts";
import { within } from "../../internal/within.ts";
import type { Registry, ServiceRecord } from "../../registry.ts";
import { id, registryLimit } from "./names.ts";

/** TTL and interval of Go (wire spec §6.3), in milliseconds. */
const ttl = 60_000;
const interval = 30_000;
/** Milliseconds that it may take to deregister. */
const leaveLimit = 3000;

/**
 * Keeps the records of the open subscriptions in the registry: refreshed each 30 s; after a failure sooner, with backoff. Registering again
 * changes nothing at subscribers that are known already.
 */
export class Presence {
  readonly #registry: Registry;
  readonly #clock: Clock;
  readonly #report: (error: MicroError) => void;
  /** Each with its first registration, which may still be under way. */
  readonly #records = new Map<ServiceRecord, Promise<void>>();
  #loop: AbortController | undefined;
  #failures = 0;

  constructor(registry: Registry, clock: Clock, report: (error: MicroError) => void) {
    this.#registry = registry;
    this.#clock = clock;
    this.#report = report;
  }

  /** Registers, now and from now on. A registry that is away is reported and tried again; any other error rejects, and nothing is kept. */
  async add(record: ServiceRecord): Promise<void> {
    const registering = this.#register(record);
    this.#records.set(record, registering);
    try {
      await registering;
    } catch (error) {
      const failure = fromUnknown(error, id);
      if (failure.code !== "REGISTRY_UNAVAILABLE" && failure.code !== "TIMEOUT") {
        this.#records.delete(record);
        throw failure;
      }
      this.#failed(failure);
      this.#loop?.abort();
      this.#loop = undefined;
    }
    if (this.#records.has(record)) this.#begin();
  }

  /** Takes it out. A registry that does not take part is reported: the record ends with its TTL. */
  async remove(record: ServiceRecord): Promise<void> {
    const registering = this.#records.get(record);
    if (registering === undefined) return;
    this.#records.delete(record);
    if (this.#records.size === 0) {
      this.#loop?.abort();
      this.#loop = undefined;
    }
    await registering.catch(() => {});
    try {
      await this.#deregister(record);
    } catch (error) {
      this.#report(fromUnknown(error, id));
    }
  }

  #begin(): void {
    if (this.#loop !== undefined) return;
    const loop = (this.#loop = new AbortController());
    exitAmbient(() => void this.#run(loop.signal));
  }

  async #run(signal: AbortSignal): Promise<void> {
    for (;;) {
      const pause = this.#failures === 0 ? interval : backoff(this.#failures, { min: 250, max: 5000 });
      await sleep(this.#clock, pause, signal);
      if (signal.aborted) return;
      const failure = await this.#refresh();
      if (signal.aborted) return;
      if (failure === undefined) this.#failures = 0;
      else this.#failed(failure);
    }
  }

  /** The last failure, if there was any. */
  async #refresh(): Promise<MicroError | undefined> {
    let failure: MicroError | undefined;
    for (const record of this.#records.keys()) {
      try {
        await this.#register(record);
        // Taken out while it was being put in: the last word counts.
        if (!this.#records.has(record)) await this.#deregister(record);
      } catch (error) {
        failure = fromUnknown(error, id);
        // The others would wait for the same time.
        if (failure.code === "REGISTRY_UNAVAILABLE") return failure;
      }
    }
    return failure;
  }

  /** Told once, not at each try. */
  #failed(error: MicroError): void {
    if (this.#failures++ === 0) this.#report(error);
  }

  #register(record: ServiceRecord): Promise<void> {
    return this.#bounded(registryLimit, (signal) => this.#registry.register(record, { ttl, signal }));
  }

  #deregister(record: ServiceRecord): Promise<void> {
    return this.#bounded(leaveLimit, (signal) => this.#registry.deregister(record, { signal }));
  }

  async #bounded(limit: number, work: (signal: AbortSignal) => Promise<void>): Promise<void> {
    const control = new AbortController();
    try {
      await within(this.#clock, limit, work(control.signal), () => {
        throw errors.registryUnavailable(id, `the registry ${this.#registry.name} did not answer in ${limit} ms`);
      });
    } catch (error) {
      control.abort(error);
      throw error;
    }
  }
}
