import type { Broker, BrokerEvent, Subscription } from "../broker.ts";
import type { Clock } from "../clock.ts";
import type { Codecs } from "../codec.ts";
import { CallContext, Cancellation, type Log } from "../context.ts";
import { MicroError, errors, fromUnknown } from "../errors.ts";
import { runAmbient } from "../internal/ambient.ts";
import { logged, thrown } from "../internal/logged.ts";
import { Metadata } from "../metadata.ts";
import type { IncomingMessage } from "../protocol.ts";
import type { EndpointRecord } from "../registry.ts";
import type { Delivery, Subscriber, SubscriberInterceptor, SubscriberOptions } from "../server.ts";
import type { Running } from "./running.ts";
import { checkSchema, parse } from "./validate.ts";

interface Entry {
  readonly topic: string;
  readonly name: string;
  readonly run: (delivery: Delivery) => Promise<void>;
  readonly options: SubscriberOptions;
  subscription: Subscription | undefined;
}

/** What subscribers need of their server. */
export interface SubscribersOptions {
  readonly service: string;
  readonly broker: Broker;
  readonly codecs: Codecs;
  readonly running: Running;
  readonly log: Log;
  readonly clock: Clock;
  readonly interceptors: readonly SubscriberInterceptor[];
}

/** The subscribers of a server: each gets every message once, with its own options (SRV-30…33, BUG-4, BUG-5). */
export class Subscribers {
  readonly #options: SubscribersOptions;
  readonly #entries: Entry[] = [];
  #started = false;

  constructor(options: SubscribersOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#entries.length;
  }

