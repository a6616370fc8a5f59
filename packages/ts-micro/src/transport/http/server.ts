import type { Socket } from "node:net";
import { errors, MicroError } from "../../errors.ts";
import { endName } from "../../internal/net-address.ts";
import { tickTime } from "../../internal/tick.ts";
import type { Accepting } from "../../internal/lazy-acceptor.ts";
import type { Body } from "../../protocol.ts";
import type { Connection, Message, Wants } from "../../transport.ts";
import { encodeError } from "../../wire/error.ts";
import { H } from "../../wire/headers.ts";
import { encodeResponse, encodeResponseHead, responseStart } from "../../wire/http1/encode.ts";
import { headerValue } from "../../wire/http1/headers.ts";
import { RequestParser, type Http1Request } from "../../wire/http1/request.ts";
import { Busyness } from "../common/busy.ts";
import { fields, HttpEnd } from "./end.ts";
import { Ends, type Home } from "./ends.ts";
import { id, type Settings } from "./options.ts";
import { limitsOf } from "./wanted.ts";

/** Unanswered requests of one connection at which its reading stops. */
const pipelined = 128;
/** Unread answers in a socket at which its reading stops, in bytes. */
const backlog = 1 << 20;

/** Requests of one client's socket, and the answers to it (wire spec §2.5). */
class ServerEnd extends HttpEnd<Http1Request> {
  protected readonly parser: RequestParser;
  protected readonly start = responseStart;
  readonly #busy = new Busyness();
  #head: Http1Request | undefined;
  /** It has sent a message, or is not waited for any longer. */
  #seen = false;
  #last = false;
  #draining = false;
  /** The next request is somebody else's. */
  #foreign = false;
  #phase: Phase | undefined;
  readonly #wants: Wants | undefined;
  readonly #release: Release;

