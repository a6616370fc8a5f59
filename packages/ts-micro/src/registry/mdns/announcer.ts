import type { Clock, Timer } from "../../clock.ts";
import { announcement, probe, ttlSeconds, type Entry } from "./entry.ts";

/** As Go: three probes within a quarter of a second, three announcements. Ours do not wait for the probes, whose answers nobody heeds. */
const steps: readonly { readonly after: number; readonly kind: "probe" | "announcement" }[] = [
  { after: 0, kind: "probe" },
  { after: 125, kind: "probe" },
  { after: 125, kind: "probe" },
  { after: 750, kind: "announcement" },
  { after: 2000, kind: "announcement" },
];

/** Says to everybody that nodes came, are there, and went. */
export class Announcer {
  readonly #clock: Clock;
  readonly #send: (packet: Uint8Array) => Promise<void>;
  readonly #timers = new Map<string, Timer>();

  constructor(clock: Clock, send: (packet: Uint8Array) => Promise<void>) {
    this.#clock = clock;
    this.#send = send;
  }

  /**
   * Resolves when it has been said for the first time; twice more follow.
   * @throws MicroError REGISTRY_UNAVAILABLE
   */
  async announce(entry: Entry): Promise<void> {
    this.cancel(entry);
    await this.#send(announcement(entry, ttlSeconds));
    this.#step(entry, 0);
  }

  /** Said twice: what is lost here is missed for half a minute. */
  async goodbye(entry: Entry): Promise<void> {
    this.cancel(entry);
    const packet = announcement(entry, 0);
    await Promise.all([this.#send(packet), this.#send(packet)].map((sent) => sent.catch(() => {})));
  }

  cancel({ name }: Entry): void {
    this.#clock.cancel(this.#timers.get(name));
    this.#timers.delete(name);
  }

  close(): void {
    for (const timer of this.#timers.values()) this.#clock.cancel(timer);
    this.#timers.clear();
  }

  #step(entry: Entry, index: number): void {
    const step = steps[index];
    this.#timers.delete(entry.name);
    if (step === undefined) return;
    const go = (): void => {
      this.#send(step.kind === "probe" ? probe(entry) : announcement(entry, ttlSeconds)).catch(() => {});
      this.#step(entry, index + 1);
    };
    this.#timers.set(entry.name, this.#clock.after(step.after, go));
  }
}
