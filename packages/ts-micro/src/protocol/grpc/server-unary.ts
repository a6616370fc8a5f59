import type { Http2End, Http2Events, Http2Exchange } from "../../backends/http2.ts";
import { errors, fromUnknown, type MicroError } from "../../errors.ts";
import { Deadlines, type Expiring } from "../../internal/deadlines.ts";
import { tickTime } from "../../internal/tick.ts";
import { ResponseMetadata, type Metadata } from "../../metadata.ts";
import type { Body, CallTarget, ServedCall } from "../../protocol.ts";
import { FrameReader, frameLength, wholeFrame } from "../../wire/grpc/frame.ts";
import { unpack } from "../../wire/grpc/gzip.ts";
import { H } from "../../wire/headers.ts";
import { Cancellable } from "../common/cancellable.ts";
import { deadlineOf, isOurs, metadataOf } from "./incoming.ts";
import { oversized, replyFrame, replyHead, replyTrailers, sayEnd, serverId } from "./reply.ts";
import type { Settings } from "./settings.ts";
import type { Served } from "./target.ts";

/** Bytes of messages that are not complete, of all connections. */
const mostHeld = 256 << 20;

/** The unary calls whose message has not arrived: for how long, and how much of them is kept. */
export class Arriving {
  readonly settings: Settings;
  readonly #calls = new Set<ServerUnary>();
  readonly #deadlines: Deadlines<ServerUnary>;
  #held = 0;

  constructor(settings: Settings) {
    this.settings = settings;
    this.#deadlines = new Deadlines(
      settings.clock,
      () => this.#calls,
      (call) => call.expire(),
    );
  }

  add(call: ServerUnary): void {
    this.#calls.add(call);
    this.#deadlines.add(call.deadline);
  }

  /** False when too much is kept already. */
  hold(bytes: number): boolean {
    this.#held += bytes;
    return this.#held <= mostHeld;
  }

  delete(call: ServerUnary): void {
    this.#calls.delete(call);
  }

  close(): void {
    this.#deadlines.close();
  }
}

/** A unary call at the server: one message, one answer in one go. */
export class ServerUnary extends Cancellable implements Http2Events, Expiring, ServedCall {
  // Set by the constructor alone, as in its base.
  /** Of its arrival; of the call, once it runs. */
  declare deadline: number;
  declare readonly retries: boolean;
  declare private readonly exchange: Http2Exchange;
  declare private readonly served: Served;
  declare private readonly arriving: Arriving;
  declare private readonly due: number;
  declare private reader: FrameReader | undefined;
  declare private held: number;
  declare private message: Buffer | undefined;
  declare private begun: boolean;
  declare private over: boolean;
  declare private made: Metadata | undefined;
  declare private added: ResponseMetadata | undefined;

  constructor(exchange: Http2Exchange, served: Served, arriving: Arriving) {
    super();
    const { clock, idleTimeout } = arriving.settings;
    const now = tickTime(clock);
    this.due = deadlineOf(exchange, now);
    this.deadline = Math.min(this.due, now + idleTimeout);
    this.retries = isOurs(exchange);
    this.exchange = exchange;
    this.served = served;
    this.arriving = arriving;
    this.reader = undefined;
    this.held = 0;
    this.message = undefined;
    this.begun = false;
    this.over = false;
    this.made = undefined;
    this.added = undefined;
    arriving.add(this);
  }

  get service(): string {
    return this.served.route.service;
  }

  get endpoint(): string {
    return this.served.route.endpoint;
  }

  get contentType(): string {
    return this.served.route.contentType;
  }

  get local(): string {
    return this.exchange.local;
  }

  get remote(): string {
    return this.exchange.remote;
  }

  get metadata(): Metadata {
    if (this.made === undefined) {
      this.made = metadataOf(this.exchange);
      if (this.local !== "") this.made.set(H.local, this.local);
      if (this.remote !== "") this.made.set(H.remote, this.remote);
    }
    return this.made;
  }

  get response(): ResponseMetadata {
    return (this.added ??= new ResponseMetadata());
  }

  reply(body: Body): void {
    if (this.over) return;
    const { maxMessage } = this.arriving.settings;
    const length = frameLength(body);
    if (length > maxMessage) return this.fail(oversized(length, maxMessage));
    this.over = true;
    const { exchange, added } = this;
    exchange.respond(replyHead(exchange, added));
    exchange.end(replyFrame(exchange, body), replyTrailers(added, undefined));
  }

  /** An error, in an answer that is its head alone. */
  fail(error: MicroError): void {
    this.#arrived();
    if (this.over) return;
    this.over = true;
    this.message = undefined;
    sayEnd(this.exchange, this.added, error);
  }

  /** The message has not arrived in time. */
  expire(): void {
    this.fail(errors.timeout(serverId, `${this.endpoint}: the request did not arrive in time`));
  }

  data(chunk: Buffer): void {
    if (this.over) return;
    const most = this.arriving.settings.maxMessage;
    const whole = this.reader === undefined && this.message === undefined ? wholeFrame(chunk) : undefined;
    if (whole !== undefined && whole.length <= most) {
      this.message = whole;
      return;
    }
    try {
      this.reader ??= new FrameReader(most, (body, flags) => this.#take(body, flags));
      this.reader.push(chunk);
      const grown = this.reader.held - this.held;
      this.held += grown;
      if (grown !== 0 && !this.arriving.hold(grown))
        throw errors.resourceExhausted(serverId, "too many unfinished requests are kept already");
    } catch (error) {
      this.fail(fromUnknown(error, serverId));
    }
  }

  ended(): void {
    if (this.over || this.begun) return;
    const { message, served } = this;
    if (message === undefined || (this.reader?.held ?? 0) > 0)
      return this.fail(errors.badRequest(serverId, `${this.endpoint}: the request is not one whole message`));
    this.begun = true;
    this.message = undefined;
    this.#arrived();
    this.deadline = this.due;
    served.calls.direct(this, served.target as CallTarget, message, 0, message.length);
  }

  drain(): void {}

  closed(how: Http2End): void {
    this.#arrived();
    if (this.over) return;
    this.over = true;
    this.cancel(goneError(how));
  }

  #take(body: Buffer, flags: number): void {
    if (this.message !== undefined) throw errors.badRequest(serverId, "more than one message in a unary call");
    this.message = unpack(body, flags, this.exchange.header("grpc-encoding"), this.arriving.settings.maxMessage);
  }

  #arrived(): void {
    this.arriving.delete(this);
    if (this.held === 0) return;
    this.arriving.hold(-this.held);
    this.held = 0;
  }
}

/** Why a handler's caller is gone. */
export function goneError(how: Http2End): MicroError {
  return how === "reset"
    ? errors.cancelled(serverId, "the caller gave up")
    : errors.connectionLost(serverId, "the connection of the caller was lost");
}
