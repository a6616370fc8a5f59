import type { ClientCall } from "../client.ts";
import type { Duplex } from "../endpoint.ts";
import { errors, fromUnknown, isMicroError, type MicroError } from "../errors.ts";
import { isAsyncIterable } from "../internal/async-iterable.ts";
import { hold, release } from "../internal/hold.ts";
import { Cancellation } from "../context.ts";
import type { Answer } from "./answer.ts";
import type { PreparedCall } from "./prepared.ts";

const id = "go.micro.client";

/** What an engine opens. */
export type OpenStream = Omit<Duplex<unknown, unknown>, "forEach">;

/** A stream that tells its own end (`PreparedCall.told`): its reader need not be watched. */
interface Direct extends Duplex<unknown, unknown>, AsyncIterator<unknown> {
  /** Itself: what stands before it has it, too, and is another. */
  readonly direct: unknown;
  forEach(each: (message: unknown) => unknown): Promise<void>;
}

/**
 * What users hold: one-shot and lazy. Opens, through the interceptors, at its first use; leaving the loop, `cancel` and dispose end it.
 * Never used is never sent.
 */
export class ClientStream implements Duplex<unknown, unknown> {
  readonly #call: PreparedCall;
  readonly #open: (call: ClientCall) => Promise<OpenStream>;
  readonly #unlink: (() => void) | undefined;
  readonly #cancellation = new Cancellation();
  #inner: Promise<OpenStream> | undefined;
  /** What `inner` gave, unless an interceptor stands in between. */
  #direct: Direct | undefined;
  /** Asked before it was open: whatever comes later waits for its turn. */
  #early = 0;
  #taken = false;
  #over = false;
  #held = false;

  constructor(call: PreparedCall, open: (call: ClientCall) => Promise<OpenStream>, unlink: (() => void) | undefined) {
    this.#open = open;
    const above = call.cancellation?.onCancel((reason) => this.#cancellation.cancel(reason));
    this.#unlink = () => {
      above?.();
      unlink?.();
    };
    this.#call = {
      ...call,
      cancellation: this.#cancellation,
      over: (unread) => {
        if (!unread) this.#unlink?.();
        this.#let();
      },
      told: () => this.#finish(),
    };
  }

  send(message: unknown): Promise<void> {
    const direct = this.#ready();
    return direct === undefined ? this.#opened((inner) => inner.send(message)) : direct.send(message);
  }

  end(): void {
    const direct = this.#ready();
    if (direct !== undefined) direct.end();
    else this.#opened((inner) => inner.end()).catch((error: unknown) => this.#stop(fromUnknown(error, id)));
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

  async forEach(each: (message: unknown) => unknown): Promise<void> {
    this.#take();
    if (this.#unopened()) return;
    try {
      const inner = await this.#opened((opened) => opened);
      if (this.#isDirect(inner)) await inner.forEach(each);
      else for await (const message of { [Symbol.asyncIterator]: () => this.#iterator() }) await each(message);
      this.#finish();
    } catch (error) {
      this.cancel();
      throw error;
    }
  }

  [Symbol.asyncIterator](): AsyncIterator<unknown> {
    this.#take();
    return this.#iterator();
  }

  #iterator(): AsyncIterator<unknown> {
    let iterator: AsyncIterator<unknown> | undefined;
    return {
      next: () =>
        this.#ready()?.next() ??
        this.#next(() => this.#opened((inner) => (iterator ??= inner[Symbol.asyncIterator]()).next())),
      return: async (value?: unknown) => {
        // Not awaited before the cancel: a generator suspended in `next` would make `return` wait for the message that never comes.
        this.cancel();
        await (this.#direct ?? iterator)?.return?.().catch(() => {});
        return { done: true, value };
      },
    };
  }

  /** Given up before its first use. */
  #unopened(): boolean {
    return this.#over && this.#inner === undefined;
  }

  /** The open stream, if it is one that needs nothing in between and nothing waits before it. */
  #ready(): Direct | undefined {
    return this.#early === 0 ? this.#direct : undefined;
  }

  async #next(read: () => Promise<IteratorResult<unknown>>): Promise<IteratorResult<unknown>> {
    if (this.#unopened()) return { done: true, value: undefined };
    // What the wire has brought may be read after its end; who waits for it keeps the process.
    hold();
    try {
      const result = await read();
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
  }

  async #opened<T>(work: (inner: OpenStream) => T | Promise<T>): Promise<T> {
    this.#early++;
    let inner: OpenStream;
    try {
      inner = await this.#start();
    } finally {
      this.#early--;
    }
    if (this.#direct !== undefined) return work(inner);
    try {
      return await work(inner);
    } catch (error) {
      if (isMicroError(error)) throw error;
      // What an interceptor made of it fails by mistake, not on purpose: nobody would end it.
      const failure = fromUnknown(error, id);
      this.#stop(failure);
      throw failure;
    }
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

  #take(): void {
    if (this.#taken)
      throw errors.streamConsumed(id, `${this.#call.service} ${this.#call.endpoint}: a stream can be iterated once`);
    this.#taken = true;
  }

  #start(): Promise<OpenStream> {
    if (this.#inner !== undefined) return this.#inner;
    if (this.#over) return Promise.reject(this.#cancellation.reason ?? errors.cancelled(id, "the stream is over"));
    this.#held = true;
    hold();
    this.#inner = this.#open(this.#call).then((inner) => this.#fit(inner));
    this.#inner.then(
      (inner) => {
        if (this.#isDirect(inner)) this.#direct = inner;
      },
      () => this.#finish(),
    );
    return this.#inner;
  }

  /** What an interceptor stands before it has all that is used of it. */
  #fit(inner: OpenStream | null | undefined): OpenStream {
    const { direct } = (inner ?? {}) as Partial<Direct>;
    if (inner && direct === inner) return inner;
    const { service, endpoint, kind, request } = this.#call;
    const sends = kind === "server" || isAsyncIterable(request) ? [] : ["send", "end"];
    const missing = [...sends, Symbol.asyncIterator].find(
      (name) => typeof (inner as Partial<Record<string | symbol, unknown>> | null | undefined)?.[name] !== "function",
    );
    if (inner && missing === undefined) return inner;
    const error = errors.internal(
      id,
      `${service} ${endpoint}: what an interceptor made of the stream has no ${String(missing)}: give an object with send, end, cancel, [Symbol.asyncIterator] and [Symbol.asyncDispose], or what next gave`,
    );
    this.#cancellation.cancel(error);
    throw error;
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

  /** Whoever listens is told before each message. */
  #isDirect(stream: OpenStream): stream is Direct {
    return this.#call.listener === undefined && (stream as Partial<Direct>).direct === stream;
  }
}
