import type { Socket } from "node:net";
import { errors, fromUnknown, type MicroError } from "../../errors.ts";
import { exitAmbient } from "../../internal/ambient.ts";
import { endName } from "../../internal/net-address.ts";
import type { Inlet } from "../../internal/inlet.ts";
import { leftOf } from "../../internal/left.ts";
import { endTurn } from "../../internal/tick.ts";
import type { Body } from "../../protocol.ts";
import type { Connection, Message, Receiver } from "../../transport.ts";
import { headerRecord } from "../../wire/http1/headers.ts";
import type { Http1Message, Http1Parser } from "../../wire/http1/parser.ts";
import type { Ending, Home } from "./ends.ts";
import { writeMessage } from "./output.ts";
import { id, type Settings } from "./options.ts";

/** What may wait in a socket before senders are held back. */
const room = 256 * 1024;
/** Bodies above this are not copied behind their head; both go out in one system call all the same. */
const copied = 64 * 1024;
/** How long a socket that was ended may take to go, and between bytes that leave it. */
const linger = 5_000;
const sent: Promise<void> = Promise.resolve();

/** What both ends of an HTTP/1.1 connection have in common: a socket, a parser, a receiver. */
export abstract class HttpEnd<M extends Http1Message> implements Connection, Ending {
  readonly local: string;
  readonly remote: string;
  deadline: number = Infinity;
  protected readonly socket: Socket;
  protected readonly settings: Settings;
  protected readonly ends: Home;
  protected receiver: Receiver | undefined;
  /** True while the parser delivers. */
  protected parsing = false;
  /** Nothing more is read for the receiver or written for its owner. */
  protected over = false;
  #kept: M[] | undefined;
  #end: MicroError | undefined;
  #paused = false;
  #flowing = false;
  #cause: Error | undefined;
  #left = 0;
  /** Removes the listeners. */
  readonly #leave: () => void;
  #senders: { resolve: () => void; reject: (error: MicroError) => void }[] = [];

