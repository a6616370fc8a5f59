import { errors, type MicroError } from "../errors.ts";
import { iterateOnce } from "../internal/async-iterable.ts";

/** Where the requests of a stream come from. It is left when the stream is over, also while its next message is awaited. */
export class RequestSource {
  readonly #source: AsyncIterable<unknown>;
  readonly #consumed: () => Error;
  #iterator: AsyncIterator<unknown> | undefined;
  #left = false;

  constructor(source: AsyncIterable<unknown>, consumed: () => Error) {
    this.#source = source;
    this.#consumed = consumed;
  }

  /** Gives each message to `send`, one after the other; rejects with what either fails with. False: it was left. */
  async pump(send: (message: unknown) => Promise<void>): Promise<boolean> {
    const iterator = (this.#iterator = iterateOnce(this.#source, this.#consumed));
    for (;;) {
      let result: IteratorResult<unknown>;
      try {
        result = await iterator.next();
      } catch (error) {
        this.#iterator = undefined;
        if (this.#left) return false;
        throw error;
      }
      if (this.#left) return false;
      if (result.done === true) {
        this.#iterator = undefined;
        return true;
      }
      try {
        await send(result.value);
      } catch (error) {
        this.leave();
        throw error;
      }
    }
  }

  /** Nobody takes its messages any more. Not awaited: a generator that waits returns after its next message, which may never come. */
  leave(): void {
    this.#left = true;
    const iterator = this.#iterator;
    this.#iterator = undefined;
    if (iterator !== undefined) leaveIterator(iterator);
  }
}

/** The same for the same iterator, by which those that were read before are known. */
const local = new WeakMap<AsyncIterator<unknown>, LocalIterator>();

/** Within the process: what a handler iterates is what the caller gave, and it is left as over a wire. */
export class LocalRequests implements AsyncIterable<unknown> {
  readonly #source: AsyncIterable<unknown>;
  readonly #given: LocalIterator[] = [];
  #over: MicroError | undefined;

  constructor(source: AsyncIterable<unknown>) {
    this.#source = source;
  }

  [Symbol.asyncIterator](): AsyncIterator<unknown> {
    const iterator = this.#source[Symbol.asyncIterator]();
    const known = local.get(iterator);
    if (known !== undefined) return known;
    const made = new LocalIterator(iterator);
    local.set(iterator, made);
    this.#given.push(made);
    if (this.#over !== undefined) made.leave(this.#over);
    return made;
  }

  /** The stream is over: so is every wait for its requests. */
  leave(reason: MicroError): void {
    this.#over ??= reason;
    for (const each of this.#given) each.leave(reason);
  }
}

class LocalIterator implements AsyncIterator<unknown> {
  readonly #iterator: AsyncIterator<unknown>;
  #done = false;
  #over: MicroError | undefined;
  #reject: (reason: MicroError) => void = ignore;

  constructor(iterator: AsyncIterator<unknown>) {
    this.#iterator = iterator;
  }

  next(): Promise<IteratorResult<unknown>> {
    if (this.#over !== undefined) return Promise.reject(this.#over);
    return new Promise((resolve, reject) => {
      this.#reject = reject;
      Promise.resolve(this.#iterator.next()).then(
        (result) => {
          if (result.done === true) this.#done = true;
          resolve(result);
        },
        (error: Error) => {
          this.#done = true;
          reject(error);
        },
      );
    });
  }

  return(value?: unknown): Promise<IteratorResult<unknown>> {
    this.#leave();
    return Promise.resolve({ done: true, value });
  }

  leave(reason: MicroError): void {
    if (this.#done) return;
    this.#over = reason;
    this.#leave();
    this.#reject(reason);
  }

  #leave(): void {
    if (this.#done) return;
    this.#done = true;
    leaveIterator(this.#iterator);
  }
}

function leaveIterator(iterator: AsyncIterator<unknown>): void {
  if (iterator.return === undefined) return;
  try {
    Promise.resolve(iterator.return()).catch(ignore);
  } catch {
    // Its own affair, as what it rejects with.
  }
}

function ignore(): void {}

export function consumed({ service, endpoint }: { service: string; endpoint: string }): MicroError {
  const detail = `${service} ${endpoint}: the source of its requests was iterated before`;
  return errors.streamConsumed("go.micro.client", detail);
}