  /** Adds a subscriber; on a started server it begins at once. */
  async add(topic: string, subscriber: Subscriber, options: SubscriberOptions): Promise<() => Promise<void>> {
    checkSchema(options.schema, `subscriber of ${topic}`);
    const added = handlersOf(topic, subscriber).map(({ name, handler }): Entry => ({
      topic,
      name,
      run: this.#compile(handler),
      options,
      subscription: undefined,
    }));
    this.#entries.push(...added);
    if (this.#started) await Promise.all(added.map((entry) => this.#begin(entry)));
    return async () => {
      for (const entry of added) {
        const at = this.#entries.indexOf(entry);
        if (at >= 0) this.#entries.splice(at, 1);
      }
      await closeAll(added);
    };
  }

  async start(): Promise<void> {
    this.#started = true;
    const outcomes = await Promise.allSettled(this.#entries.map((entry) => this.#begin(entry)));
    const failed = outcomes.find((outcome) => outcome.status === "rejected");
    if (failed !== undefined) throw failed.reason;
  }

  async close(): Promise<void> {
    this.#started = false;
    await closeAll(this.#entries);
    for (const entry of this.#entries) entry.subscription = undefined;
  }

  /** Registry records of the subscribers that are not internal. */
  records(): EndpointRecord[] {
    const seen = new Set<string>();
    return this.#entries.flatMap(({ name, topic, options }) => {
      if (options.internal === true || seen.has(`${name} ${topic}`)) return [];
      seen.add(`${name} ${topic}`);
      return { name, metadata: { topic, subscriber: "true" } };
    });
  }

  /** A message that came on an RPC connection goes to every subscriber of its topic (SRV-42). */
  async deliver(message: IncomingMessage): Promise<MicroError | undefined> {
    const { topic, header, body } = message;
    const entries = this.#entries.filter((entry) => entry.topic === topic);
    const event: BrokerEvent = { topic, message: { header: { ...header }, body }, ack: () => Promise.resolve() };
    const outcomes = await Promise.allSettled(entries.map((entry) => this.#handle(entry, event)));
    const failed = outcomes.flatMap((outcome) =>
      outcome.status === "rejected" ? [fromUnknown(outcome.reason).detail] : [],
    );
    return failed.length === 0
      ? undefined
      : errors.internal("go.micro.server", `subscriber error: ${failed.join("\n")}`);
  }

  async #begin(entry: Entry): Promise<void> {
    const { queue, autoAck } = entry.options;
    const handle = (event: BrokerEvent): Promise<void> => this.#handle(entry, event);
    const subscription = await this.#options.broker.subscribe(entry.topic, handle, { queue, autoAck });
    // It may have taken longer than anybody waited.
    if (this.#started) entry.subscription = subscription;
    else await subscription.close();
  }

  async #handle(entry: Entry, event: BrokerEvent): Promise<void> {
    const { service, running, log } = this.#options;
    const metadata = Metadata.received(event.message.header);
    const cancellation = new Cancellation();
    const source = { metadata, deadline: Infinity, endpoint: entry.name, local: "", remote: "", cancellation };
    const ctx = new CallContext(source, this.#options);
    try {
      const message = await this.#decode(entry, event, metadata);
      await running.run(entry.name, Infinity, cancellation, () =>
        runAmbient(ctx, () => entry.run({ ctx, topic: event.topic, message, event })),
      );
    } catch (error) {
      const failure = fromUnknown(error, service);
      log.error(`subscriber ${entry.name} of ${entry.topic} failed: ${failure.detail}`, {
        topic: entry.topic,
        ...thrown(error),
      });
      logged(failure);
      throw failure;
    } finally {
      ctx.finish();
    }
  }

  async #decode(entry: Entry, event: BrokerEvent, metadata: Metadata): Promise<unknown> {
    const { service, codecs } = this.#options;
    const { descriptor, schema } = entry.options;
    const contentType =
      metadata.get("content-type") ?? (descriptor === undefined ? "application/json" : "application/protobuf");
    const codec = codecs.get(contentType);
    if (codec === undefined) throw errors.unsupported(service, `unsupported Content-Type: ${contentType}`);
    await codecs.ready(codec, descriptor !== undefined);
    // A publish is the bare body: the envelopes of json-rpc and proto-rpc are for calls (wire spec §1.6).
    const value = codec.decode(
      event.message.body,
      descriptor,
      codec.enveloped ? { type: "event", id: "", endpoint: entry.topic } : undefined,
    );
    return await parse(schema, value, (detail) => errors.badRequest(service, `message of ${entry.topic}: ${detail}`));
  }

  #compile(handler: (message: unknown, ctx: CallContext) => unknown): (delivery: Delivery) => Promise<void> {
    return this.#options.interceptors.reduceRight<(delivery: Delivery) => Promise<void>>(
      (next, interceptor) => async (delivery) => interceptor(delivery, next),
      async ({ message, ctx }) => {
        await handler(message, ctx as CallContext);
      },
    );
  }
}

async function closeAll(entries: readonly Entry[]): Promise<void> {
  await Promise.all(entries.flatMap(({ subscription }) => (subscription === undefined ? [] : subscription.close())));
}

function handlersOf(
  topic: string,
  subscriber: Subscriber,
): { name: string; handler: (message: unknown, ctx: CallContext) => unknown }[] {
  if (typeof subscriber === "function") {
    return [{ name: "Func", handler: subscriber as (message: unknown, ctx: CallContext) => unknown }];
  }
  const type =
    (Object.getPrototypeOf(subscriber) as { constructor?: { name?: string } } | null)?.constructor?.name ?? "Object";
  const handlers = new Map<string, (message: unknown, ctx: CallContext) => unknown>();
  for (
    let at: object | null = subscriber;
    at !== null && at !== Object.prototype;
    at = Object.getPrototypeOf(at) as object | null
  ) {
    for (const [key, { value }] of Object.entries(Object.getOwnPropertyDescriptors(at))) {
      if (key === "constructor" || key.startsWith("_") || handlers.has(key) || typeof value !== "function") continue;
      handlers.set(key, (value as (message: unknown, ctx: CallContext) => unknown).bind(subscriber));
    }
  }
  if (handlers.size === 0) throw errors.badRequest("ts-micro", `subscriber of ${topic}: no method in it`);
  return [...handlers].map(([method, handler]) => ({
    name: `${type}.${method.charAt(0).toUpperCase()}${method.slice(1)}`,
    handler,
  }));
}
