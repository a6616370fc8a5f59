import { MicroError, errors } from "../../errors.ts";
import type { Body, RawStream, Receiver } from "../../protocol.ts";
import { Flag, Frame, broken, encodeFailure, messageCost, requestSize } from "../../wire/fast/frame.ts";
import { bytesOf } from "../../wire/body.ts";
import type { Link } from "./link.ts";
import { wireId } from "./link.ts";

const done = Promise.resolve();
const credits = Buffer.alloc(4);
/** Messages that may wait for credit, for senders that do not wait for their `send`. */
const mostWaiting = 16_384;

interface Waiting {
  readonly body: Body;
  readonly resolve: () => void;
  readonly reject: (error: MicroError) => void;
}

/**
 * One stream, the same on both ends. What is sent takes credit that the reader gives back as it reads, so a reader that stops stops the
 * sender, and nothing piles up in between.
 */
export abstract class Stream implements RawStream {
  readonly id: number;
  protected readonly link: Link;
  /** Bytes that may be sent; below zero after a message larger than what was left. */
  #credit: number;
  #waiting: Waiting[] = [];
  #ended = false;
  /** Its last was said, or waits behind what waits for credit. */
  #ending = false;
  /** Received and not read yet. */
  #items: (Buffer | undefined)[] = [];
  #next = 0;
  /** What of it, or of what its receiver keeps, counts as unread at the link. */
  #unread = 0;
  /** Credit used by what was received, and what of it was read and not given back. */
  #used = 0;
  #read = 0;
  #receiver: Receiver | undefined;
  #readers: { resolve: (body: Uint8Array | undefined) => void; reject: (error: MicroError) => void }[] = [];
  #finished = false;
  #failure: MicroError | undefined;
  /** Bytes the peer may have on the way. */
  readonly #window: number;

  constructor(link: Link, id: number) {
    this.link = link;
    this.id = id;
    this.#credit = link.peer.credit;
    this.#window = link.options.window;
  }

  /** Nothing can be sent any more. */
  get over(): boolean {
    return this.#ended || this.link.closed;
  }

  send(body: Body): Promise<void> {
    return this.post(body) ?? done;
  }

