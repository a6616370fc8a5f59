import type { Kind } from "../../context.ts";
import { errors, fromUnknown, type MicroError } from "../../errors.ts";
import type { IncomingCall, RawStream } from "../../protocol.ts";
import { compressed, encodeEnvelope, EnvelopeReader, tooLong } from "../../wire/http/envelope.ts";
import type { Headers } from "../../wire/http/browser.ts";
import { gunzip, gzip, worthwhile } from "./gzip.ts";
import { begin, incoming, type WebCall } from "./web-call.ts";

const id = "go.micro.server";

/** How a protocol writes bodies of several messages. */
export interface Framing {
  /** Headers of the answer. */
  readonly headers: Headers;
  /** The request's messages may be compressed with gzip, and the answer's. */
  readonly gunzip: boolean;
  readonly gzip: boolean;
  /** The last frame of the answer. */
  end(error: MicroError | undefined): { readonly flags: number; readonly body: Uint8Array };
  /** Pieces of the request's body as bytes, `undefined` for its end. */
  unwrap(chunk: Uint8Array | undefined): Uint8Array;
  /** A frame of the answer as it goes on the wire. */
  wrap(frame: Uint8Array): Uint8Array;
}

/** The server's end of a stream, or of a unary call, whose messages are frames of one HTTP exchange. */
export class FramedStream implements RawStream {
  readonly #call: WebCall;
  readonly #framing: Framing;
  readonly #reader: EnvelopeReader;
  #begun = false;
  #ended = false;
  #over: MicroError | undefined;
  #interrupt: ((reason: MicroError) => void) | undefined;

  constructor(call: WebCall, framing: Framing) {
    this.#call = call;
    this.#framing = framing;
    this.#reader = new EnvelopeReader(call.maxMessageSize);
  }

  async send(body: Uint8Array): Promise<void> {
    const { maxMessageSize, exchange } = this.#call;
    if (this.#over !== undefined) throw this.#over;
    if (this.#ended) throw errors.invalidState(id, "send after the end of the stream's own side");
    if (body.length > maxMessageSize) throw tooLong(body.length, maxMessageSize);
    const small = !this.#framing.gzip || body.length < worthwhile;
    const frame = small ? encodeEnvelope(0, body) : encodeEnvelope(compressed, await gzip(body));
    // While it was compressed the stream may have ended.
    if (this.#over !== undefined) throw this.#over;
    this.#begin();
    await exchange.write(this.#framing.wrap(frame));
  }

  end(): void {
    this.#ended = true;
  }

  read(): Promise<Uint8Array | undefined> {
    return new Promise((resolve, reject) => {
      if (this.#over !== undefined) return reject(this.#over);
      this.#interrupt = reject;
      this.#next().then(resolve, reject);
    });
  }

  cancel(reason: MicroError): void {
    this.finish(reason);
  }

  /** Tells the client how it ended. */
  finish(error: MicroError | undefined): void {
    if (this.#over !== undefined) return;
    this.#over = error ?? errors.invalidState(id, "the stream is over");
    this.#interrupt?.(this.#over);
    const { exchange } = this.#call;
    if (exchange.cancellation.reason !== undefined) return;
    const { flags, body } = this.#framing.end(error);
    this.#begin();
    exchange.end(this.#framing.wrap(encodeEnvelope(flags, body)));
  }

  #begin(): void {
    if (this.#begun) return;
    this.#begun = true;
    begin(this.#call, 200, this.#framing.headers);
  }

  async #next(): Promise<Uint8Array | undefined> {
    for (;;) {
      const message = this.#reader.next();
      if (message !== undefined) {
        if (message.flags === 0) return message.body;
        if (message.flags !== compressed) throw errors.badRequest(id, `a message with flags ${message.flags}`);
        if (!this.#framing.gunzip) throw errors.badRequest(id, "a compressed message without an encoding");
        return await gunzip(message.body, this.#call.maxMessageSize);
      }
      const chunk = await this.#call.exchange.read();
      this.#reader.push(this.#framing.unwrap(chunk));
      if (chunk === undefined) {
        this.#reader.end();
        return undefined;
      }
    }
  }
}

/** Runs a call of any kind over frames; a unary one has exactly one each way. Resolves when the client was told how it ended. */
export async function runFramed(web: WebCall, stream: FramedStream, kind: Kind, timeout: number): Promise<void> {
  const { call, done } = incoming(web, kind, timeout);
  let failure: MicroError | undefined;
  try {
    failure = kind === "unary" ? await unary(web, stream, call) : await web.calls.stream(call, stream);
  } catch (error) {
    failure = fromUnknown(error, id);
  }
  done();
  stream.finish(failure);
}

async function unary(web: WebCall, stream: FramedStream, call: IncomingCall): Promise<MicroError | undefined> {
  const request = await stream.read();
  if (request === undefined || (await stream.read()) !== undefined)
    throw errors.badRequest(id, `${call.head.endpoint} is unary: it takes one message`);
  const { body, error } = await web.calls.unary(call, request);
  if (error === undefined) await stream.send(body);
  return error;
}
