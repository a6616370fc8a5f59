import type {
  Broker,
  BrokerEvent,
  BrokerFeatures,
  BrokerMessage,
  PublishOptions,
  SubscribeOptions,
  Subscription,
} from "../broker.ts";
import { systemClock, type Clock } from "../clock.ts";
import { abortReason } from "../context.ts";
import { milliseconds, type Duration } from "../duration.ts";
import { errors, type MicroError } from "../errors.ts";
import type { Driver } from "../internal/driver.ts";
import { within } from "../internal/within.ts";
import { Mailbox, checkMessage, checkTopic, copyOf, newCounters, type BrokerCounters } from "./common/mailbox.ts";
import { reporter } from "./common/reporter.ts";

export interface MemoryBrokerOptions {
  /** Most messages that wait for one subscription. Past it they are dropped for it: counted, and told to `onError`. Default 1024. */
  buffer?: number | undefined;
  /** Most handlers of one subscription at a time. Default 16; 1 keeps messages in order from end to end. */
  concurrency?: number | undefined;
  /** How long `close` waits for running handlers. Default 10 s. */
  drain?: Duration | undefined;
  clock?: Clock | undefined;
}

export interface MemoryBroker extends Broker {
  readonly counters: Readonly<BrokerCounters>;
}

/**
 * Topics inside one process: each instance is a world of its own. Delivery is asynchronous, at most once. A queue takes a message to one
 * of its subscribers, in turn; everybody else gets a copy.
 */
export function memoryBroker(options: MemoryBrokerOptions = {}): MemoryBroker {
  return new Memory(options);
}

/** Chosen by name: `MICRO_BROKER=memory`. */
export const driver: Driver<Broker> = { name: "memory", fromAddress: () => memoryBroker() };

const id = "ts.micro.broker.memory";
const features: BrokerFeatures = { durable: false, redelivery: false, ack: false, wildcards: false };

interface Subscriber {
  readonly queue: string | undefined;
  readonly mailbox: Mailbox;
}

class Memory implements MemoryBroker {
  readonly name = "memory";
  readonly address = "";
  readonly features = features;
  readonly counters: BrokerCounters = newCounters();
  onError: ((error: MicroError, event?: BrokerEvent) => void) | undefined;
  readonly #buffer: number;
  readonly #concurrency: number;
  readonly #drain: number;
  readonly #clock: Clock;
  readonly #report = reporter(this);
  readonly #topics = new Map<string, Set<Subscriber>>();
  readonly #turns = new Map<string, number>();
  readonly #all = new Set<Mailbox>();
  #closing: Promise<void> | undefined;

  constructor(options: MemoryBrokerOptions) {
    this.#buffer = options.buffer ?? 1024;
    this.#concurrency = options.concurrency ?? 16;
    this.#drain = milliseconds(options.drain ?? 10_000);
    this.#clock = options.clock ?? systemClock;
  }

  start(): Promise<void> {
    return this.#closing === undefined ? Promise.resolve() : Promise.reject(this.#closed());
  }

  async publish(topic: string, message: BrokerMessage, options?: PublishOptions): Promise<void> {
    checkMessage(topic, message);
    if (this.#closing !== undefined) throw this.#closed();
    if (options?.signal?.aborted === true) throw abortReason(options.signal, id);
    this.counters.published++;
    const subscribers = this.#topics.get(topic);
    if (subscribers === undefined) {
      this.counters.unheard++;
      return;
    }
    const queues = new Map<string, Subscriber[]>();
    for (const subscriber of subscribers) {
      if (subscriber.queue === undefined) this.#hand(topic, [subscriber], message);
      else {
        const members = queues.get(subscriber.queue);
        if (members === undefined) queues.set(subscriber.queue, [subscriber]);
        else members.push(subscriber);
      }
    }
    for (const [queue, members] of queues) this.#hand(topic, this.#inTurn(topic, queue, members), message);
  }

  async subscribe(
    topic: string,
    handler: (event: BrokerEvent) => Promise<void>,
    options: SubscribeOptions = {},
  ): Promise<Subscription> {
    checkTopic(topic);
    if (this.#closing !== undefined) throw this.#closed();
    if (options.autoAck === false) throw errors.unsupported(id, "the memory broker has no acks by hand");
    const { counters } = this;
    const mailbox = new Mailbox({
      topic,
      handler,
      buffer: this.#buffer,
      concurrency: this.#concurrency,
      counters,
      onError: this.#report,
    });
    const subscriber: Subscriber = { queue: options.queue === "" ? undefined : options.queue, mailbox };
    let subscribers = this.#topics.get(topic);
    if (subscribers === undefined) this.#topics.set(topic, (subscribers = new Set()));
    subscribers.add(subscriber);
    this.#all.add(mailbox);
    const close = async (): Promise<void> => this.#leave(topic, subscriber);
    return { topic, queue: subscriber.queue, close, [Symbol.asyncDispose]: close };
  }

  /** Takes no more messages, then waits for the handlers that are running. */
  close(): Promise<void> {
    return (this.#closing ??= this.#close());
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** To the first that has room. */
  #hand(topic: string, members: readonly Subscriber[], message: BrokerMessage): void {
    const taker = members.find((member) => member.mailbox.open);
    if (taker?.mailbox.offer(copyOf(message)) === true) return;
    this.#drop(
      topic,
      message,
      errors.resourceExhausted(id, `a subscriber of ${topic} is too slow: its buffer is full`),
    );
  }

  #inTurn(topic: string, queue: string, members: readonly Subscriber[]): Subscriber[] {
    const key = `${queue}\u0000${topic}`;
    const turn = this.#turns.get(key) ?? 0;
    this.#turns.set(key, turn + 1);
    const first = turn % members.length;
    return [...members.slice(first), ...members.slice(0, first)];
  }

  /** What waited goes to the other members of its queue; where there is none, it is dropped. */
  #leave(topic: string, subscriber: Subscriber): void {
    const subscribers = this.#topics.get(topic);
    if (subscribers?.delete(subscriber) !== true) return;
    if (subscribers.size === 0) this.#topics.delete(topic);
    const { queue, mailbox } = subscriber;
    const left = mailbox.close();
    const others = [...subscribers].filter((other) => queue !== undefined && other.queue === queue);
    if (queue !== undefined && others.length === 0) this.#turns.delete(`${queue}\u0000${topic}`);
    for (const message of left) {
      if (others.length > 0 && queue !== undefined) this.#hand(topic, this.#inTurn(topic, queue, others), message);
      else this.#drop(topic, message, errors.unavailable(id, `a subscriber of ${topic} left before it was delivered`));
    }
    void mailbox.idle().then(() => this.#all.delete(mailbox));
  }

  #drop(topic: string, message: BrokerMessage, why: MicroError): void {
    this.counters.dropped++;
    this.#report(why, { topic, message: copyOf(message), ack: () => Promise.resolve() });
  }

  async #close(): Promise<void> {
    // In a later turn: `#closing` is set by then, and nothing is taken any more.
    await Promise.resolve();
    const running = [...this.#all];
    for (const [topic, subscribers] of this.#topics)
      for (const subscriber of subscribers) this.#leave(topic, subscriber);
    const delivered = Promise.all(running.map((mailbox) => mailbox.idle()));
    await within(this.#clock, this.#drain, delivered, () => {});
  }

  #closed(): MicroError {
    return errors.invalidState(id, "the broker is closed");
  }
}
