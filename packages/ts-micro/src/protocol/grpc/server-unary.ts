import type { Http2End, Http2Events, Http2Exchange } from "../../backends/http2.ts";
import { errors, fromUnknown, type MicroError } from "../../errors.ts";
import type { Arrival, Arriving } from "../../internal/arriving.ts";
import { tickTime } from "../../internal/tick.ts";
import { ResponseMetadata, type Metadata } from "../../metadata.ts";
import type { Body, CallTarget, ServedCall } from "../../protocol.ts";
import { FrameReader, frameLength, wholeFrame } from "../../wire/grpc/frame.ts";
import { unpack } from "../../wire/grpc/gzip.ts";
import { H } from "../../wire/headers.ts";
import { Cancellable } from "../common/cancellable.ts";
import { deadlineOf, isOurs, metadataOf } from "./incoming.ts";
import { oversized, replyFrame, replyHead, replyTrailers, sayEnd, serverId } from "./reply.ts";
import type { Served } from "./target.ts";

/** A unary call at the server: one message, one answer in one go. */
export class ServerUnary extends Cancellable implements Http2Events, Arrival, ServedCall {
  // Set by the constructor alone, as in its base.
  /** Of its arrival; of the call, once it runs. */
  declare deadline: number;
  declare readonly retries: boolean;
  declare private readonly exchange: Http2Exchange;
  declare private readonly served: Served;
  declare private readonly arriving: Arriving;
  declare private readonly most: number;
  declare private readonly due: number;
  declare private reader: FrameReader | undefined;
  declare private held: number;
  declare private message: Buffer | undefined;
  declare private begun: boolean;
  declare private over: boolean;
  declare private made: Metadata | undefined;
  declare private added: ResponseMetadata | undefined;

  /** `most`: largest message, in bytes, either way. */
  constructor(exchange: Http2Exchange, served: Served, arriving: Arriving, most: number) {
    super();
    const now = tickTime(arriving.clock);
    this.most = most;
    this.due = deadlineOf(exchange, now);
    this.deadline = Math.min(this.due, now + arriving.limit);
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
    const length = frameLength(body);
    if (length > this.most) return this.fail(oversized(length, this.most));
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
    const whole = this.reader === undefined && this.message === undefined ? wholeFrame(chunk) : undefined;
    try {
      if (whole !== undefined && whole.length <= this.most) this.message = whole;
      else {
        this.reader ??= new FrameReader(this.most, (body, flags) => this.#take(body, flags));
        this.reader.push(chunk);
      }
      this.#keep((this.message?.length ?? 0) + (this.reader?.held ?? 0));
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
    this.message = unpack(body, flags, this.exchange.header("grpc-encoding"), this.most);
  }

  /** A message that is whole waits too, as long as the end has not come. */
  #keep(bytes: number): void {
    const grown = bytes - this.held;
    this.held = bytes;
    if (!this.arriving.hold(grown)) throw tooMuch();
  }

  #arrived(): void {
    this.arriving.delete(this);
    this.arriving.hold(-this.held);
    this.held = 0;
  }
}

/** A request is given up for all that came and is kept. */
export function tooMuch(): MicroError {
  return errors.resourceExhausted(serverId, "too many unfinished requests are kept already");
}

/** Why a handler's caller is gone. */
export function goneError(how: Http2End): MicroError {
  return how === "reset"
    ? errors.cancelled(serverId, "the caller gave up")
    : errors.connectionLost(serverId, "the connection of the caller was lost");
}
