import { Cancellation } from "../../context.ts";
import { errors, fromUnknown, type MicroError } from "../../errors.ts";
import { MessageQueue } from "../../internal/message-queue.ts";
import { ResponseMetadata } from "../../metadata.ts";
import type { RawStream } from "../../protocol.ts";
import type { Connection, Message } from "../../transport.ts";
import { decodeError } from "../../wire/error.ts";
import { H } from "../../wire/headers.ts";
import { addHeader } from "./added.ts";
import { replyBody } from "./bodies.ts";
import { isEnd, type Header } from "./headers.ts";
import { streamEnd, streamHeader, type Origin } from "./reply.ts";

const id = "go.micro.server";

/** The server's end of a stream (wire spec §3.2). */
export class ServerStream implements RawStream {
  readonly cancellation: Cancellation = new Cancellation();
  readonly response: ResponseMetadata = new ResponseMetadata();
  readonly origin: Origin;
  readonly #connection: Connection;
  readonly #header: Header;
  readonly #inbound: MessageQueue;
  #sent = false;
  #ended = false;
  /** Why it is over; a clean end has an error too, for those who send after it. */
  #over: MicroError | undefined;

  /** `stop` and `go`: the inbound queue is full, has room again. */
  constructor(connection: Connection, origin: Origin, stop: () => void, go: () => void) {
    this.#connection = connection;
    this.origin = origin;
    this.#header = streamHeader(origin);
    this.#inbound = new MessageQueue(stop, go, { messages: 128 });
  }

  send(body: Uint8Array): Promise<void> {
    if (this.#over !== undefined) return Promise.reject(this.#over);
    if (this.#ended) return Promise.reject(errors.invalidState(id, "send after the end of the stream's own side"));
    const header = this.#sent ? this.#header : addHeader(streamHeader(this.origin), this.response);
    this.#sent = true;
    return this.#connection.send({ header, body: replyBody(this.origin.codecType, body) });
  }

  /** The end is told when the handler is done: until then it may still fail, and mucp has one last message for both. */
  end(): void {
    this.#ended = true;
  }

  read(): Promise<Uint8Array | undefined> {
    return this.#inbound.read();
  }

  cancel(reason: MicroError): void {
    void this.finish(reason);
    this.cancellation.cancel(reason);
  }

  /** A message of the client. */
  deliver(message: Message): void {
    const text = message.header[H.error];
    if (!text) this.#inbound.push(message.body);
    else if (isEnd(message)) this.#inbound.end();
    // Go's Recv returns it once and the stream goes on.
    else this.#inbound.push(decodeError(text));
  }

  /** The client is gone. */
  lost(error: MicroError): void {
    this.#over ??= error;
    this.#inbound.end(error);
    this.cancellation.cancel(error);
  }

  /** Tells the client how it ended. Resolves when there is room for more. */
  async finish(error: MicroError | undefined): Promise<void> {
    if (this.#over !== undefined) return;
    this.#over = error ?? errors.invalidState(id, "the stream is over");
    this.#inbound.abort(this.#over);
    try {
      await this.#connection.send(streamEnd(this.origin, error, !this.#sent, this.response));
    } catch (failure) {
      // A peer that cannot be told will see the connection end.
      if (fromUnknown(failure).code !== "CONNECTION_LOST") this.#connection.destroy();
    }
  }
}
