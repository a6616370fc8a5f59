import { errors, type MicroError } from "../../errors.ts";
import { exitAmbient } from "../../internal/ambient.ts";
import type { Connection, Message, Receiver } from "../../transport.ts";
import { Busyness } from "../common/busy.ts";
import type { Poolable } from "../common/pool.ts";

const id = "ts.micro.transport.memory";
/** What may wait for the other end before senders are held back. */
const roomBytes = 256 * 1024;
const roomMessages = 64;
/** So many deliveries in microtasks, then one that lets timers and sockets have their turn. */
const burst = 128;

/** One end of a connection in memory. What the other end sends waits here until it is delivered. */
export class End implements Connection, Poolable {
  readonly local: string;
  readonly remote: string;
  deadline: number = Infinity;
  onOver: () => void = () => {};
  onIdle: () => void = () => {};
  onRelease: () => void = () => {};
  readonly #maxBody: number;
  readonly #busy = new Busyness();
  #peer: End | undefined;
  #receiver: Receiver | undefined;
  #inbox: Message[] = [];
  #inboxBytes = 0;
  #senders: { resolve: () => void; reject: (error: MicroError) => void }[] = [];
  #paused = false;
  #scheduled = false;
  #delivered = 0;
  /** Why the other end is gone; told after what it sent before. */
  #ended: MicroError | undefined;
  #over = false;

  constructor(local: string, remote: string, maxBody: number) {
    this.local = local;
    this.remote = remote;
    this.#maxBody = maxBody;
  }

  join(other: End): void {
    this.#peer = other;
    other.#peer = this;
  }

  get key(): string {
    return this.remote;
  }

  get alive(): boolean {
    // A message nobody waits for would answer the next user.
    return !this.#over && this.#ended === undefined && this.#inbox.length === 0;
  }

  get idle(): boolean {
    return this.#busy.idle && this.#inbox.length === 0;
  }

  receive(receiver: Receiver): void {
    this.#receiver = receiver;
    this.#schedule();
  }

  send(message: Message): Promise<void> {
    const peer = this.#peer;
    if (this.#over || this.#ended !== undefined || peer === undefined) return Promise.reject(this.#gone());
    if (message.body.length > this.#maxBody)
      return Promise.reject(
        errors.payloadTooLarge(id, `body of ${message.body.length} bytes, at most ${this.#maxBody}`),
      );
    peer.#inbox.push({
      header: Object.assign(Object.create(null) as Record<string, string>, message.header),
      body: Buffer.from(message.body),
    });
    peer.#inboxBytes += message.body.length;
    peer.#schedule();
    this.#busy.sent();
    if (this.#busy.idle) this.onIdle();
    return peer.#room();
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.#schedule();
  }

  busy(yes: boolean): void {
    this.#busy.set(yes);
    if (this.idle) this.onIdle();
  }

  release(): void {
    this.#receiver = undefined;
    this.#paused = false;
    this.onRelease();
  }

  close(): void {
    this.#leave(false);
  }

  destroy(): void {
    this.#leave(true);
  }

  /** Ends it for a reason of the transport's own: the receiver is told. */
  end(why: string, now = false): void {
    if (this.#over) return;
    const receiver = this.#receiver;
    this.#leave(now);
    if (receiver !== undefined) later(() => receiver.closed(errors.connectionLost(id, why)));
  }

  #leave(now: boolean): void {
    if (this.#over) return;
    this.#over = true;
    this.#receiver = undefined;
    this.#drop();
    const peer = this.#peer;
    if (peer !== undefined) peer.#gotEnd(now);
    this.onOver();
  }

  #gotEnd(now: boolean): void {
    if (this.#over || this.#ended !== undefined) return;
    this.#ended = errors.connectionLost(id, `${this.remote} closed the connection`);
    if (now) this.#drop();
    this.#schedule();
  }

  #drop(): void {
    this.#inbox = [];
    this.#inboxBytes = 0;
    const senders = this.#senders;
    this.#senders = [];
    for (const sender of senders) sender.reject(errors.connectionLost(id, `${this.local} closed the connection`));
  }

  #gone(): MicroError {
    return this.#ended ?? errors.connectionLost(id, "the connection is closed");
  }

  #room(): Promise<void> {
    if (this.#over || (this.#inboxBytes <= roomBytes && this.#inbox.length <= roomMessages)) return Promise.resolve();
    return new Promise((resolve, reject) => this.#senders.push({ resolve, reject }));
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    const run = (): void => {
      this.#scheduled = false;
      this.#deliver();
    };
    if (++this.#delivered % burst === 0) exitAmbient(() => setImmediate(run));
    else later(run);
  }

  #deliver(): void {
    if (this.#over || this.#paused || this.#receiver === undefined) return;
    const next = this.#inbox.shift();
    if (next === undefined) {
      if (this.#ended !== undefined) this.#finish();
      return;
    }
    this.#inboxBytes -= next.body.length;
    if (this.#inboxBytes <= roomBytes && this.#inbox.length <= roomMessages) {
      const senders = this.#senders;
      this.#senders = [];
      for (const sender of senders) sender.resolve();
    }
    this.#busy.received();
    this.#receiver.message(next);
    if (this.#inbox.length > 0 || this.#ended !== undefined) this.#schedule();
  }

  #finish(): void {
    if (this.#over) return;
    const receiver = this.#receiver;
    this.#over = true;
    this.#receiver = undefined;
    this.#drop();
    this.onOver();
    receiver?.closed(this.#gone());
  }
}

function later(fn: () => void): void {
  exitAmbient(() => queueMicrotask(fn));
}
