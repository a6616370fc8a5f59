import { errors, type MicroError } from "../errors.ts";

interface Waiting<T> {
  resolve(value: T): void;
  reject(error: MicroError): void;
}

/** A bounded hand-over from a sender to one reader: `send` waits while `room` values are unread. */
export class Channel<T> implements AsyncIterable<T> {
  readonly #room: number;
  readonly #values: T[] = [];
  #senders: Waiting<void>[] = [];
  #reader: Waiting<IteratorResult<T, undefined>> | undefined;
  #ended = false;
  #error: MicroError | undefined;
  #last: MicroError | undefined;

  constructor(room: number) {
    this.#room = room;
  }

  /** Resolves when there is room for the next value; rejects when the channel is over. */
  send(value: T): Promise<void> {
    if (this.#error !== undefined) return Promise.reject(this.#error);
    if (this.#ended) return Promise.reject(errors.invalidState("stream", "send after end"));
    if (this.#reader !== undefined) {
      const reader = this.#reader;
      this.#reader = undefined;
      reader.resolve({ done: false, value });
      return Promise.resolve();
    }
    this.#values.push(value);
    if (this.#values.length < this.#room) return Promise.resolve();
    return new Promise((resolve, reject) => this.#senders.push({ resolve, reject }));
  }

  /** No further values; the reader gets those that are there, then the end, or `error`. */
  end(error?: MicroError): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#last = error;
    if (error === undefined) this.#reader?.resolve({ done: true, value: undefined });
    else this.#reader?.reject(error);
    this.#reader = undefined;
  }

  /** Over at once: unread values are gone, reader and senders get `error`. */
  fail(error: MicroError): void {
    if (this.#error !== undefined) return;
    this.#error = error;
    this.#values.length = 0;
    this.#reader?.reject(error);
    this.#reader = undefined;
    for (const sender of this.#senders) sender.reject(error);
    this.#senders = [];
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
    return new Promise((resolve, reject) => {
      this.#reader = { resolve, reject };
    });
  }

  [Symbol.asyncIterator](): AsyncIterator<T, undefined> {
    return {
      next: () => this.next(),
      return: () => {
        this.fail(errors.cancelled("stream", "the reader left"));
        return Promise.resolve({ done: true, value: undefined });
      },
    };
  }
}
