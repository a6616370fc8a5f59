import type { Clock } from "../../clock.ts";

/** Sources remembered; past it the one that asked longest ago is forgotten. */
const maxSources = 1024;

/** A token bucket for each source: who asks more than `rate` times a second, with bursts of `burst`, is not answered meanwhile. */
export class Limiter {
  readonly #clock: Clock;
  readonly #rate: number;
  readonly #burst: number;
  readonly #sources = new Map<string, { tokens: number; at: number }>();
  /** Questions that were not answered. */
  refused = 0;

  constructor(clock: Clock, rate: number, burst: number) {
    this.#clock = clock;
    this.#rate = rate;
    this.#burst = burst;
  }

  /** Sources remembered. */
  get size(): number {
    return this.#sources.size;
  }

  allow(source: string): boolean {
    const now = this.#clock.now();
    const entry = this.#sources.get(source) ?? { tokens: this.#burst, at: now };
    entry.tokens = Math.min(this.#burst, entry.tokens + ((now - entry.at) / 1000) * this.#rate);
    entry.at = now;
    // Last in the map: asked last.
    this.#sources.delete(source);
    this.#sources.set(source, entry);
    if (this.#sources.size > maxSources)
      for (const oldest of this.#sources.keys()) {
        this.#sources.delete(oldest);
        break;
      }
    if (entry.tokens < 1) {
      this.refused++;
      return false;
    }
    entry.tokens--;
    return true;
  }
}
