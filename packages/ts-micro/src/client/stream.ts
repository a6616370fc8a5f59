import type { ClientCall } from "../client.ts";
import type { Duplex } from "../endpoint.ts";
import { errors, fromUnknown, type MicroError } from "../errors.ts";
import { hold, release } from "../internal/hold.ts";
import { Cancellation } from "../context.ts";
import type { Answer } from "./answer.ts";
import type { PreparedCall } from "./prepared.ts";

const id = "go.micro.client";

/**
 * What users hold: one-shot and lazy. Opens, through the interceptors, at its first use; leaving the loop, `cancel` and dispose end it.
 * Never used is never sent.
 */
export class ClientStream implements Duplex<unknown, unknown> {
  readonly #call: PreparedCall;
  readonly #open: (call: ClientCall) => Promise<Duplex<unknown, unknown>>;
  readonly #unlink: (() => void) | undefined;
  readonly #cancellation = new Cancellation();
  #inner: Promise<Duplex<unknown, unknown>> | undefined;
  #taken = false;
  #over = false;
  #held = false;

  constructor(
    call: PreparedCall,
    open: (call: ClientCall) => Promise<Duplex<unknown, unknown>>,
    unlink: (() => void) | undefined,
  ) {
    this.#open = open;
    const above = call.cancellation?.onCancel((reason) => this.#cancellation.cancel(reason));
    this.#unlink = () => {
      above?.();
      unlink?.();
    };
    this.#call = { ...call, cancellation: this.#cancellation, over: () => this.#let() };
  }

  async send(message: unknown): Promise<void> {
    await (await this.#start()).send(message);
  }

  end(): void {
    this.#start().then(
      (inner) => inner.end(),
      () => {},
    );
  }

  cancel(reason?: unknown): void {
    this.#stop(
      reason === undefined
        ? errors.cancelled(id, `${this.#call.service} ${this.#call.endpoint}: cancelled`)
        : fromUnknown(reason, id),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cancel();
    await Promise.resolve();
  }

  [Symbol.asyncIterator](): AsyncIterator<unknown> {
    if (this.#taken)
      throw errors.streamConsumed(id, `${this.#call.service} ${this.#call.endpoint}: a stream can be iterated once`);
    this.#taken = true;
    let iterator: AsyncIterator<unknown> | undefined;
    return {
      next: async () => {
        if (this.#over && this.#inner === undefined) return { done: true, value: undefined };
        // What the wire has brought may be read after its end; who waits for it keeps the process.
        hold();
        try {
          iterator ??= (await this.#start())[Symbol.asyncIterator]();
          const result = await iterator.next();
          if (this.#call.listener !== undefined) this.#tell(this.#call.listener, result.done === true);
          if (result.done) this.#finish();
          return result;
        } catch (error) {
          this.#call.listener?.failed();
          this.#finish();
          throw error;
        } finally {
          release();
        }
      },
      return: async (value?: unknown) => {
        // Not awaited before the cancel: a generator suspended in `next` would make `return` wait for the message that never comes.
        this.cancel();
        await iterator?.return?.().catch(() => {});
        return { done: true, value };
      },
    };
  }

  #tell(listener: Answer, over: boolean): void {
    try {
      if (over) listener.ended();
      else listener.begun();
    } catch (error) {
      this.cancel();
      throw error;
    }
  }

  #start(): Promise<Duplex<unknown, unknown>> {
    if (this.#inner !== undefined) return this.#inner;
    if (this.#over) return Promise.reject(this.#cancellation.reason ?? errors.cancelled(id, "the stream is over"));
    this.#held = true;
    hold();
    this.#inner = this.#open(this.#call);
    this.#inner.catch(() => this.#finish());
    return this.#inner;
  }

  #stop(reason: MicroError): void {
    if (this.#over) return;
    this.#cancellation.cancel(reason);
    this.#finish();
  }

  #finish(): void {
    if (this.#over) return;
    this.#over = true;
    this.#unlink?.();
    this.#let();
  }

  /** The stream itself keeps the process no longer. */
  #let(): void {
    if (!this.#held) return;
    this.#held = false;
    release();
  }
}
