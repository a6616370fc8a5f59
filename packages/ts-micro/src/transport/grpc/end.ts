import {
  http2Codes,
  type Http2AnswerEvents,
  type Http2End,
  type Http2Headers,
  type Http2Stream,
} from "../../backends/http2.ts";
import { errors, fromUnknown, type MicroError } from "../../errors.ts";
import { Room } from "../../internal/room.ts";
import type { Connection, Message, Receiver } from "../../transport.ts";
import { FrameReader, frame } from "../../wire/grpc/frame.ts";
import { unpack } from "../../wire/grpc/gzip.ts";
import { decodeTransportMessage, encodeTransportMessage } from "../../wire/grpc/transport-message.ts";

export const id = "ts.micro.transport.grpc";
/** What a message's header may take beside its body, in bytes. */
const headerRoom = 1 << 20;

/** One end of a stream of messages; the stream is the connection (wire spec §4.9). */
export abstract class GrpcEnd implements Connection, Http2AnswerEvents {
  abstract readonly local: string;
  abstract readonly remote: string;
  readonly #maxBody: number;
  readonly #reader: FrameReader;
  readonly #room = new Room();
  #receiver: Receiver | undefined;
  #inbox: Message[] = [];
  #encoding: string | undefined;
  #paused = false;
  #ended: MicroError | undefined;
  protected over = false;

  constructor(maxBody: number, encoding?: string) {
    this.#maxBody = maxBody;
    this.#encoding = encoding;
    const most = maxBody + headerRoom;
    this.#reader = new FrameReader(most, (body, flags) => {
      this.#inbox.push(decodeTransportMessage(unpack(body, flags, this.#encoding, most)));
    });
  }

  protected abstract stream(): Http2Stream;
  /** Says that nothing more comes from here. */
  protected abstract finish(): void;
  protected abstract left(): void;
  protected received(): void {}

  get alive(): boolean {
    return !this.over && this.#ended === undefined && this.#inbox.length === 0;
  }

  receive(receiver: Receiver): void {
    this.#receiver = receiver;
    // In the turn that it was given: what has come before is told after it.
    queueMicrotask(() => this.#deliver());
  }

  send({ header, body }: Message): Promise<void> {
    if (this.over || this.#ended !== undefined) return Promise.reject(this.#gone());
    if (body.length > this.#maxBody)
      return Promise.reject(errors.payloadTooLarge(id, `body of ${body.length} bytes, at most ${this.#maxBody}`));
    return this.stream().write(frame(encodeTransportMessage(header, body))) ? Promise.resolve() : this.#room.wait();
  }

  pause(): void {
    this.#paused = true;
    this.stream().pause();
  }

  resume(): void {
    this.#paused = false;
    this.#deliver();
    if (!this.#paused && !this.over) this.stream().resume();
  }

  abstract release(): void;
  abstract busy(yes: boolean): void;

  close(): void {
    if (this.over) return;
    this.finish();
    this.#leave();
  }

  destroy(): void {
    if (this.over) return;
    this.stream().reset(http2Codes.cancel);
    this.#leave();
  }

  /** Ends it for a reason of the transport's own: the receiver is told. */
  lose(why: string): void {
    this.#end(why);
    if (!this.over) this.stream().reset(http2Codes.cancel);
  }

  /** The former user's hands are off. */
  protected forget(): void {
    this.#receiver = undefined;
    if (this.#paused) this.resume();
  }

  head(headers: Http2Headers): void {
    this.#encoding = headers["grpc-encoding"];
    const status = headers["grpc-status"];
    if (headers[":status"] !== "200" || (status !== undefined && status !== "0"))
      this.#end(
        `${this.remote} has no grpc transport: ${headers["grpc-message"] ?? `HTTP status ${headers[":status"]}`}`,
      );
  }

  trailers(): void {}

  data(chunk: Buffer): void {
    if (this.over) return;
    try {
      this.#reader.push(chunk);
    } catch (error) {
      const { detail } = fromUnknown(error, id);
      this.stream().reset(http2Codes.cancel);
      return this.#end(detail);
    }
    this.#deliver();
  }

  ended(): void {
    this.#end(`${this.remote} closed the connection`);
  }

  drain(): void {
    this.#room.open();
  }

  closed(how: Http2End): void {
    if (how !== "complete" && this.#paused) {
      // What waited for a paused reader is lost with its connection.
      this.#paused = false;
      this.#inbox = [];
    }
    this.#end(how === "lost" ? "the connection was lost" : `${this.remote} closed the connection`);
  }

  #deliver(): void {
    while (!this.#paused && !this.over && this.#receiver !== undefined) {
      const message = this.#inbox.shift();
      if (message === undefined) {
        if (this.#ended !== undefined) this.#tell();
        return;
      }
      this.received();
      this.#receiver.message(message);
    }
    if (this.#receiver === undefined) this.unasked();
  }

  /** Something came while nobody uses it. */
  protected unasked(): void {}

  #end(why: string): void {
    if (this.over) return;
    if (this.#ended !== undefined) return this.#deliver();
    this.#ended = errors.connectionLost(id, why);
    this.#room.close(this.#ended);
    this.#deliver();
  }

  /** The other end is gone, and all it said was told. */
  #tell(): void {
    const receiver = this.#receiver;
    this.finish();
    this.#leave();
    receiver?.closed(this.#gone());
  }

  #leave(): void {
    this.over = true;
    this.#receiver = undefined;
    this.#inbox = [];
    this.#room.close(this.#gone());
    this.left();
  }

  #gone(): MicroError {
    return this.#ended ?? errors.connectionLost(id, "the connection is closed");
  }
}
