import type { Clock, Timer } from "../../clock.ts";
import { errors, type MicroError } from "../../errors.ts";
import { exitAmbient } from "../../internal/ambient.ts";
import { backoff } from "../../internal/backoff.ts";
import { hold, release } from "../../internal/hold.ts";
import { id } from "./names.ts";

/** A message that could not be sent yet. */
export interface Parcel {
  readonly topic: string;
  /** The envelope. */
  readonly body: Buffer;
}

export interface OutboxOptions {
  readonly clock: Clock;
  /** Most parcels per destination. */
  readonly limit: number;
  /** Most bytes over all destinations. */
  readonly bytes: number;
  /** Tries after the first. */
  readonly attempts: number;
  /** Tries again: undefined when the parcel is dealt with, else why it could not be sent. */
  readonly send: (key: string, parcel: Parcel) => Promise<MicroError | undefined>;
  readonly giveUp: (parcel: Parcel, why: MicroError) => void;
}

interface Box {
  readonly parcels: Parcel[];
  failures: number;
  timer: Timer | undefined;
  flushing: Promise<void> | undefined;
}

/**
 * Messages whose destination could not be reached, kept for a few seconds: bounded, tried in order with growing pauses, then given up
 * (Go's inbox is flushed only by the next publish to the same topic). While it holds something the process stays alive.
 */
export class Outbox {
  readonly #options: OutboxOptions;
  readonly #boxes = new Map<string, Box>();
  #bytes = 0;
  #closed = false;

  constructor(options: OutboxOptions) {
    this.#options = options;
  }

  /** Parcels that wait. */
  get size(): number {
    let size = 0;
    for (const box of this.#boxes.values()) size += box.parcels.length;
    return size;
  }

  /** Whether something waits for this destination: what comes later must wait behind it. */
  has(key: string): boolean {
    return this.#boxes.has(key);
  }

  put(key: string, parcel: Parcel, why: MicroError): void {
    const { limit, bytes, giveUp } = this.#options;
    let box = this.#boxes.get(key);
    if (this.#closed) return giveUp(parcel, why);
    if ((box?.parcels.length ?? 0) >= limit || this.#bytes + parcel.body.length > bytes)
      return giveUp(parcel, errors.resourceExhausted(id, `the buffer is full: ${why.detail}`, why));
    if (box === undefined) {
      box = { parcels: [], failures: 0, timer: undefined, flushing: undefined };
      this.#boxes.set(key, box);
      hold();
    }
    box.parcels.push(parcel);
    this.#bytes += parcel.body.length;
    if (box.timer === undefined && box.flushing === undefined) this.#arm(key, box);
  }

  /** One last try for everything, then it is given up. */
  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all(
      [...this.#boxes].map(async ([key, box]) => {
        if (box.timer !== undefined) this.#options.clock.cancel(box.timer);
        box.timer = undefined;
        await (box.flushing ?? this.#flush(key, box));
      }),
    );
  }

  #arm(key: string, box: Box): void {
    box.failures++;
    const pause = backoff(box.failures, { min: 100, max: 5000 });
    box.timer = exitAmbient(() =>
      this.#options.clock.after(pause, () => {
        box.timer = undefined;
        box.flushing = this.#flush(key, box);
      }),
    );
  }

  async #flush(key: string, box: Box): Promise<void> {
    const { attempts, send } = this.#options;
    let why: MicroError | undefined;
    while (why === undefined && box.parcels.length > 0) {
      const parcel = box.parcels[0] as Parcel;
      why = await send(key, parcel);
      if (why !== undefined) break;
      box.parcels.shift();
      this.#bytes -= parcel.body.length;
      box.failures = 0;
    }
    box.flushing = undefined;
    if (why === undefined) this.#remove(key);
    else if (box.failures >= attempts || this.#closed) this.#empty(key, box, why);
    else this.#arm(key, box);
  }

  #empty(key: string, box: Box, why: MicroError): void {
    const lost = box.parcels.splice(0);
    for (const parcel of lost) this.#bytes -= parcel.body.length;
    this.#remove(key);
    for (const parcel of lost) this.#options.giveUp(parcel, why);
  }

  #remove(key: string): void {
    if (this.#boxes.delete(key)) release();
  }
}
