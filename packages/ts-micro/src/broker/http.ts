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
import { hold, holding, release } from "../internal/hold.ts";
import { advertiseAddress } from "../internal/net-address.ts";
import { abortable } from "../internal/abortable.ts";
import { within } from "../internal/within.ts";
import type { Registry, ServiceRecord } from "../registry.ts";
import type { ClientTlsOptions, TlsOptions } from "../tls.ts";
import { Directory } from "./http/directory.ts";
import { Listener } from "./http/listener.ts";
import { id, recordOf, subscriptionId } from "./http/names.ts";
import { Poster } from "./http/post.ts";
import { Presence } from "./http/presence.ts";
import { Publisher } from "./http/publisher.ts";
import { Mailbox, checkMessage, checkTopic, newCounters, type BrokerCounters } from "./common/mailbox.ts";
import { reporter } from "./common/reporter.ts";

export interface HttpBrokerOptions {
  /** Where subscriptions are found and announced. A cached one is as good; it is not closed here. */
  registry: Registry;
  /** Where a process that subscribes listens: `host:port`, `:0`, `127.0.0.1:0`, `host:5000-6000`. Default `:0`: every interface, any port. */
  address?: string | undefined;
  /** What is announced instead of the address listened on: host, or `host:port`. Default: see wire spec §2.7. */
  advertise?: string | undefined;
  /** Listen with TLS; the node then says `secure=true`. */
  tls?: TlsOptions | undefined;
  /** Toward nodes that say `secure`. Their certificates are verified, with `ca` if they have an authority of their own. */
  clientTls?: ClientTlsOptions | undefined;
  /** Most messages that wait for the handler of one subscription; past it the publisher is turned away. Default 1024. */
  buffer?: number | undefined;
  /** Most handlers of one subscription at a time. Default 16; 1 keeps messages in order from end to end. */
  concurrency?: number | undefined;
  /** Largest envelope in bytes, both ways; the body in it is three quarters of that. Default 16 MiB. */
  maxBytes?: number | undefined;
  /** Most messages kept per destination that cannot be reached. Default 64. */
  outbox?: number | undefined;
  /** How long a connection may take. Default 2 s. */
  dialTimeout?: Duration | undefined;
  /** How long a publish waits for the answer of a node that has the message. Go answers when its handler is done. Default 5 s. */
  replyTimeout?: Duration | undefined;
  /** How long `close` waits for running handlers and for copies on their way. Default 10 s. */
  drain?: Duration | undefined;
  clock?: Clock | undefined;
}

/** Counts beside those that every broker has. */
export interface HttpBrokerCounters extends BrokerCounters {
  /** Copies put aside because their destination could not be reached. */
  buffered: number;
  /** Copies that were sent and not answered in time: most likely with a slow handler. */
  unconfirmed: number;
  /** Nodes passed over: the loopback address of another host, or a Go node on loopback where nobody listens. */
  skipped: number;
}

export interface HttpBroker extends Broker {
  readonly counters: Readonly<HttpBrokerCounters>;
}

/**
 * Topics without a server in between: publishers POST to subscribers that they find in the registry (wire spec §6.3, v4:broker/http.go).
 * At most once. `publish` resolves when each copy was accepted by its node, or is kept for one that cannot be reached just now; such copies
 * are tried again for some seconds. From when it knows who listens it takes `dialTimeout` and `replyTimeout` at most: copies that wait for
 * their turn at a slow node, 32 at a time, or are long on their way, go on. A copy that may have arrived is never sent again. Only a process
 * that subscribes listens.
 */
export function httpBroker(options: HttpBrokerOptions): HttpBroker {
  return new Http(options);
}

/** Chosen by name: `MICRO_BROKER=http`. The composition gives it its registry. */
export const driver: Driver<Broker> = {
  name: "http",
  fromAddress() {
    throw errors.invalidState(id, "the http broker needs a registry: httpBroker({ registry })");
  },
};

const features: BrokerFeatures = { durable: false, redelivery: false, ack: false, wildcards: false };

interface Local {
  readonly topic: string;
  readonly queue: string | undefined;
  readonly mailbox: Mailbox;
  readonly record: ServiceRecord;
  leaving: Promise<void> | undefined;
}

class Http implements HttpBroker {
  readonly name = "http";
  readonly features = features;
  readonly counters: HttpBrokerCounters = { ...newCounters(), buffered: 0, unconfirmed: 0, skipped: 0 };
  onError: ((error: MicroError, event?: BrokerEvent) => void) | undefined;
  readonly #options: HttpBrokerOptions;
  readonly #clock: Clock;
  readonly #drain: number;
  readonly #report = reporter(this);
  readonly #directory: Directory;
  readonly #presence: Presence;
  readonly #publisher: Publisher;
  readonly #poster: Poster;
  readonly #locals = new Map<string, Local>();
  readonly #mailboxes = new Set<Mailbox>();
  #listening: Promise<Listener> | undefined;
  #address = "";
  #closing: Promise<void> | undefined;