  constructor(socket: Socket, settings: Settings, ends: Home, wants: Wants | undefined, release: Release) {
    super(socket, settings, ends, endName(socket.remoteAddress, socket.remotePort));
    this.#wants = wants;
    this.#release = release;
    this.parser = new RequestParser(
      { head: (request) => this.#begin(request), message: (request) => this.#message(request) },
      limitsOf(settings),
    );
  }

  /** Reads what the listener had read, then the socket. */
  begin(bytes: Buffer): void {
    if (bytes.length > 0) this.read(bytes, bytes.length, false);
    else this.#watch();
    if (!this.over && !this.held) this.socket.resume();
  }

  /** Ends it as soon as no call is under way. One that came `late`, while others were drained, has its first call answered. */
  drain(late: boolean): void {
    this.#draining = true;
    if (!late) this.#seen = true;
    this.#settle();
  }

  release(): void {}

  busy(yes: boolean): void {
    this.#busy.set(yes);
    this.#settle();
  }

  override send(message: Message): Promise<void> {
    if (this.over || message.body.length > this.settings.maxBody) return super.send(message);
    const done = super.send(message);
    this.#busy.sent();
    this.#settle();
    return done;
  }

  override sendLines(lines: readonly string[], body: Body): void {
    super.sendLines(lines, body);
    this.#busy.sent();
    this.#settle();
  }

  expire(): void {
    if (this.over) return this.leaves() ? undefined : void this.socket.destroy();
    if (this.#phase === "reading" && this.leaves(this.settings.idleTimeout)) return;
    if (this.#phase === "idle") return this.#leave("was idle for too long");
    this.finish(errors.connectionLost(id, `${this.remote}: too slow (${this.#phase})`));
    this.socket.destroy();
  }

  protected override get held(): boolean {
    return super.held || this.#foreign || this.#busy.pending >= pipelined || this.socket.writableLength > backlog;
  }

  protected encode({ header, body: whole }: Message, body: Uint8Array | undefined): Buffer {
    return body === undefined
      ? encodeResponseHead({ headers: fields(header) }, whole.length)
      : encodeResponse({ headers: fields(header), body });
  }

  protected override parsed(): void {
    super.parsed();
    this.#settle();
  }

  protected override drained(): void {
    super.drained();
    this.#phase = undefined;
    this.#watch();
    this.flow();
  }

  // The client has gone, or will not read what it half-closed after: as in Go, its calls have lost their caller.
  protected peerEnded(error: MicroError): void {
    this.finish(error);
    this.end();
  }

  protected broken(error: MicroError): void {
    if (this.#busy.idle) this.socket.write(refusal(error, this.#head));
    this.finish(error);
    this.end();
  }

  #begin(request: Http1Request): boolean {
    if (this.#wants?.(request) === false) {
      this.#foreign = true;
      return false;
    }
    this.#head = request;
    if (headerValue(request.headers, "Expect")?.toLowerCase() === "100-continue")
      this.socket.write("HTTP/1.1 100 Continue\r\n\r\n");
    return true;
  }

  #message(request: Http1Request): boolean {
    this.#head = undefined;
    this.#phase = undefined;
    this.#seen = true;
    if (request.close) this.#last = true;
    this.#busy.received();
    return this.deliver(request);
  }

  #settle(): void {
    // In mid-parse there may be more requests at hand.
    if (this.over || this.parsing) return;
    if (this.#busy.idle && this.#foreign && !this.#last) return this.#giveBack();
    if (this.#busy.idle && this.#seen && (this.#last || (this.#draining && this.parser.idle)))
      return this.#leave(this.#last ? "asked to close" : "draining");
    this.#watch();
    if (!this.held && (this.parser.paused || this.socket.isPaused())) this.flow();
  }

  #giveBack(): void {
    const rest = this.parser.takeRest();
    this.handOver();
    this.#release(this.socket, rest);
  }

  #leave(why: string): void {
    this.finish(errors.connectionLost(id, `${this.remote}: ${why}`));
    this.end();
  }

  /** Sets the deadline when something else is waited for than before, so that dribbling does not move it. */
  #watch(): void {
    if (this.over) return;
    const phase = this.#waitsFor();
    if (phase === this.#phase) return;
    this.#phase = phase;
    const limit = this.#limit(phase);
    // As long as a client reads, it is not too slow.
    if (phase === "reading") return this.unsent(limit);
    this.deadline = limit === Infinity ? Infinity : tickTime(this.ends.clock) + limit;
    if (limit < Infinity) this.ends.watch(this.deadline);
  }

  #waitsFor(): Phase {
    if (this.socket.writableLength > backlog) return "reading";
    if (this.#foreign) return "turn";
    if (this.held || this.parser.paused) return "reply";
    if (this.#head !== undefined) return "body";
    if (!this.parser.idle) return "head";
    if (!this.#busy.idle) return "reply";
    return this.#seen ? "idle" : "first byte";
  }

  #limit(phase: Phase): number {
    const { settings } = this;
    if (phase === "reply") return Infinity;
    if (phase === "first byte") return settings.firstByteTimeout;
    // Beside a call under way a head may be slow: what is at stake is more than a socket.
    if (phase === "head" && this.#busy.idle) return settings.headTimeout;
    return settings.idleTimeout;
  }
}

/** What is waited for: `reading` is the client's, `turn` that of a request for somebody else. */
type Phase = "first byte" | "idle" | "head" | "body" | "reply" | "reading" | "turn";
type Release = (socket: Socket, bytes: Buffer) => void;

/**
 * The answer to bytes that are no request. A caller of mucp whose message is too large gets the error that it can read, since for some
 * clients any other status is an empty success (wire spec §0.2).
 */
function refusal(error: MicroError, head: Http1Request | undefined): Buffer {
  if (head !== undefined && isMucp(head)) {
    const text = encodeError(new MicroError({ id, code: error.code, detail: error.detail }));
    const headers = ["Connection", "close", H.error, text, `X-${H.error}`, text];
    for (const name of [H.id, H.stream]) {
      const value = headerValue(head.headers, name);
      if (value !== undefined) headers.push(name, value);
    }
    return encodeResponse({ headers });
  }
  const status = error.code === "PAYLOAD_TOO_LARGE" ? "413 Content Too Large" : "400 Bad Request";
  const body = `${error.detail}\n`;
  return Buffer.from(
    `HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Type: text/plain; charset=utf-8\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
}

function isMucp(head: Http1Request): boolean {
  return [H.endpoint, H.method, H.topic, H.stream].some((name) => headerValue(head.headers, name) !== undefined);
}

/**
 * Takes HTTP/1.1 connections: every one, or those whose first head is wanted, as it is for each head after it. What is HTTP/2, no request,
 * or too large a head, is somebody else's.
 */
export class HttpAcceptor implements Accepting {
  readonly #serve: (connection: Connection) => void;
  readonly #wants: Wants | undefined;
  readonly #settings: Settings;
  readonly #ends: Ends<ServerEnd>;
  #draining = false;
  #closed = false;

  constructor(settings: Settings, serve: (connection: Connection) => void, wants: Wants | undefined) {
    this.#settings = settings;
    this.#serve = serve;
    this.#wants = wants;
    this.#ends = new Ends(settings.clock);
  }

  accept(socket: Socket, bytes: Buffer, release: Release): void {
    if (this.#closed) return void socket.destroy();
    const end = new ServerEnd(socket, this.#settings, this.#ends, this.#wants, release);
    this.#serve(end);
    if (this.#draining) end.drain(true);
    end.begin(bytes);
  }

  async drain(): Promise<void> {
    this.#draining = true;
    for (const end of this.#ends.open) end.drain(false);
    await this.#ends.whenEmpty();
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const end of this.#ends.all) end.shut("the server was closed");
  }
}
