import { errors, fromUnknown, type MicroError } from "../../errors.ts";
import type { IncomingCall, RawStream } from "../../protocol.ts";
import { Base64Reader } from "../../wire/grpc-web/body.ts";
import { frame, FrameReader, tooLarge } from "../../wire/grpc/frame.ts";
import { gzipFrame, isGzip, unpack } from "../../wire/grpc/gzip.ts";
import type { Headers } from "../../wire/http/browser.ts";
import { begin, incoming, unknownEndpoint, type WebCall } from "./web-call.ts";

const id = "go.micro.server";

/** How a protocol writes bodies of several messages. */
export interface Framing {
  /** Headers of the answer. */
  readonly headers: Headers;
  /** The answer's messages may be compressed. */
  readonly gzip: boolean;
  /** What the request says of itself; throws for what is malformed. `encoding`: of its messages. */
  asked(): { readonly timeout: number; readonly encoding: string | undefined };
  /** The last frame of the answer. */
  end(error: MicroError | undefined): { readonly flags: number; readonly body: Uint8Array };
  /** Both bodies are base64. */
  readonly base64: boolean;
}

/** The server's end of a stream, or of a unary call, whose messages are frames of one HTTP exchange. */
class FramedStream implements RawStream {
  readonly #call: WebCall;
  readonly #framing: Framing;
  /** Undefined when nothing more is read. */
  #reader: FrameReader | undefined;
  /** Messages of the piece that was read last. */
  #arrived: { readonly body: Buffer; readonly flags: number }[] = [];
  #taken = 0;
  /** Bytes of a message that was read, and waits for the end of the body. */
  #waiting = 0;
  readonly #text: Base64Reader | undefined;
  /** Of the request's messages. */
  encoding: string | undefined;
  #begun = false;
  #ended = false;
  #over: MicroError | undefined;
  #interrupt: ((reason: MicroError) => void) | undefined;

  constructor(call: WebCall, framing: Framing) {
    this.#call = call;
    this.#framing = framing;
    this.#text = framing.base64 ? new Base64Reader() : undefined;
    this.#reader = new FrameReader(call.maxMessageSize, (body, flags) => this.#arrived.push({ body, flags }));
  }

  async send(body: Uint8Array): Promise<void> {
    const { maxMessageSize, exchange } = this.#call;
    if (this.#over !== undefined) throw this.#over;
    if (this.#ended) throw errors.invalidState(id, "send after the end of the stream's own side");
    if (body.length > maxMessageSize) throw tooLarge(body.length, maxMessageSize);
    this.#begin();
    await exchange.write(this.#wire(this.#framing.gzip ? gzipFrame(body) : frame(body)));
  }

  end(): void {
    this.#ended = true;
  }

  /** Counts a message of `bytes` that was read until the body ends. */
  waits(bytes: number): void {
    this.#waiting = bytes;
    this.#keep();
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
    this.#reader = undefined;
    const { exchange } = this.#call;
    if (exchange.cancellation.reason !== undefined) return;
    const { flags, body } = this.#framing.end(error);
    this.#begin();
    exchange.end(this.#wire(frame(body, flags)));
  }

  #begin(): void {
    if (this.#begun) return;
    this.#begun = true;
    begin(this.#call, 200, this.#framing.headers);
  }

  #wire(message: Buffer): Buffer {
    return this.#text === undefined ? message : Buffer.from(message.toString("base64"), "latin1");
  }

  get #held(): number {
    return this.#reader?.held ?? 0;
  }

  /** The handler hears of what is too much, and so does the client. */
  #keep(): void {
    try {
      this.#call.exchange.keep?.(this.#held + this.#waiting);
    } catch (error) {
      const failure = fromUnknown(error, id);
      this.finish(failure);
      throw failure;
    }
  }

  async #next(): Promise<Uint8Array | undefined> {
    const { exchange, maxMessageSize } = this.#call;
    while (this.#reader !== undefined) {
      const message = this.#arrived[this.#taken];
      if (message !== undefined) {
        this.#taken++;
        return unpack(message.body, message.flags, this.encoding, maxMessageSize);
      }
      this.#arrived = [];
      this.#taken = 0;
      const chunk = await exchange.read();
      if (chunk !== undefined) {
        const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length);
        this.#reader?.push(this.#text === undefined ? bytes : this.#text.push(bytes));
        this.#keep();
        continue;
      }
      this.#text?.end();
      if (this.#held > 0) throw errors.badRequest(id, "the body ends inside of a message");
      return undefined;
    }
    return undefined;
  }
}

/** Answers a call of any kind over frames; a unary one has exactly one each way. Resolves when the client was told how it ended. */
export async function answerFramed(web: WebCall, framing: Framing): Promise<void> {
  const stream = new FramedStream(web, framing);
  let failure: MicroError | undefined;
  try {
    const { timeout, encoding } = framing.asked();
    const kind = web.calls.kindOf(web.target.endpoint);
    if (kind === undefined) throw unknownEndpoint(web.target.endpoint);
    isGzip(encoding);
    stream.encoding = encoding;
    const call = incoming(web, kind, timeout);
    failure = kind === "unary" ? await unary(web, stream, call) : await web.calls.stream(call, stream);
  } catch (error) {
    failure = fromUnknown(error, id);
  }
  stream.finish(failure);
}

async function unary(web: WebCall, stream: FramedStream, call: IncomingCall): Promise<MicroError | undefined> {
  web.exchange.arriveBy?.(call.head.deadline);
  const request = await stream.read();
  stream.waits(request?.length ?? 0);
  if (request === undefined || (await stream.read()) !== undefined)
    throw errors.badRequest(id, `${call.head.endpoint} is unary: it takes one message`);
  web.exchange.keep?.(0);
  const { body, error } = await web.calls.unary(call, request);
  if (error === undefined) await stream.send(body);
  return error;
}