  constructor(options: HttpBrokerOptions) {
    const clock = options.clock ?? systemClock;
    this.#options = options;
    this.#clock = clock;
    this.#drain = milliseconds(options.drain ?? 10_000);
    this.#directory = new Directory(options.registry, clock);
    this.#presence = new Presence(options.registry, clock, this.#report);
    const dialTimeout = milliseconds(options.dialTimeout ?? 2000);
    const replyTimeout = milliseconds(options.replyTimeout ?? 5000);
    this.#poster = new Poster({ clock, tls: options.clientTls, dialTimeout, replyTimeout });
    this.#publisher = new Publisher({
      clock,
      directory: this.#directory,
      poster: this.#poster,
      counters: this.counters,
      outbox: options.outbox ?? 64,
      patience: dialTimeout + replyTimeout,
      maxBytes: options.maxBytes ?? 16 << 20,
      isLocal: (nodeId) => this.#locals.has(nodeId),
      takeLocal: (nodeId, topic, message) => this.#take(nodeId, topic, message),
      report: this.#report,
    });
  }

  /** Where subscribers of this process are reached; empty until the first subscription. */
  get address(): string {
    return this.#address;
  }

  /** Opens nothing: a publisher needs no port. */
  async start(): Promise<void> {
    this.#check();
  }

  async publish(topic: string, message: BrokerMessage, options?: PublishOptions): Promise<void> {
    checkMessage(topic, message);
    this.#check();
    const signal = options?.signal;
    if (signal?.aborted === true) throw abortReason(signal, id);
    const sent = this.#publisher.publish(topic, message);
    // What was sent cannot be called back.
    await holding(signal === undefined ? sent : abortable(sent, signal, () => abortReason(signal, id)));
  }

  async subscribe(
    topic: string,
    handler: (event: BrokerEvent) => Promise<void>,
    options: SubscribeOptions = {},
  ): Promise<Subscription> {
    checkTopic(topic);
    this.#check();
    if (options.autoAck === false)
      throw errors.unsupported(
        id,
        "the http broker has no acks by hand: a message is handed over when the handler gets it",
      );
    const queue = options.queue === "" ? undefined : options.queue;
    const local = await holding(this.#open(topic, handler, queue));
    const close = (): Promise<void> => this.#leave(local);
    return { topic, queue, close, [Symbol.asyncDispose]: close };
  }

  /** Deregisters its subscriptions, takes no more messages, tries kept ones a last time, and waits for copies on their way and running handlers. */
  close(): Promise<void> {
    return (this.#closing ??= this.#close());
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #open(
    topic: string,
    handler: (event: BrokerEvent) => Promise<void>,
    queue: string | undefined,
  ): Promise<Local> {
    const { buffer = 1024, concurrency = 16, advertise, tls } = this.#options;
    const listener = await this.#listen();
    this.#check();
    this.#address = advertiseAddress(listener.address, advertise);
    const nodeId = subscriptionId(topic);
    const mailbox = new Mailbox({
      topic,
      handler,
      buffer,
      concurrency,
      counters: this.counters,
      onError: this.#report,
    });
    const record = recordOf(nodeId, topic, queue, this.#address, tls !== undefined);
    const local: Local = { topic, queue, mailbox, record, leaving: undefined };
    // A subscription keeps the process alive; its sockets do not.
    hold();
    this.#locals.set(nodeId, local);
    this.#mailboxes.add(mailbox);
    try {
      await this.#presence.add(record);
      // Closed meanwhile: what was registered is taken out again.
      this.#check();
      this.#directory.add(record);
      return local;
    } catch (error) {
      await this.#leave(local);
      throw error;
    }
  }

  #listen(): Promise<Listener> {
    const { address = "", tls, maxBytes = 16 << 20 } = this.#options;
    this.#listening ??= Listener.open({
      address: address.split(",")[0] as string,
      tls,
      maxBody: maxBytes,
      take: (nodeId, topic, message) => this.#take(nodeId, topic, message),
    }).catch((error: unknown) => {
      this.#listening = undefined;
      throw error;
    });
    return this.#listening;
  }

  #take(nodeId: string, topic: string, message: BrokerMessage): "taken" | "unknown" | "full" {
    const local = this.#locals.get(nodeId);
    if (local === undefined || local.topic !== topic || local.mailbox.closed) return "unknown";
    return local.mailbox.offer(message) ? "taken" : "full";
  }

  #leave(local: Local): Promise<void> {
    return (local.leaving ??= this.#takeOut(local));
  }

  async #takeOut(local: Local): Promise<void> {
    const { mailbox, record, topic } = local;
    this.#directory.remove(record);
    await this.#presence.remove(record);
    this.#locals.delete(record.nodes[0]?.id as string);
    release();
    for (const message of mailbox.close()) {
      this.counters.dropped++;
      const event = { topic, message, ack: () => Promise.resolve() };
      this.#report(errors.unavailable(id, `the subscription of ${topic} was closed before it was delivered`), event);
    }
    void mailbox.idle().then(() => this.#mailboxes.delete(mailbox));
  }

  async #close(): Promise<void> {
    await Promise.resolve();
    const running = [...this.#mailboxes];
    await Promise.all([...this.#locals.values()].map((local) => this.#leave(local)));
    const listener = await this.#listening?.catch(() => undefined);
    listener?.stop();
    const delivered = Promise.all([this.#publisher.close(), ...running.map((mailbox) => mailbox.idle())]);
    await within(this.#clock, this.#drain, delivered, () => {});
    await this.#directory.close();
    this.#poster.close();
    listener?.close();
    this.#address = "";
  }

  #check(): void {
    if (this.#closing !== undefined) throw errors.invalidState(id, "the broker is closed");
  }
}
