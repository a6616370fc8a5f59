import { systemClock, type Clock } from "../clock.ts";
import { errors } from "../errors.ts";
import { exitAmbient } from "../internal/ambient.ts";
import type { Driver } from "../internal/driver.ts";
import { holding } from "../internal/hold.ts";
import { randomBytes } from "../internal/random.ts";
import { mergeRecords } from "./common/record-table.ts";
import { checkRecord, cloneRecord } from "./common/records.ts";
import { Registrations } from "./common/registrations.ts";
import { Watchers } from "./common/watchers.ts";
import type { LookupOptions, RegisterOptions, Registry, ServiceRecord, WatchOptions, Watcher } from "../registry.ts";
import { defaultDirectory, Directory } from "./local/directory.ts";
import { checkSize, Owner } from "./local/owner.ts";
import { Pulse } from "./local/pulse.ts";
import { thisHost } from "./local/record.ts";
import { View } from "./local/view.ts";

export interface LocalRegistryOptions {
  /** Shared by those that are to see each other, of one user. Default `/tmp/ts-micro-<uid>`, on Windows `%LOCALAPPDATA%\ts-micro\run`. */
  directory?: string | undefined;
  /** How often the directory is looked at besides when the system tells of a change, ms. Default 1000. */
  pollMs?: number | undefined;
  clock?: Clock | undefined;
}

/**
 * Services of one user on one host, without a server and without multicast: a file for what each registry says, and a socket beside it that
 * lives as long as its process, so that a killed process is noticed at once and a paused one is not taken for dead. Times to live are kept
 * by the process that registered.
 */
export function localRegistry(options: LocalRegistryOptions = {}): Registry {
  return new LocalRegistry(options);
}

/** Chosen by name: `MICRO_REGISTRY=local`. The address is the directory, else `MICRO_LOCAL_DIR`. */
export const driver: Driver<Registry> = {
  name: "local",
  fromAddress: (address, env) => localRegistry({ directory: address || env["MICRO_LOCAL_DIR"] || undefined }),
};

class LocalRegistry implements Registry {
  readonly name = "local";
  readonly #id = `${process.pid.toString(36)}-${randomBytes(6).toString("hex")}`;
  readonly #at = Date.now();
  readonly #directory: Directory;
  readonly #registrations: Registrations;
  readonly #owner: Owner;
  readonly #view: View;
  readonly #pulse: Pulse;
  readonly #watchers = new Watchers("local");
  #viewed: Promise<void> | undefined;
  #closing: Promise<void> | undefined;

  constructor(options: LocalRegistryOptions) {
    const clock = options.clock ?? systemClock;
    this.#directory = new Directory(options.directory ?? defaultDirectory());
    this.#registrations = new Registrations(
      clock,
      () => {},
      () => void this.#changed().catch(() => {}),
    );
    this.#owner = new Owner(this.#directory, this.#id, () => ({
      id: this.#id,
      at: this.#at,
      host: thisHost(),
      services: this.#registrations.list(),
    }));
    this.#view = new View(this.#directory, this.#id, clock, (event) => this.#watchers.emit(event));
    this.#pulse = new Pulse(this.#directory, options.pollMs ?? 1000, clock, () => this.#look());
  }

  async start(): Promise<void> {
    this.#check();
    await holding(this.#directory.ensure());
  }

  register(service: ServiceRecord, options: RegisterOptions = {}): Promise<void> {
    return this.#during(options.signal, async () => {
      checkRecord(service, this.name);
      checkSize(mergeRecords([service, ...this.#registrations.list()]));
      this.#registrations.add(service, options.ttl);
      await this.#changed();
      await this.#pulse.start();
    });
  }

  deregister(service: ServiceRecord, options: LookupOptions = {}): Promise<void> {
    return this.#during(options.signal, async () => {
      this.#registrations.remove(service);
      if (this.#owner.used) await this.#changed();
    });
  }

  getService(name: string, options: LookupOptions = {}): Promise<ServiceRecord[]> {
    return this.#during(options.signal, async () => {
      await this.#current();
      return this.#view.table.get(name).map(cloneRecord);
    });
  }

  listServices(options: LookupOptions = {}): Promise<ServiceRecord[]> {
    return this.#during(options.signal, async () => {
      await this.#current();
      return this.#view.table.list().map(cloneRecord);
    });
  }

  watch(options: WatchOptions = {}): Watcher {
    return this.#watchers.watch(options, () => this.#during(undefined, () => this.#current()));
  }

  close(): Promise<void> {
    this.#closing ??= (async () => {
      this.#watchers.close();
      this.#registrations.close();
      await this.#pulse.close();
      this.#view.close();
      await this.#owner.close();
    })();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** What was registered here is something else now. What cannot be written is tried again at each poll. */
  #changed(): Promise<void> {
    this.#view.setOwn(this.#registrations.list());
    return this.#owner.publish();
  }

  /** Resolves when the view holds all that was there at the call. */
  async #current(): Promise<void> {
    this.#viewed ??= (async () => {
      await this.#directory.ensure();
      await this.#pulse.start();
    })().catch((error: unknown) => {
      this.#viewed = undefined;
      throw error;
    });
    await this.#viewed;
    await this.#view.refresh();
    this.#check();
  }

  async #look(): Promise<void> {
    if (this.#owner.used) await this.#owner.publish().catch(() => {});
    if (this.#viewed === undefined) return;
    if ((await this.#directory.stat()) === undefined) await this.#directory.ensure();
    await this.#view.refresh();
  }

  /** Keeps the process alive meanwhile, and the sockets that it opens free of the caller's context. */
  #during<T>(signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
    return holding(
      exitAmbient(async () => {
        this.#check();
        if (signal?.aborted === true) throw errors.cancelled(this.name, "the caller gave up");
        return await work();
      }),
    );
  }

  #check(): void {
    if (this.#closing !== undefined) throw errors.invalidState(this.name, "the registry is closed");
  }
}
