import type { MicroError } from "../errors.ts";

/** Bounds of a {@link MessageQueue}. Reaching either makes it full. */
export interface QueueLimits {
  /** Default 64. */
  readonly messages?: number;
  /** Default 1 MiB. */
  readonly bytes?: number;
}

interface Reader {
  resolve(body: Uint8Array | undefined): void;
  reject(error: MicroError): void;
}

/**
 * Messages of one stream between the wire, which pushes, and its reader, which pulls. It never drops: when it is full it says so, and the
 * wire has to stop until there is room. Every read settles exactly once.
 */
export class MessageQueue {
  readonly #messages: number;
  readonly #bytes: number;
  readonly #stop: () => void;
  readonly #go: () => void;
  #items: (Uint8Array | MicroError)[] = [];
  #next = 0;
  #held = 0;
  #full = false;
  #readers: Reader[] = [];
  #over: { readonly error: MicroError | undefined } | undefined;

  /** `stop` is called when it gets full, `go` when there is room again or nothing more is taken. */
  constructor(stop: () => void, go: () => void, limits: QueueLimits = {}) {
    this.#stop = stop;
    this.#go = go;
    this.#messages = limits.messages ?? 64;
    this.#bytes = limits.bytes ?? 1 << 20;
  }

  /** Messages that wait for a reader. */
  get length(): number {
    return this.#items.length - this.#next;
  }

  /** Bytes beyond those that make it full: a message may be longer. */
  get excess(): number {
    return Math.max(0, this.#held - this.#bytes);
  }

  /** Nothing more comes. */
  get over(): boolean {
    return this.#over !== undefined;
  }

  get full(): boolean {
    return this.#full;
  }

  /** A message, or an error that one read rejects with before the stream goes on. Ignored after the end. */
  push(item: Uint8Array | MicroError): void {
    if (this.#over !== undefined) return;
    const reader = this.#readers.shift();
    if (reader !== undefined) return settle(reader, item);
    this.#items.push(item);
    this.#held += sizeOf(item);
    if (!this.#full && (this.length >= this.#messages || this.#held >= this.#bytes)) {
      this.#full = true;
      this.#stop();
    }
  }

  /** Nothing more comes: after what is queued, reads give undefined, or reject with `error`. The first end counts. */
  end(error?: MicroError): void {
    if (this.#over !== undefined) return;
    this.#over = { error };
    this.#finish();
  }

  /** Drops what is queued; reads reject with `error` from now on, whatever the end was before. */
  abort(error: MicroError): void {
    this.#items = [];
    this.#next = 0;
    this.#held = 0;
    this.#over = { error };
    this.#finish();
  }

  /** The next message; undefined at the clean end. */
  read(): Promise<Uint8Array | undefined> {
    return new Promise((resolve, reject) => {
      if (this.length > 0) settle({ resolve, reject }, this.#take());
      else if (this.#over === undefined) this.#readers.push({ resolve, reject });
      else if (this.#over.error === undefined) resolve(undefined);
      else reject(this.#over.error);
    });
  }

  #take(): Uint8Array | MicroError {
    const item = this.#items[this.#next++] as Uint8Array | MicroError;
    this.#held -= sizeOf(item);
    if (this.#next === this.#items.length) {
      this.#items = [];
      this.#next = 0;
    }
    if (this.#full && this.length * 2 <= this.#messages && this.#held * 2 <= this.#bytes) this.#room();
    return item;
  }

  #finish(): void {
    const readers = this.#readers;
    this.#readers = [];
    const error = this.#over?.error;
    for (const reader of readers) {
      if (error === undefined) reader.resolve(undefined);
      else reader.reject(error);
    }
    if (this.#full) this.#room();
  }

  #room(): void {
    this.#full = false;
    this.#go();
  }
}

function settle(reader: Reader, item: Uint8Array | MicroError): void {
  if (item instanceof Uint8Array) reader.resolve(item);
  else reader.reject(item);
}

function sizeOf(item: Uint8Array | MicroError): number {
  return item instanceof Uint8Array ? item.length : 0;
}