  constructor(socket: Socket, settings: Settings, ends: Home, remote: string, inlet?: Inlet) {
    this.socket = socket;
    this.settings = settings;
    this.ends = ends;
    this.local = endName(socket.localAddress, socket.localPort);
    this.remote = remote;
    ends.add(this);
    const data = (chunk: Buffer): void => this.read(chunk, chunk.length, false);
    const end = (): void => this.#ended();
    const drain = (): void => this.drained();
    const error = (cause: Error): void => void (this.#cause = cause);
    const close = (): void => {
      this.finish(this.#lost(this.#cause?.message ?? "closed the connection"));
      ends.gone(this);
    };
    this.#leave = () => {
      socket.off("data", data).off("end", end).off("drain", drain).off("error", error).off("close", close);
    };
    if (inlet?.direct === true) {
      inlet.reading = (bytes, length) => this.read(bytes, length, true);
      socket.resume();
    } else socket.on("data", data);
    socket.on("end", end).on("drain", drain).on("error", error).on("close", close);
  }

  protected abstract readonly parser: Http1Parser<M>;
  /** The peer broke the protocol, or a limit. */
  protected abstract broken(error: MicroError): void;
  /** The peer has sent FIN, and everything before it was read. */
  protected abstract peerEnded(error: MicroError): void;
  protected abstract encode(message: Message, body: Uint8Array | undefined): Buffer;
  /** Start line of what it sends, and what always follows it. */
  protected abstract readonly start: string;
  abstract release(): void;
  abstract busy(yes: boolean): void;
  abstract expire(): void;

  /** Nothing is read while this is true. */
  protected get held(): boolean {
    return this.#paused || this.#kept !== undefined;
  }

  receive(receiver: Receiver): void {
    this.receiver = receiver;
    if (this.#kept !== undefined) later(() => this.#flush());
    else if (this.#end !== undefined) this.#tell();
  }

  send(message: Message): Promise<void> {
    if (this.over) return Promise.reject(this.#lost("the connection is closed"));
    const { socket, settings } = this;
    const { body } = message;
    if (body.length > settings.maxBody)
      return Promise.reject(errors.payloadTooLarge(id, `body of ${body.length} bytes, at most ${settings.maxBody}`));
    const apart = body.length > copied;
    const bytes = this.encode(message, apart ? undefined : body);
    if (bytes.length - (apart ? 0 : body.length) > settings.maxHeader)
      return Promise.reject(errors.payloadTooLarge(id, `headers of more than ${settings.maxHeader} bytes`));
    if (apart) {
      socket.cork();
      socket.write(bytes);
      socket.write(body);
      socket.uncork();
    } else socket.write(bytes);
    if (socket.writableLength <= room) return sent;
    return new Promise((resolve, reject) => this.#senders.push({ resolve, reject }));
  }

  sendLines(lines: readonly string[], body: Body): void {
    if (this.over) throw this.#lost("the connection is closed");
    const { socket, settings, start } = this;
    const { maxBody, maxHeader } = settings;
    const length = typeof body === "string" ? Buffer.byteLength(body) : body.length;
    if (length > maxBody) throw errors.payloadTooLarge(id, `body of ${length} bytes, at most ${maxBody}`);
    if (!writeMessage(socket, start, lines, body, length, maxHeader))
      throw errors.payloadTooLarge(id, `headers of more than ${maxHeader} bytes`);
  }

  pause(): void {
    this.#paused = true;
    this.socket.pause();
  }

  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.flow();
  }

  close(): void {
    this.receiver = undefined;
    this.finish(this.#lost("the connection was closed"));
    this.end();
  }

  destroy(): void {
    this.receiver = undefined;
    this.finish(this.#lost("the connection was closed"));
    this.socket.destroy();
  }

  /** The transport ends it now, and the receiver is told why. */
  shut(why: string): void {
    this.finish(this.#lost(why));
    this.socket.destroy();
  }

  /** Goes on reading, unless held. Later, since whoever asks for it does not expect messages before it returns. */
  protected flow(): void {
    if (this.#flowing || this.over) return;
    this.#flowing = true;
    later(() => {
      this.#flowing = false;
      if (this.over || this.held) return;
      if (this.parser.paused) this.#parse(undefined, 0, false);
      if (!this.over && !this.held) this.socket.resume();
    });
  }

  /** `lent`: others write into the chunk afterwards. */
  protected read(chunk: Buffer, length: number, lent: boolean): void {
    // A lingering socket is read to its end: closing with unread bytes would reset it, and the peer lose what we sent last.
    if (this.over) return;
    endTurn();
    this.#parse(chunk, length, lent);
    endTurn();
  }

  protected drained(): void {
    const senders = this.#senders;
    this.#senders = [];
    for (const sender of senders) sender.resolve();
  }

  /** Gives a message to the receiver. False: no more for now. */
  protected deliver(message: M): boolean {
    const { receiver } = this;
    if (receiver === undefined) (this.#kept ??= []).push(message.keep());
    else if (receiver.lines?.(message.headers, message.bytes, message.from, message.to) !== true)
      receiver.message({ header: headerRecord(message.headers), body: message.body });
    return !this.held && !this.over;
  }

  /** The end, once. Tells the receiver and whoever waits to send. */
  protected finish(error: MicroError): void {
    if (this.over) return;
    this.over = true;
    const { receiver } = this;
    const senders = this.#senders;
    this.#senders = [];
    for (const sender of senders) sender.reject(error);
    this.#end = error;
    if (receiver !== undefined && this.#kept === undefined) this.#tell();
    // What it is owed is waited for.
    if (this.socket.writableLength === 0) this.ends.over(this);
  }

  /** FIN after what was written has left; the rest of the peer's bytes is thrown away. */
  protected end(): void {
    if (this.socket.destroyed) return;
    this.socket.end(() => this.ends.over(this));
    this.socket.resume();
    this.unsent(linger);
  }

  /** What waits to leave has `limit` milliseconds until some of it does. */
  protected unsent(limit: number): void {
    this.#left = leftOf(this.socket);
    this.deadline = this.ends.clock.now() + limit;
    this.ends.watch(this.deadline);
  }

  /** Time is up for what waits to leave: true when some of it has since the last look, which gives it as much again. */
  protected leaves(limit: number = linger): boolean {
    const goesOn = this.socket.writableLength > 0 && leftOf(this.socket) !== this.#left;
    if (goesOn) this.unsent(limit);
    return goesOn;
  }

  /** Lets the socket go, paused, with all that was written still to leave. */
  protected handOver(): void {
    this.drained();
    this.finish(this.#lost("the connection went to another protocol"));
    this.#leave();
    this.socket.pause();
    this.ends.gone(this);
  }

  #parse(chunk: Buffer | undefined, length: number, lent: boolean): void {
    this.parsing = true;
    try {
      if (chunk === undefined) this.parser.resume();
      else this.parser.push(chunk, length, lent);
      this.parsing = false;
    } catch (error) {
      this.parsing = false;
      if (!this.over) this.broken(fromUnknown(error, id));
      return;
    }
    this.parsed();
  }

  /** Everything at hand was read. */
  protected parsed(): void {
    if (this.held && !this.over) this.socket.pause();
  }

  #ended(): void {
    if (this.over) return;
    let why = "closed the connection";
    this.parsing = true;
    try {
      this.parser.end();
    } catch {
      why = "closed the connection inside a message";
    }
    this.parsing = false;
    this.peerEnded(this.#lost(why));
  }

  #flush(): void {
    const { receiver } = this;
    const kept = this.#kept ?? [];
    this.#kept = undefined;
    if (receiver === undefined) return;
    for (const message of kept) this.deliver(message);
    if (this.#end === undefined) this.flow();
    else this.#tell();
  }

  // Later, since whoever sends or closes does not expect to be called before that returns. Not at all, if it has gone by then.
  #tell(): void {
    later(() => {
      const { receiver } = this;
      this.receiver = undefined;
      if (this.#end !== undefined) receiver?.closed(this.#end);
    });
  }

  #lost(why: string): MicroError {
    const detail = this.remote === "" ? why : `${this.remote}: ${why}`;
    return errors.connectionLost(id, detail, this.#cause);
  }
}

/** Header fields as the encoder takes them. */
export function fields(header: Readonly<Record<string, string>>): string[] {
  const out: string[] = [];
  for (const name of Object.keys(header)) out.push(name, header[name] as string);
  return out;
}

export function later(fn: () => void): void {
  exitAmbient(() => process.nextTick(fn));
}
