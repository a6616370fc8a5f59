import type { Http2End, Http2Events } from "../../backends/http2.ts";
import { errors, fromUnknown, type MicroError } from "../../errors.ts";
import type { Arriving } from "../../internal/arriving.ts";
import { MessageQueue } from "../../internal/message-queue.ts";
import { Room } from "../../internal/room.ts";
import type { RawStream } from "../../protocol.ts";
import { FrameReader, compressedFlag } from "../../wire/grpc/frame.ts";
import { unpack } from "../../wire/grpc/gzip.ts";
import type { Incoming } from "./incoming.ts";
import { oversized, replyFrame, replyHead, replyTrailers, sayEnd, serverId } from "./reply.ts";
import { goneError, tooMuch } from "./server-unary.ts";
import type { Target } from "./target.ts";

/** The server's end of a stream (wire spec §4.6). */
export class ServerStream implements RawStream, Http2Events {
  readonly #call: Incoming;
  readonly #arriving: Arriving;
  readonly #most: number;
  readonly #inbound: MessageQueue;
  /** Undefined when nothing more is read. */
  #reader: FrameReader | undefined;
  /** Compressed ones wait as they came, which may be a thousandth of what they are. */
  readonly #packed: WeakSet<Uint8Array> | undefined;
  readonly #room = new Room();
  /** Bytes of a message that is not complete, and of long ones that nobody has read. */
  #held = 0;
  #sent = false;
  #ended = false;
  /** Why it is over; a clean end has an error too, for those who send after it. */
  #over: MicroError | undefined;

  /** `most`: largest message, in bytes, either way. */
  constructor(call: Incoming, arriving: Arriving, most: number) {
    this.#call = call;
    this.#arriving = arriving;
    this.#most = most;
    const { exchange } = call;
    this.#inbound = new MessageQueue(
      () => exchange.pause(),
      () => exchange.resume(),
    );
    this.#packed = exchange.header("grpc-encoding") === undefined ? undefined : new WeakSet();
    this.#reader = new FrameReader(most, (body, flags) => {
      if (flags === compressedFlag) this.#packed?.add(body);
      this.#inbound.push(this.#packed?.has(body) === true ? body : unpack(body, flags, undefined, most));
    });
  }

  /** Runs it to its end. */
  async serve(target: Target): Promise<void> {
    this.#call.exchange.receive(this);
    let failure: MicroError | undefined;
    try {
      failure = await target.stream(this.#call, this);
    } catch (error) {
      failure = fromUnknown(error, serverId);
    }
    this.#finish(failure);
  }

  send(body: Uint8Array): Promise<void> {
    if (this.#over !== undefined) return Promise.reject(this.#over);
    if (this.#ended)
      return Promise.reject(errors.invalidState(serverId, "send after the end of the stream's own side"));
    if (body.length > this.#most) return Promise.reject(oversized(body.length, this.#most));
    const { exchange } = this.#call;
    if (!this.#sent) {
      this.#sent = true;
      exchange.respond(replyHead(exchange, this.#call.response));
    }
    return exchange.write(replyFrame(exchange, body)) ? Promise.resolve() : this.#room.wait();
  }

  /** The end is told when the handler is done: until then it may still fail. */
  end(): void {
    this.#ended = true;
  }

  read(): Promise<Uint8Array | undefined> {
    const message = this.#inbound.read();
    if (this.#held > 0) this.#keep();
    return this.#packed === undefined ? message : message.then((body) => this.#unpacked(body));
  }

  cancel(reason: MicroError): void {
    this.#finish(reason);
    this.#call.cancellation.cancel(reason);
  }

  data(chunk: Buffer): void {
    const reader = this.#reader;
    if (reader === undefined) return;
    try {
      reader.push(chunk);
      if (!this.#keep()) throw tooMuch();
    } catch (error) {
      this.#broken(fromUnknown(error, serverId));
    }
  }

  ended(): void {
    if (this.#reader?.held === 0) return this.#inbound.end();
    this.#inbound.end(errors.badRequest(serverId, `${this.#call.head.endpoint}: a message is cut off`));
  }

  drain(): void {
    this.#room.open();
  }

  closed(how: Http2End): void {
    if (this.#over !== undefined) return;
    const error = (this.#over = goneError(how));
    this.#room.close(error);
    if (how === "reset") this.#inbound.abort(error);
    else this.#inbound.end(error);
    this.#drop();
    this.#call.cancellation.cancel(error);
  }

  #unpacked(body: Uint8Array | undefined): Uint8Array | undefined {
    if (body === undefined || this.#packed?.has(body) !== true) return body;
    try {
      const encoding = this.#call.exchange.header("grpc-encoding");
      return unpack(body as Buffer, compressedFlag, encoding, this.#most);
    } catch (error) {
      const failure = fromUnknown(error, serverId);
      this.#broken(failure);
      throw failure;
    }
  }

  /** The handler hears of it, and so does the caller when the handler gives it up. */
  #broken(failure: MicroError): void {
    this.#inbound.end(failure);
    this.cancel(failure);
  }

  #keep(): boolean {
    const grown = (this.#reader?.held ?? 0) + this.#inbound.excess - this.#held;
    this.#held += grown;
    return this.#arriving.hold(grown);
  }

  /** A message that is not complete will not be. */
  #drop(): void {
    this.#reader = undefined;
    this.#keep();
  }

  /** Tells the client how it ended. */
  #finish(error: MicroError | undefined): void {
    if (this.#over !== undefined) return;
    this.#over = error ?? errors.invalidState(serverId, "the stream is over");
    this.#room.close(this.#over);
    this.#inbound.abort(this.#over);
    this.#drop();
    const { exchange } = this.#call;
    if (this.#sent) exchange.end(undefined, replyTrailers(this.#call.response, error));
    else sayEnd(exchange, this.#call.response, error);
  }
}
