import { errors, type MicroError } from "../errors.ts";

interface Waiting<T> {
  resolve(value: T): void;
  reject(error: MicroError): void;
}

/** A bounded hand-over from a sender to a reader, who may ask ahead: `send` waits while `room` values are unread. */
export class Channel<T> implements AsyncIterableIterator<T, undefined> {
  readonly #room: number;
  readonly #values: T[] = [];
  readonly #senders: Waiting<void>[] = [];
  readonly #readers: Waiting<IteratorResult<T, undefined>>[] = [];
  #ended = false;
  #error: MicroError | undefined;
  #last: MicroError | undefined;

  constructor(room: number) {
    this.#room = room;
  }

  get unread(): number {
    return this.#values.length;
  }

  /** Resolves when there is room for the next value; rejects when the channel is over. */
  send(value: T): Promise<void> {
    if (this.#error !== undefined) return Promise.reject(this.#error);
    if (this.#ended) return Promise.reject(errors.invalidState("stream", "send after end"));
    const reader = this.#readers.shift();
    if (reader !== undefined) {
      reader.resolve({ done: false, value });
      return Promise.resolve();
    }
    this.#values.push(value);
    if (this.#values.length < this.#room) return Promise.resolve();
    return new Promise((resolve, reject) => this.#senders.push({ resolve, reject }));
  }

  /** No further values; the reader gets those that are there, then the end, or `error`, which senders who wait get at once. */
  end(error?: MicroError): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#last = error;
    for (const reader of this.#readers.splice(0)) {
      if (error === undefined) reader.resolve({ done: true, value: undefined });
      else reader.reject(error);
    }
    if (error !== undefined) this.#dropSenders(error);
  }

  /** Over at once: unread values are gone, reader and senders get `error`. */
  fail(error: MicroError): void {
    if (this.#error !== undefined) return;
    this.#error = error;
    this.#values.length = 0;
    for (const reader of this.#readers.splice(0)) reader.reject(error);
    this.#dropSenders(error);
  }

  #dropSenders(error: MicroError): void {
    for (const sender of this.#senders.splice(0)) sender.reject(error);
  }

  next(): Promise<IteratorResult<T, undefined>> {
    if (this.#error !== undefined) return Promise.reject(this.#error);
    if (this.#values.length > 0) {
      const value = this.#values.shift() as T;
      this.#senders.shift()?.resolve();
      return Promise.resolve({ done: false, value });
    }
    if (this.#ended) {
      return this.#last === undefined ? Promise.resolve({ done: true, value: undefined }) : Promise.reject(this.#last);
    }
    return new Promise((resolve, reject) => this.#readers.push({ resolve, reject }));
  }

  return(): Promise<IteratorResult<T, undefined>> {
    this.fail(errors.cancelled("stream", "the reader left"));
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}
