import type { BrokerEvent, BrokerMessage } from "../../broker.ts";
import type { Clock } from "../../clock.ts";
import { errors, type MicroError } from "../../errors.ts";
import type { Node } from "../../registry.ts";
import { holding } from "../../internal/hold.ts";
import { decodeEnvelope, encodeEnvelope } from "../../wire/broker-envelope.ts";
import { H } from "../../wire/headers.ts";
import type { HttpBrokerCounters } from "../http.ts";
import type { Directory } from "./directory.ts";
import { id, reachable } from "./names.ts";
import { Outbox, type Parcel } from "./outbox.ts";
import type { Poster } from "./post.ts";
import { Rotation } from "./rotation.ts";

export interface PublisherOptions {
  readonly clock: Clock;
  readonly directory: Directory;
  readonly poster: Poster;
  readonly counters: HttpBrokerCounters;
  readonly outbox: number;
  /** Milliseconds after which a publish leaves its copies to themselves. */
  readonly patience: number;
  readonly maxBytes: number;
  /** Whether the node is a subscription of this very broker. */
  readonly isLocal: (nodeId: string) => boolean;
  readonly takeLocal: (nodeId: string, topic: string, message: BrokerMessage) => "taken" | "unknown" | "full";
  readonly report: (error: MicroError, event?: BrokerEvent) => void;
}

/** Most copies on their way at a time, without those that wait for their turn. */
const maxInFlight = 4096;

/** The sending half: who gets a message, and what becomes of copies that cannot be delivered. */
export class Publisher {
  readonly #options: PublisherOptions;
  readonly #outbox: Outbox;
  readonly #rotation = new Rotation();
  readonly #pending = new Set<Promise<unknown>>();

