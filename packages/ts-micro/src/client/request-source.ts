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
    if (iterator?.return === undefined) return;
    try {
      Promise.resolve(iterator.return()).catch(ignore);
    } catch {
      // Its own affair, as what it rejects with.
    }
  }
}

function ignore(): void {}
