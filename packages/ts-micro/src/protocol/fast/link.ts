import type { Socket } from "node:net";
import type { Clock } from "../../clock.ts";
import { MicroError, errors, fromUnknown } from "../../errors.ts";
import { endName } from "../../internal/net-address.ts";
import type { Inlet } from "../../internal/inlet.ts";
import { leftOf } from "../../internal/left.ts";
import { atTickEnd, beginTurn, endTurn, tickTime, type Flushing } from "../../internal/tick.ts";
import {
  Flag,
  Frame,
  broken,
  decodeSettings,
  defaults,
  encodeSettings,
  requestSize,
  type Settings,
} from "../../wire/fast/frame.ts";
import { FrameReader, type FrameSink } from "../../wire/fast/reader.ts";
import { FrameWriter, type Body } from "../../wire/fast/writer.ts";
import type { Stream } from "./stream.ts";

/** Who reports what goes wrong on the wire. */
export const wireId = "ts.micro.protocol.fast";
/** Gathered bytes at which a turn's writes leave at once: the peer may begin, and the slab stays in the cache. */
const early = 64 << 10;
/** A turn that will say more than this, as far as the one before tells, is much. */
const burst = 1 << 11;
/** Unsent bytes in the socket at which a peer counts as slow. */
const backlog = 1 << 20;

export interface LinkOptions {
  readonly clock: Clock;
  /** Longest body, either way. */
  readonly maxBody: number;
  /** Credit of each stream that the peer sends on, in bytes. */
  readonly window: number;
  /** Most bytes of all streams that were received and not read. */
  readonly maxUnread: number;
  /** Milliseconds of silence after which the peer is asked whether it is there, and within which it has to answer. */
  readonly pingInterval: number;
  readonly pingTimeout: number;
}

/** One connection, the same on both ends: frames over a socket, written once a turn. */
export abstract class Link implements FrameSink, Flushing {
  readonly socket: Socket;
  readonly options: LinkOptions;
  readonly local: string;
  readonly remote: string;
  readonly writer: FrameWriter;
  readonly streams: Map<number, Stream> = new Map<number, Stream>();
  /** What the peer takes. */
  peer: Settings = { ...defaults };
  /** Most bytes of a body that the peer takes. */
  maxBody: number;
  closed = false;
  /** Nothing more is read for now: it is closed, or it yields. */
  halted = false;
  /** The peer's settings have come. */
  ready = false;
  /** When to look whether the peer is still there; for the owner's table of deadlines. */
  deadline: number = Infinity;
  /** Bytes of its streams that were received and not read, each message with its cost. */
  unread = 0;
  /** Id of the last request that was handed to the socket. */
  protected flushed = 0;
  #reader: FrameReader;
  #dirty = false;
  #reading = false;
  #corked = false;
  #heard: number;
  #asked = false;
  #choked = false;
  #left = 0;
  #early = early;
  #said = 0;
  #waiting: (() => void)[] = [];
  #cause: Error | undefined;

