import type { Component } from "./lifecycle.ts";
import type { MicroError } from "./errors.ts";

/** What brokers carry. Header names keep their spelling: `Micro-Topic`, `Content-Type`, `Micro-ID` (wire spec §6.1). */
export interface BrokerMessage {
  header: Record<string, string>;
  body: Uint8Array;
}

/** A message as it reaches a subscriber. */
export interface BrokerEvent {
  /** The topic it was published to. */
  readonly topic: string;
  readonly message: BrokerMessage;
  /** Says that it is done with; only of use with `autoAck: false`. Idempotent. */
  ack(): Promise<void>;
}

export interface PublishOptions {
  signal?: AbortSignal | undefined;
}

export interface SubscribeOptions {
  /** Subscribers of one queue share its messages, each message goes to one of them. Default: every subscriber gets each message. */
  queue?: string | undefined;
  /** Ack when the handler has succeeded. Default true. False asks for `event.ack()`: UNSUPPORTED where `features.ack` is false. */
  autoAck?: boolean | undefined;
}

export interface Subscription extends AsyncDisposable {
  readonly topic: string;
  readonly queue: string | undefined;
  /** No delivery begins after it resolved. Idempotent. */
  close(): Promise<void>;
}

/** What a driver can promise. Asking for what it cannot is UNSUPPORTED at subscribe time. */
export interface BrokerFeatures {
  /** Messages are kept for subscribers that are away. */
  readonly durable: boolean;
  /** A message whose handler failed is delivered again. */
  readonly redelivery: boolean;
  /** Acks by hand have a meaning. */
  readonly ack: boolean;
  /** Topics may have wildcards. */
  readonly wildcards: boolean;
}

/** Asynchronous topics. Mirrors v4:broker/broker.go. */
export interface Broker extends Component {
  readonly name: string;
  /** Where it can be reached; empty before `start` or where that has no meaning. */
  readonly address: string;
  readonly features: BrokerFeatures;
  /** Resolves when the broker has taken the message over. A topic without subscribers is no error. */
  publish(topic: string, message: BrokerMessage, options?: PublishOptions): Promise<void>;
  /** `handler` settles when the message is dealt with; its failure is reported through `onError`, counted, and redelivered where the driver can. */
  subscribe(
    topic: string,
    handler: (event: BrokerEvent) => Promise<void>,
    options?: SubscribeOptions,
  ): Promise<Subscription>;
  /** Called for failures that no caller can be told of: a handler that failed, a message given up. */
  onError?: ((error: MicroError, event?: BrokerEvent) => void) | undefined;
}