  post(body: Body): Promise<void> | undefined {
    if (this.#ending || this.#ended || this.link.closed) return Promise.reject(this.#failure ?? over());
    if (!this.link.fits(body)) return Promise.reject(tooLarge(this.link.maxBody));
    if (this.#credit <= 0) {
      if (this.#waiting.length >= mostWaiting)
        return Promise.reject(errors.resourceExhausted(wireId, `${mostWaiting} messages wait to be sent: await send`));
      return new Promise((resolve, reject) => this.#waiting.push({ body: lasting(body), resolve, reject }));
    }
    this.#write(body);
    if (this.#credit <= 0)
      return new Promise((resolve, reject) => this.#waiting.push({ body: nothing, resolve, reject }));
    return this.link.choked ? this.link.room() : undefined;
  }

  abstract end(): void;
  abstract cancel(reason: MicroError): void;

  read(): Promise<Uint8Array | undefined> {
    if (this.#next < this.#items.length) return Promise.resolve(this.#take());
    if (this.#finished) return this.#failure === undefined ? resolved : Promise.reject(this.#failure);
    return new Promise((resolve, reject) => this.#readers.push({ resolve, reject }));
  }

  receive(receiver: Receiver): void {
    while (this.#next < this.#items.length) {
      const item = this.#items[this.#next++] as Buffer;
      if (receiver.message(item, 0, item.length)) this.took(item.length);
    }
    this.#items = [];
    this.#next = 0;
    if (this.#finished) receiver.ended(this.#failure, false);
    this.#receiver = receiver;
  }

  took(bytes: number): void {
    const cost = bytes + messageCost;
    if (this.#unread > 0) {
      this.#unread -= cost;
      this.link.unread -= cost;
    }
    this.#gave(cost);
  }

  /** The peer's message, `bytes[from, to)`. */
  deliver(bytes: Buffer, from: number, to: number, last: boolean): void {
    if (this.#finished) return;
    const cost = to - from + messageCost;
    this.#used += cost;
    if (this.#used > this.#window + this.link.options.maxBody + requestSize + messageCost)
      throw broken(`stream ${this.id}: more than its credit`);
    let kept: boolean;
    if (this.#receiver !== undefined) kept = !this.#receiver.message(bytes, from, to);
    else {
      const body = Buffer.from(bytes.subarray(from, to));
      const reader = this.#readers.shift();
      kept = reader === undefined;
      if (reader === undefined) this.#items.push(body);
      else reader.resolve(body);
    }
    if (!kept) this.#gave(cost);
    // A receiver that cannot read it may have cancelled the stream, which counts for nothing then.
    else if (!this.#finished) {
      this.#unread += cost;
      this.link.unread += cost;
      if (this.link.unread > this.link.options.maxUnread) return this.cancel(unread(this.link.options.maxUnread));
    }
    if (last) this.finish(undefined);
  }

  /** The peer reads on. */
  grant(bytes: number): void {
    this.#credit += bytes;
    while (this.#credit > 0) {
      const waiting = this.#waiting.shift();
      if (waiting === undefined) return;
      if (waiting.body !== nothing) this.#write(waiting.body);
      waiting.resolve();
    }
  }

  /** The connection is gone. */
  lost(error: MicroError): void {
    this.finish(error);
  }

  /** Nothing more comes: reads give what is there, then the end or `error`. */
  protected finish(error: MicroError | undefined): void {
    // Whatever the peer has said already: who waits for credit waits no longer.
    if (error !== undefined) this.#dropWaiting(error);
    if (this.#finished) return;
    this.#finished = true;
    this.#failure = error;
    const readers = this.#readers;
    this.#readers = [];
    for (const reader of readers) {
      if (error === undefined) reader.resolve(undefined);
      else reader.reject(error);
    }
    this.#receiver?.ended(error, false);
  }

  /** What was received and not read is not wanted any more. */
  protected abandon(error: MicroError): void {
    this.#items = [];
    this.#next = 0;
    this.forgotten();
    if (this.#finished) this.#failure = error;
    this.#receiver?.ended(error, true);
    this.finish(error);
  }

  /** Nothing of it is the link's any more: it was read, dropped, or is its reader's alone. */
  protected forgotten(): void {
    this.link.unread -= this.#unread;
    this.#unread = 0;
  }

  /** This end has said its last. False when it had before. */
  protected close(): boolean {
    if (this.#ended) return false;
    this.#ended = true;
    return true;
  }

  /** The peer reads no more: what waits for credit will not leave. */
  protected dropSends(): void {
    this.close();
    this.#dropWaiting(over());
  }

  /** Runs `then` when what waits for credit has left. */
  protected afterSends(then: () => void): void {
    this.#ending = true;
    if (this.#waiting.length === 0) then();
    else this.#waiting.push({ body: nothing, resolve: then, reject: then });
  }

  #write(body: Body): void {
    const { link } = this;
    this.#credit -= messageCost + link.writer.frame(Frame.message, 0, this.id, body);
    link.dirty();
  }

  #dropWaiting(error: MicroError): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const { reject } of waiting) reject(error);
  }

  #take(): Buffer {
    const item = this.#items[this.#next] as Buffer;
    this.#items[this.#next++] = undefined;
    if (this.#next === this.#items.length) {
      this.#items = [];
      this.#next = 0;
    } else if (this.#next > 1024 && this.#next * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#next);
      this.#next = 0;
    }
    this.took(item.length);
    return item;
  }

  /** Gives credit back, in portions. */
  #gave(cost: number): void {
    this.#read += cost;
    if (this.#read * 2 < this.#window || this.#finished || this.link.closed) return;
    this.#used -= this.#read;
    credits.writeUInt32BE(this.#read);
    this.#read = 0;
    this.link.say(Frame.credit, 0, this.id, credits);
  }
}

const nothing = new Uint8Array(0);

/** The body, if need be copied out of the buffer that is used again. */
function lasting(body: Body): string | Uint8Array {
  return typeof body === "string" ? body : bytesOf(body);
}
const resolved: Promise<undefined> = Promise.resolve(undefined);

function over(): MicroError {
  return errors.invalidState(wireId, "this end of the stream is over");
}

function unread(most: number): MicroError {
  return errors.resourceExhausted(wireId, `more than ${most} bytes of the connection's streams wait to be read`);
}

export function tooLarge(most: number): MicroError {
  return errors.payloadTooLarge(wireId, `the message is larger than ${most} bytes`);
}

/** Flags and payload that say how something ended. */
export function failureFrame(error: MicroError, link: Link): { flags: number; text: string } {
  return { flags: Flag.error | (error.refused ? Flag.refused : 0), text: encodeFailure(error, link.peer.maxPayload) };
}