  constructor(options: PublisherOptions) {
    this.#options = options;
    this.#outbox = new Outbox({
      clock: options.clock,
      limit: options.outbox,
      bytes: 64 << 20,
      attempts: 6,
      send: (key, parcel) => this.#again(key, parcel),
      giveUp: (parcel, why) => this.#drop(parcel, why),
    });
  }

  async publish(topic: string, message: BrokerMessage): Promise<void> {
    const { clock, counters, directory, maxBytes, patience, poster } = this.#options;
    const parcel = {
      topic,
      body: Buffer.from(encodeEnvelope({ header: headerOf(topic, message), body: message.body })),
    };
    if (parcel.body.length > maxBytes)
      throw errors.payloadTooLarge(
        id,
        `message to ${topic}: its envelope has ${parcel.body.length} bytes, the limit is ${maxBytes}`,
      );
    if (poster.sending >= maxInFlight)
      throw errors.resourceExhausted(id, `${maxInFlight} messages are on their way already`);
    const audience = await directory.audience(topic);
    const copies: Promise<void>[] = [];
    for (const node of audience.everybody) copies.push(this.#copy(nodeKey(node), parcel, [node], false));
    for (const [queue, nodes] of audience.queues) {
      const key = queueKey(queue, topic);
      copies.push(this.#copy(key, parcel, this.#inTurn(key, nodes), true));
    }
    counters.published++;
    if (copies.length === 0) counters.unheard++;
    // Copies that wait for their turn at a slow node may take longer than whoever publishes can wait.
    const all = holding(Promise.all(copies)).finally(() => this.#pending.delete(all));
    this.#pending.add(all);
    await new Promise<unknown>((resolve, reject) => {
      const timer = clock.after(patience, () => resolve(undefined));
      void all.then(resolve, reject).finally(() => clock.cancel(timer));
    });
  }

  /** Waits for the copies on their way; kept ones get a last try. */
  async close(): Promise<void> {
    await Promise.allSettled([this.#outbox.close(), ...this.#pending]);
  }

  /** Those that are busy come last. */
  #inTurn(key: string, nodes: readonly Node[]): Node[] {
    const busy = (node: Node): number => Number(this.#options.poster.busy(node));
    return this.#rotation.next(key, nodes).sort((a, b) => busy(a) - busy(b));
  }

  /** One copy, to the first of `nodes` that takes it. */
  async #copy(key: string, parcel: Parcel, nodes: readonly Node[], queued: boolean): Promise<void> {
    // Behind what waits for the same destination, it keeps its place.
    if (this.#outbox.has(key)) {
      const where = nodes.slice(0, 3).map(({ address }) => address);
      return this.#keep(key, parcel, errors.unavailable(id, `others wait for ${where.join(" or ")} already`));
    }
    const why = await this.#first(parcel, nodes, queued);
    if (why !== undefined) this.#keep(key, parcel, why);
  }

  /** Undefined when the copy is dealt with; else why no node could be reached. */
  async #first(parcel: Parcel, nodes: readonly Node[], queued: boolean): Promise<MicroError | undefined> {
    const { counters } = this.#options;
    let why: MicroError | undefined;
    for (const node of nodes) {
      const reach = reachable(node);
      if (reach === "no") {
        counters.skipped++;
        continue;
      }
      const outcome = await this.#send(node, parcel);
      switch (outcome.kind) {
        case "silent":
          counters.unconfirmed++;
          return undefined;
        case "accepted":
          return undefined;
        case "lost":
          this.#drop(parcel, outcome.error);
          return undefined;
        case "gone":
          this.#options.directory.forget(node);
          // A queue outlives its members, and the next one may be about to come; a subscriber without a queue does not.
          if (queued) why = outcome.error;
          break;
        case "unsent":
          if (reach === "perhaps") counters.skipped++;
          else why = outcome.error;
          break;
        default:
          why = outcome.error;
      }
    }
    return why;
  }

  async #send(node: Node, parcel: Parcel): ReturnType<Poster["post"]> {
    const { isLocal, takeLocal, poster } = this.#options;
    if (isLocal(node.id)) {
      const taken = takeLocal(node.id, parcel.topic, decodeEnvelope(parcel.body));
      if (taken === "taken") return { kind: "accepted" };
      return taken === "full"
        ? { kind: "full", error: errors.unavailable(id, `${node.id} has no room`) }
        : { kind: "gone", error: errors.unavailable(id, `${node.id} is gone`) };
    }
    return poster.post(node, parcel.body);
  }

  #keep(key: string, parcel: Parcel, why: MicroError): void {
    this.#options.counters.buffered++;
    this.#outbox.put(key, parcel, why);
  }

  /** Another try of a kept copy: who is there may have changed. */
  async #again(key: string, parcel: Parcel): Promise<MicroError | undefined> {
    const { directory } = this.#options;
    const audience = await directory.audience(parcel.topic).catch(() => undefined);
    if (audience === undefined) return errors.registryUnavailable(id, "the registry is away");
    for (const node of audience.everybody) if (nodeKey(node) === key) return this.#first(parcel, [node], false);
    for (const [queue, nodes] of audience.queues)
      if (queueKey(queue, parcel.topic) === key) return this.#first(parcel, this.#inTurn(key, nodes), true);
    this.#drop(parcel, errors.unavailable(id, `the subscriber of ${parcel.topic} left before it could be reached`));
    return undefined;
  }

  #drop({ topic, body }: Parcel, why: MicroError): void {
    this.#options.counters.dropped++;
    this.#options.report(why, { topic, message: decodeEnvelope(body), ack: () => Promise.resolve() });
  }
}

/** Go selects subscribers by `Micro-Topic` in exactly this spelling. */
function headerOf(topic: string, message: BrokerMessage): Record<string, string> {
  const header = Object.create(null) as Record<string, string>;
  for (const [name, value] of Object.entries(message.header))
    if (name.toLowerCase() !== "micro-topic") header[name] = value;
  header[H.topic] = topic;
  return header;
}

function nodeKey(node: Node): string {
  return `n\u0000${node.id}\u0000${node.metadata["topic"] ?? ""}`;
}

function queueKey(queue: string, topic: string): string {
  return `q\u0000${queue}\u0000${topic}`;
}
