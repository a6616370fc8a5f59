import type { MicroError } from "../errors.ts";
import { hold, release } from "./hold.ts";

interface Waiting<T> {
  resolve(result: IteratorResult<T, undefined>): void;
  reject(error: MicroError): void;
}

/**
 * What happens, for a reader who may be slower: bounded, in order, never waiting for the reader. What does not fit ends the queue with the
 * error of `overflow`, after what is already in it. A pending read keeps the process alive, unless it is a background reader's.
 */
export class AsyncQueue<T> implements AsyncIterableIterator<T, undefined> {
  readonly #room: number;
  readonly #overflow: () => MicroError;
  readonly #background: boolean;
  readonly #left: () => void;
  #values: T[] = [];
  #readers: Waiting<T>[] = [];
  #over: { readonly error: MicroError | undefined } | undefined;

  /** `left` is called once, when the queue is over for whatever reason. */
  constructor(room: number, overflow: () => MicroError, left: () => void = () => {}, background = false) {
    this.#room = room;
    this.#overflow = overflow;
    this.#left = left;
    this.#background = background;
  }

  /** Ignored after the end. */
  push(value: T): void {
    if (this.#over !== undefined) return;
    const reader = this.#take();
    if (reader !== undefined) reader.resolve({ done: false, value });
    else if (this.#values.length < this.#room) this.#values.push(value);
    else this.end(this.#overflow());
  }

  /** Nothing more comes: after what is queued, reads are done, or the first of them rejects with `error`. The first end counts. */
  end(error?: MicroError): void {
    if (this.#over !== undefined) return;
    this.#over = { error };
    for (let reader = this.#take(); reader !== undefined; reader = this.#take()) this.#finish(reader);
    this.#left();
  }

  /** The reader leaves: what is queued is gone. */
  close(): void {
    this.#values = [];
    this.end();
    this.#over = { error: undefined };
  }

  next(): Promise<IteratorResult<T, undefined>> {
    return new Promise((resolve, reject) => {
      if (this.#values.length > 0) {
        resolve({ done: false, value: this.#values.shift() as T });
      } else if (this.#over !== undefined) {
        this.#finish({ resolve, reject });
      } else {
        if (!this.#background) hold();
        this.#readers.push({ resolve, reject });
      }
    });
  }

  return(): Promise<IteratorResult<T, undefined>> {
    this.close();
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #take(): Waiting<T> | undefined {
    const reader = this.#readers.shift();
    if (reader !== undefined && !this.#background) release();
    return reader;
  }

  #finish(reader: Waiting<T>): void {
    const error = this.#over?.error;
    if (error === undefined) {
      reader.resolve({ done: true, value: undefined });
    } else {
      this.#over = { error: undefined };
      reader.reject(error);
    }
  }
}
