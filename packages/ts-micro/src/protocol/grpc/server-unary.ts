import type { Http2End, Http2Events } from "../../backends/http2.ts";
import { errors, fromUnknown, type MicroError } from "../../errors.ts";
import { Deadlines, type Expiring } from "../../internal/deadlines.ts";
import { FrameReader, wholeFrame } from "../../wire/grpc/frame.ts";
import { unpack } from "../../wire/grpc/gzip.ts";
import type { Reply } from "../../protocol.ts";
import type { Incoming } from "./incoming.ts";
import { oversized, replyFrame, replyHead, replyTrailers, serverId } from "./reply.ts";
import type { Settings } from "./settings.ts";
import type { Target } from "./target.ts";

/** Bytes of messages that are not complete, of all connections. */
const mostHeld = 256 << 20;

/** The unary calls whose message has not arrived: for how long, and how much of them is kept. */
export class Arriving {
  readonly #settings: Settings;
  readonly #calls = new Set<ServerUnary>();
  readonly #deadlines: Deadlines<ServerUnary>;
  #held = 0;

  constructor(settings: Settings) {
    this.#settings = settings;
    this.#deadlines = new Deadlines(
      settings.clock,
      () => this.#calls,
      (call) => call.expire(),
    );
  }

  add(call: ServerUnary, deadline: number): number {
    const limit = Math.min(deadline, this.#settings.clock.now() + this.#settings.idleTimeout);
    this.#calls.add(call);
    this.#deadlines.add(limit);
    return limit;
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
export class ServerUnary implements Http2Events, Expiring {
  readonly deadline: number;
  readonly #call: Incoming;
  readonly #target: Target;
  readonly #settings: Settings;
  readonly #arriving: Arriving;
  #reader: FrameReader | undefined;
  #held = 0;
  #message: Buffer | undefined;
  #begun = false;
  #over = false;

  constructor(call: Incoming, target: Target, settings: Settings, arriving: Arriving) {
    this.#call = call;
    this.#target = target;
    this.#settings = settings;
    this.#arriving = arriving;
    this.deadline = arriving.add(this, call.head.deadline);
  }

  /** The message has not arrived in time. */
  expire(): void {
    this.#answer(errors.timeout(serverId, `${this.#call.head.endpoint}: the request did not arrive in time`));
  }

  data(chunk: Buffer): void {
    if (this.#over) return;
    const most = this.#settings.maxMessage;
    const whole = this.#reader === undefined && this.#message === undefined ? wholeFrame(chunk) : undefined;
    if (whole !== undefined && whole.length <= most) {
      this.#message = whole as Buffer;
      return;
    }
    try {
      this.#reader ??= new FrameReader(most, (body, flags) => this.#take(body, flags));
      this.#reader.push(chunk);
      const grown = this.#reader.held - this.#held;
      this.#held += grown;
      if (grown !== 0 && !this.#arriving.hold(grown))
        throw errors.resourceExhausted(serverId, "too many unfinished requests are kept already");
    } catch (error) {
      this.#answer(fromUnknown(error, serverId));
    }
  }

  ended(): void {
    if (this.#over || this.#begun) return;
    if (this.#message !== undefined && (this.#reader?.held ?? 0) === 0) return void this.#run(this.#message);
    this.#answer(errors.badRequest(serverId, `${this.#call.head.endpoint}: the request is not one whole message`));
  }

  drain(): void {}

  closed(how: Http2End): void {
    this.#arrived();
    if (this.#over) return;
    this.#over = true;
    this.#call.cancellation.cancel(goneError(how));
  }

  #take(body: Buffer, flags: number): void {
    if (this.#message !== undefined) throw errors.badRequest(serverId, "more than one message in a unary call");
    const { headers } = this.#call.exchange;
    this.#message = unpack(body, flags, headers["grpc-encoding"], this.#settings.maxMessage);
  }

  async #run(message: Buffer): Promise<void> {
    this.#begun = true;
    this.#arrived();
    let reply: Reply;
    try {
      reply = await this.#target.unary(this.#call, message);
    } catch (error) {
      return this.#answer(fromUnknown(error, serverId));
    }
    const { body, error } = reply;
    if (error !== undefined) return this.#answer(error);
    if (body.length > this.#settings.maxMessage) return this.#answer(oversized(body.length, this.#settings.maxMessage));
    if (this.#over) return;
    this.#over = true;
    const { exchange } = this.#call;
    exchange.respond(replyHead(this.#call));
    exchange.end(replyFrame(this.#call, body), replyTrailers(this.#call, undefined));
  }

  /** An error, in an answer that is its head alone. */
  #answer(error: MicroError): void {
    this.#arrived();
    if (this.#over) return;
    this.#over = true;
    this.#message = undefined;
    const { exchange } = this.#call;
    exchange.answer({ ...replyHead(this.#call), ...replyTrailers(this.#call, error) });
  }

  #arrived(): void {
    this.#arriving.delete(this);
    if (this.#held === 0) return;
    this.#arriving.hold(-this.#held);
    this.#held = 0;
  }
}

/** Why a handler's caller is gone. */
export function goneError(how: Http2End): MicroError {
  return how === "reset"
    ? errors.cancelled(serverId, "the caller gave up")
    : errors.connectionLost(serverId, "the connection of the caller was lost");
}