  constructor(socket: Socket, options: LinkOptions, remote: string) {
    this.socket = socket;
    this.options = options;
    this.maxBody = Math.min(this.peer.maxPayload - requestSize, options.maxBody);
    this.local = endName(socket.localAddress, socket.localPort);
    this.remote = remote;
    this.writer = new FrameWriter((bytes) => this.#spill(bytes));
    this.#reader = new FrameReader(this, options.maxBody + requestSize);
    this.#heard = options.clock.now();
    this.watch();
  }

  /** Frames of a peer that is as it should be, beyond those of every link. */
  protected abstract received(type: number, flags: number, id: number, bytes: Buffer, from: number, to: number): void;
  /** The payload of a frame was above the limit. */
  abstract oversize(type: number, flags: number, id: number, length: number): void;
  /** It is over; nothing more is read or written. `unsent` is for what never left. */
  protected abstract lost(error: MicroError, unsent: MicroError): void;
  /** Highest id that was given out or seen. */
  protected abstract get newest(): number;
  /** Stops reading while the peer does not read. One end alone may: two would wait for each other. */
  protected abstract readonly yields: boolean;
  /** Says the first half of a turn that will say much early, so that both ends work at once. The second end to do so gains less than it costs. */
  protected abstract readonly hasty: boolean;
  /** There is a reason to ask whether the peer is there. */
  protected abstract get attentive(): boolean;

  /** Reads from now on; `bytes` were read already. */
  open(bytes: Buffer, inlet: Inlet): void {
    inlet.reading = (chunk, length) => this.#read(chunk, length);
    this.socket
      .on("end", () => this.close("closed the connection"))
      .on("drain", () => this.#drained())
      .on("error", (error) => (this.#cause = error))
      .on("close", () => this.close(this.#cause?.message ?? "closed the connection"));
    const { maxBody, window } = this.options;
    this.say(Frame.settings, 0, 0, encodeSettings({ ...defaults, maxPayload: maxBody + requestSize, credit: window }));
    if (bytes.length > 0) this.#read(bytes, bytes.length);
    if (!this.halted) this.socket.resume();
  }

  /** Whether the peer takes a body of this length. */
  fits(body: Body): boolean {
    const most = this.maxBody;
    if (typeof body !== "string") return body.length <= most;
    return body.length * 3 <= most || Buffer.byteLength(body) <= most;
  }

  /** True while the peer does not read what it was sent. */
  get choked(): boolean {
    return this.#choked;
  }

  /** Resolves when the peer reads again, or never will. */
  room(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  say(type: number, flags: number, id: number, body: Body): void {
    if (this.closed) return;
    this.writer.frame(type, flags, id, body);
    this.dirty();
  }

  /** There is something to flush. */
  dirty(): void {
    if (this.writer.length > this.#early) {
      this.#send();
      this.#early = early;
    }
    if (this.#dirty) return;
    this.#dirty = true;
    // What answers at once leaves when everything that came has been looked at.
    if (!this.#reading) atTickEnd(this);
  }

  flush(): void {
    this.#dirty = false;
    this.#send();
    this.#early = this.hasty && this.#said > burst ? Math.min(this.#said >>> 1, early) : early;
    this.#said = 0;
  }

  frame(type: number, flags: number, id: number, bytes: Buffer, from: number, to: number): void {
    if (this.ready === (type === Frame.settings)) throw broken("settings stand first, and once");
    switch (type) {
      case Frame.settings:
        this.ready = true;
        this.peer = decodeSettings(bytes.subarray(from, to));
        this.maxBody = Math.min(this.peer.maxPayload - requestSize, this.options.maxBody);
        this.settled();
        return;
      case Frame.ping:
        if (to - from !== 8) throw broken("a ping of another length than 8");
        // A peer that does not read is not answered on and on: what it has before it tells it that we are there.
        if ((flags & Flag.pong) === 0 && !this.#choked)
          this.say(Frame.ping, Flag.pong, id, Buffer.from(bytes.subarray(from, to)));
        return;
      case Frame.credit: {
        if (to - from !== 4) throw broken("a credit of another length than 4");
        this.streams.get(id)?.grant(bytes.readUInt32BE(from));
        return;
      }
      case Frame.message: {
        const stream = this.streams.get(id);
        if (stream !== undefined) stream.deliver(bytes, from, to, (flags & Flag.last) !== 0);
        else if (id > this.newest) throw broken(`a message of stream ${id}, which was not opened`);
        return;
      }
      default:
        this.received(type, flags, id, bytes, from, to);
    }
  }

  /** The owner's deadline table says that it is time to look. */
  expire(): void {
    const { clock, pingInterval, pingTimeout } = this.options;
    if (this.closed) return;
    const now = clock.now();
    if (!this.attentive) this.deadline = Infinity;
    else if (now < this.#heard + pingInterval) this.deadline = this.#heard + pingInterval;
    else if (!this.#asked) {
      this.#asked = true;
      this.say(Frame.ping, 0, 0, pingPayload);
      this.deadline = now + pingTimeout;
    } else if (this.#choked && this.moved()) this.deadline = now + pingTimeout;
    else this.close(`no sign of life for ${Math.round(now - this.#heard)} ms`);
  }

  /** Whether bytes have left since the last look: a peer that reads, slowly, may be out of sight while we yield. */
  protected moved(): boolean {
    const left = leftOf(this.socket);
    const moved = left !== this.#left;
    this.#left = left;
    return moved;
  }

  /** Sets the time to look, if there is none; true when it was set. */
  watch(): boolean {
    if (this.deadline !== Infinity) return false;
    const { clock, pingInterval } = this.options;
    this.deadline = Math.max(this.#heard, tickTime(clock)) + pingInterval;
    return true;
  }

  /** Ends it now: everything under way is lost. */
  close(why: string, reason?: MicroError): void {
    if (this.closed) return;
    const error = reason ?? errors.connectionLost(wireId, `${this.remote}: ${why}`);
    this.flush();
    this.closed = this.halted = true;
    this.deadline = Infinity;
    const { socket } = this;
    socket.destroySoon();
    // Not the socket's own timeout, which a peer that goes on sending would put off.
    const timer = this.options.clock.after(linger, () => socket.destroy());
    socket.once("close", () => this.options.clock.cancel(timer));
    this.#released();
    const unsent = new MicroError({ id: error.id, code: error.code, detail: error.detail, refused: true });
    for (const stream of this.streams.values()) stream.lost(stream.id > this.flushed ? unsent : error);
    this.streams.clear();
    this.lost(error, unsent);
  }

  /** What the peer said of itself has changed. */
  protected settled(): void {}

  /** The peer breaks the rules: it is told so, and left. */
  protected offend(error: MicroError): void {
    this.say(Frame.goaway, Flag.error, this.newest, error.detail.slice(0, 1024));
    this.close(
      error.detail,
      new MicroError({ id: wireId, code: "PROTOCOL", detail: `${this.remote}: ${error.detail}` }),
    );
  }

  #read(chunk: Buffer, length: number): void {
    if (this.closed) return;
    this.#asked = false;
    this.#parse(chunk, length);
  }

  /** A chunk, or what was left of one. */
  #parse(chunk: Buffer | undefined, length: number): void {
    this.#heard = beginTurn(this.options.clock);
    this.#reading = true;
    try {
      if (chunk === undefined) this.#reader.resume();
      else this.#reader.push(chunk, length);
    } catch (error) {
      this.offend(fromUnknown(error, wireId));
    }
    this.#reading = false;
    if (this.#dirty) this.flush();
    endTurn();
  }

  #send(): void {
    const { socket, writer } = this;
    if (this.closed) return;
    const bytes = writer.take();
    if (!socket.destroyed) this.flushed = this.newest;
    if (bytes !== undefined) {
      this.#said += bytes.length;
      socket.write(bytes);
    }
    if (this.#corked) {
      this.#corked = false;
      socket.uncork();
    }
    const left = socket.writableLength;
    if (left === 0) writer.reuse();
    else if (left > backlog) this.#choke();
  }

  #choke(): void {
    if (this.#choked) return;
    this.#choked = true;
    if (!this.yields) return;
    this.halted = true;
    this.socket.pause();
  }

  /** A full slab, or a body that is not copied: behind what left before, in one system call with what comes. */
  #spill(bytes: Buffer): void {
    if (this.closed) return;
    if (!this.#corked) {
      this.#corked = true;
      this.socket.cork();
    }
    if (!this.socket.destroyed) this.flushed = this.newest;
    this.socket.write(bytes);
    if (this.socket.writableLength > backlog) this.#choke();
  }

  #drained(): void {
    if (!this.#choked || this.closed) return;
    this.#released();
    if (!this.yields) return;
    this.halted = false;
    this.#parse(undefined, 0);
    if (!this.halted) this.socket.resume();
  }

  #released(): void {
    this.#choked = false;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const go of waiting) go();
  }
}

const pingPayload = Buffer.from("ts-micro");
/** How long a socket that was ended may take to go, in milliseconds. */
const linger = 5000;
