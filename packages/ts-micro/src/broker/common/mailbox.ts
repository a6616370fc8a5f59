import type { BrokerEvent, BrokerMessage } from "../../broker.ts";
import { errors, fromUnknown, type MicroError } from "../../errors.ts";
import { exitAmbient } from "../../internal/ambient.ts";

/** What happened to messages since the broker was made. */
export interface BrokerCounters {
  /** Publishes that were taken over. */
  published: number;
  /** Of those, the ones that nobody was subscribed to. */
  unheard: number;
  /** Handlers begun. */
  delivered: number;
  /** Handlers that failed. */
  failed: number;
  /** Messages given up for one of their subscribers: a full buffer, a subscriber that went away. */
  dropped: number;
}

export function newCounters(): BrokerCounters {
  return { published: 0, unheard: 0, delivered: 0, failed: 0, dropped: 0 };
}

export interface MailboxOptions {
  readonly topic: string;
  readonly handler: (event: BrokerEvent) => Promise<void>;
  /** Most messages that wait. */
  readonly buffer: number;
  /** Most handlers at a time. */
  readonly concurrency: number;
  readonly counters: BrokerCounters;
  readonly onError: (error: MicroError, event?: BrokerEvent) => void;
}

/** The messages of one subscription between the broker and the handler: bounded, begun in the order they came, each exactly once. */
export class Mailbox {
  readonly #options: MailboxOptions;
  #waiting: BrokerMessage[] = [];
  #running = 0;
  #scheduled = false;
  #closed = false;
  #idle: (() => void)[] = [];

  constructor(options: MailboxOptions) {
    this.#options = options;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Whether there is room for another message. */
  get open(): boolean {
    return !this.#closed && this.#waiting.length < this.#options.buffer;
  }

  /** Takes the message; false when it is closed or full. The handler begins in a later turn, outside the publisher's context. */
  offer(message: BrokerMessage): boolean {
    if (!this.open) return false;
    this.#waiting.push(message);
    this.#schedule();
    return true;
  }

  /** No handler begins after this; gives back what was waiting. */
  close(): BrokerMessage[] {
    this.#closed = true;
    const left = this.#waiting;
    this.#waiting = [];
    return left;
  }

  /** Resolves when no handler is running. */
  idle(): Promise<void> {
    return this.#running === 0 ? Promise.resolve() : new Promise((resolve) => this.#idle.push(resolve));
  }

  #schedule(): void {
    if (this.#scheduled || this.#running >= this.#options.concurrency) return;
    this.#scheduled = true;
    exitAmbient(() => setImmediate(this.#drain));
  }

  #drain = (): void => {
    this.#scheduled = false;
    // One at a time: a handler that closes the subscription gives the others back.
    for (let left = this.#options.concurrency - this.#running; left > 0; left--) {
      const message = this.#waiting.shift();
      if (message === undefined) return;
      this.#running++;
      this.#options.counters.delivered++;
      void this.#handle(message);
    }
  };

  async #handle(message: BrokerMessage): Promise<void> {
    const { topic, handler, counters, onError } = this.#options;
    const event: BrokerEvent = { topic, message, ack: () => Promise.resolve() };
    try {
      await handler(event);
    } catch (error) {
      counters.failed++;
      onError(fromUnknown(error, "ts.micro.broker"), event);
    }
    this.#running--;
    if (this.#waiting.length > 0) this.#schedule();
    if (this.#running > 0) return;
    const idle = this.#idle;
    this.#idle = [];
    for (const resolve of idle) resolve();
  }
}

/** What a subscriber gets: nothing that it does to it is seen by anybody else. */
export function copyOf(message: BrokerMessage): BrokerMessage {
  return { header: { ...message.header }, body: Uint8Array.from(message.body) };
}

/** @throws MicroError BAD_REQUEST for a topic that is no text, or a message that is none. */
export function checkMessage(topic: string, message: BrokerMessage): void {
  checkTopic(topic);
  const { header, body } = (message ?? {}) as Partial<BrokerMessage>;
  if (!(body instanceof Uint8Array))
    throw errors.badRequest("ts.micro.broker", `message to ${topic}: the body is no Uint8Array`);
  if (typeof header !== "object" || header === null)
    throw errors.badRequest("ts.micro.broker", `message to ${topic}: the header is no object`);
  for (const [name, value] of Object.entries(header))
    if (typeof value !== "string")
      throw errors.badRequest("ts.micro.broker", `message to ${topic}: header ${JSON.stringify(name)} is no text`);
}

/** @throws MicroError BAD_REQUEST */
export function checkTopic(topic: string): void {
  if (typeof topic !== "string" || topic === "")
    throw errors.badRequest("ts.micro.broker", "a topic is a text that is not empty");
}
