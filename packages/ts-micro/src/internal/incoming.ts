import type { MicroError } from "../errors.ts";
import { fromUnknown } from "../errors.ts";
import { hold, release } from "./hold.ts";
import { Ring } from "./ring.ts";

/** Gets the messages of a stream as they come. Its methods throw nothing. */
export interface Receiver {
  /** A message, `bytes[from, to)`, to be read before this returns. False: it counts as unread until `took` tells of it. */
  message(bytes: Buffer, from: number, to: number): boolean;
  /** Nothing more comes. `dropped`: what is unread is not wanted any more either. */
  ended(error: MicroError | undefined, dropped: boolean): void;
}

/** Where messages come from: a `RawStream`, as far as its reader is concerned. */
export interface Source {
  read(): Promise<Uint8Array | undefined>;
  receive?(receiver: Receiver): void;
  took?(bytes: number): void;
  readonly behind?: Source | undefined;
}

/** In place of the length of a message that was read: whoever gave it knows that. */
const counted = -1;

interface Reader {
  resolve(result: IteratorResult<unknown, undefined>): void;
  reject(error: MicroError): void;
}

/**
 * The messages of one stream as values, for one reader who may be slower. A source that pushes has them decoded where they stand in its
 * buffer, and what is there is read without waiting; any other is asked for one message at a time. The end, or its error, is told once.
 */
export abstract class Incoming implements Receiver, AsyncIterableIterator<unknown, undefined> {
  readonly #id: string;
  readonly #holds: boolean;
  /** Values with the length that they had as bytes. */
  readonly #unread = new Ring();
  #source: Source | undefined;
  #asking = false;
  #readers: Reader[] = [];
  /** Ends the wait of `forEach`. */
  #wake: (() => void) | undefined;
  #over = false;
  #error: MicroError | undefined;
  #told = false;
  #spoiling = false;

  /** `id`: who reports what is no MicroError. `holds`: who waits for a message keeps the process. */
  constructor(id: string, holds: boolean) {
    this.#id = id;
    this.#holds = holds;
  }

  /** The value of `bytes[from, to)`, which are used again. */
  protected abstract valueAt(bytes: Buffer, from: number, to: number): unknown;
  /** The value of a message that was read. */
  protected abstract valueOf(body: Uint8Array): unknown;
  /** A message did not decode: nothing after it will be read. */
  protected spoiled(): void {}
  /** The reader has been told the end. */
  protected told(_error: MicroError | undefined): void {}

  /** Its messages come from there, from now on. */
  attach(source: Source): void {
    this.#source = source;
    this.#asking = false;
    if (source.receive !== undefined) source.receive(this);
    else if (this.#readers.length > 0 || this.#wake !== undefined) this.#ask();
  }

  message(bytes: Buffer, from: number, to: number): boolean {
    // Nobody reads any more: the sender is held.
    if (this.#over) return false;
    let value: unknown;
    try {
      value = this.valueAt(bytes, from, to);
    } catch (error) {
      this.#spoil(error);
      return false;
    }
    return this.#came(value, to - from);
  }

  ended(error: MicroError | undefined, dropped: boolean): void {
    if (this.#spoiling) return;
    if (dropped) this.#unread.clear();
    if (this.#over) {
      if (dropped && !this.#told) this.#error = error;
      return;
    }
    this.#over = true;
    this.#error = error;
    const readers = this.#readers;
    this.#readers = [];
    for (const reader of readers) {
      if (this.#holds) release();
      const failure = this.#tell();
      if (failure === undefined) reader.resolve({ done: true, value: undefined });
      else reader.reject(failure);
    }
    this.#awake();
  }

  /** Messages that nobody has read yet. */
  protected get unread(): number {
    return this.#unread.count;
  }

  next(): Promise<IteratorResult<unknown, undefined>> {
    if (this.#unread.count > 0) return Promise.resolve({ done: false, value: this.#take() });
    if (this.#over) return this.#end();
    return new Promise((resolve, reject) => {
      if (this.#holds) hold();
      this.#readers.push({ resolve, reject });
      this.#ask();
    });
  }

  /** The reader leaves. */
  return(value?: unknown): Promise<IteratorResult<unknown, undefined>> {
    this.ended(undefined, true);
    this.#tell();
    return Promise.resolve({ done: true, value: value as undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** Calls `each` with every message, one after the other; resolves at the end, rejects with the stream's error or what `each` throws. */
  async forEach(each: (message: unknown) => unknown): Promise<void> {
    for (;;) {
      while (this.#unread.count > 0) {
        const result = each(this.#take());
        if (typeof result === "object" && result !== null) await (result as PromiseLike<unknown>);
      }
      if (this.#over) return void (await this.#end());
      await new Promise<void>((resolve) => {
        if (this.#holds) hold();
        this.#wake = resolve;
        this.#ask();
      });
    }
  }

  /** True when it is read. */
  #came(value: unknown, length: number): boolean {
    const reader = this.#readers.shift();
    if (reader === undefined) {
      this.#unread.push(value, length);
      if (this.#wake !== undefined) this.#awake();
      return false;
    }
    if (this.#holds) release();
    reader.resolve({ done: false, value });
    return true;
  }

  #take(): unknown {
    const length = this.#unread.number;
    const value = this.#unread.shift();
    if (length !== counted) this.#source?.took?.(length);
    return value;
  }

  #awake(): void {
    const wake = this.#wake;
    if (wake === undefined) return;
    this.#wake = undefined;
    if (this.#holds) release();
    wake();
  }

  #end(): Promise<IteratorReturnResult<undefined>> {
    const error = this.#tell();
    return error === undefined ? Promise.resolve({ done: true, value: undefined }) : Promise.reject(error);
  }

  /** The end is told: its error, the first time. */
  #tell(): MicroError | undefined {
    const error = this.#error;
    this.#error = undefined;
    if (!this.#told) {
      this.#told = true;
      this.told(error);
    }
    return error;
  }

  #spoil(cause: unknown): void {
    const error = fromUnknown(cause, this.#id);
    this.ended(error, false);
    // What gives the source up is no end of its own.
    this.#spoiling = true;
    this.spoiled();
    this.#spoiling = false;
  }

  /** Of a source that does not push. */
  #ask(): void {
    const source = this.#source;
    if (source === undefined || source.receive !== undefined || this.#asking) return;
    this.#asking = true;
    source.read().then(
      (body) => this.#answered(source, body),
      (error: unknown) => {
        if (source === this.#source) this.ended(fromUnknown(error, this.#id), false);
      },
    );
  }

  #answered(source: Source, body: Uint8Array | undefined): void {
    if (source !== this.#source || this.#over) return;
    this.#asking = false;
    if (body === undefined) return this.ended(undefined, false);
    let value: unknown;
    try {
      value = this.valueOf(body);
    } catch (error) {
      return this.#spoil(error);
    }
    this.#came(value, counted);
    if (source.behind !== undefined) this.attach(source.behind);
    else if (this.#readers.length > 0) this.#ask();
  }
}
