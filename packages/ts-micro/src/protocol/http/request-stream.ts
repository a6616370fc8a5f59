import type { ClientRequest, IncomingMessage, OutgoingHttpHeaders } from "node:http";
import { MicroError, errors, fromUnknown } from "../../errors.ts";
import { MessageQueue } from "../../internal/message-queue.ts";
import { Metadata } from "../../metadata.ts";
import type { CallHead, RawStream } from "../../protocol.ts";
import { decodeError } from "../../wire/error.ts";
import { H } from "../../wire/headers.ts";
import { clientId, headersOf } from "./headers.ts";
import { LineReader, lineOf } from "./lines.ts";
import type { HttpPeer } from "./peer.ts";
import { Exchange } from "./request.ts";

const lines = "application/x-ndjson";

interface Waiting {
  readonly body: Uint8Array;
  resolve(room: Promise<void>): void;
  reject(error: MicroError): void;
}

/** The client's end of a stream: messages one a line, either way; the one request of a `server` stream is the body. */
export class HttpStream extends Exchange implements RawStream {
  readonly #inbound: MessageQueue;
  readonly #lines: LineReader;
  readonly #told: ((error: MicroError | undefined) => void) | undefined;
  #response: IncomingMessage | undefined;
  /** Sends from before there was a request. */
  #waiting: Waiting[] = [];
  #ended = false;
  #error: MicroError | undefined;

  constructor(peer: HttpPeer, head: CallHead, told: ((error: MicroError | undefined) => void) | undefined) {
    super(peer, head);
    this.#told = told;
    this.#lines = new LineReader(peer.settings.maxBody, true);
    this.#inbound = new MessageQueue(
      () => this.#response?.pause(),
      () => this.#response?.resume(),
    );
  }

  send(body: Uint8Array): Promise<void> {
    if (this.over) return Promise.reject(this.#tooLate());
    if (this.#ended)
      return Promise.reject(errors.invalidState(clientId, "send after the end of the stream's own side"));
    if (this.head.kind === "server") this.#ended = true;
    if (this.request !== undefined && this.sent) return this.#write(this.request, body);
    return new Promise((resolve, reject) => this.#waiting.push({ body, resolve, reject }));
  }

  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    if (!this.over && this.sent) this.request?.end();
  }

  read(): Promise<Uint8Array | undefined> {
    return this.#inbound.read();
  }

  cancel(reason: MicroError): void {
    this.give(reason);
    this.#inbound.abort(reason);
  }

  protected headers(): OutgoingHttpHeaders {
    const { contentType, kind } = this.head;
    if (contentType !== "application/json")
      throw errors.unsupported(clientId, `unsupported Content-Type for streams over HTTP: ${contentType}`);
    return {
      "content-type": kind === "server" ? contentType : lines,
      accept: lines,
      te: "trailers",
      connection: "keep-alive, te",
    };
  }

  protected write(request: ClientRequest): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    if (this.head.kind !== "server") request.flushHeaders();
    for (const each of waiting) each.resolve(this.#write(request, each.body));
    if (this.#ended) request.end();
  }

  protected answered(response: IncomingMessage): void {
    this.#response = response;
    response
      .on("data", (chunk: Buffer) => this.#take(() => this.#lines.push(chunk)))
      .on("end", () => {
        const text = response.trailers[H.error.toLowerCase()];
        if (!response.complete) return;
        this.#take(() => this.#lines.end());
        this.head.listener?.trailer(Metadata.from(headersOf(response.trailers)));
        if (text === undefined) return this.#done(undefined);
        const error = decodeError(Buffer.from(text, "latin1").toString());
        error.layer = "remote";
        this.#done(error);
      })
      .on("error", (error) =>
        this.give(errors.connectionLost(clientId, `${this.peer.node.address}: ${error.message}`, error)),
      );
  }

  protected failed(error: MicroError): void {
    this.#finish(error);
  }

  #write(request: ClientRequest, body: Uint8Array): Promise<void> {
    if (this.head.kind === "server") {
      request.end(body);
      return Promise.resolve();
    }
    // It will tell of no room any more.
    if (request.destroyed) return Promise.reject(this.#tooLate());
    if (request.write(lineOf(body))) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const done = (): void => {
        request.off("drain", done).off("close", done);
        if (this.over) reject(this.#tooLate());
        else resolve();
      };
      request.on("drain", done).on("close", done);
    });
  }

  #take(messages: () => Buffer[]): void {
    try {
      for (const message of messages()) this.#inbound.push(message);
    } catch (error) {
      this.give(fromUnknown(error, clientId));
    }
  }

  /** The answer is complete. */
  #done(error: MicroError | undefined): void {
    if (this.over) return;
    this.settle();
    // The server has said all it will; what we still had to say nobody reads.
    if (!this.#ended) this.request?.end();
    this.#finish(error);
  }

  #finish(error: MicroError | undefined): void {
    this.#error = error;
    this.#inbound.end(error);
    this.#told?.(error);
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const each of waiting) each.reject(this.#tooLate());
  }

  #tooLate(): MicroError {
    return this.#error ?? errors.invalidState(clientId, "the peer has ended the stream");
  }
}
