import type { Cancellation, Kind } from "../../context.ts";
import { MicroError, errors, fromUnknown } from "../../errors.ts";
import type { ResponseMetadata } from "../../metadata.ts";
import type { RawStream } from "../../protocol.ts";
import type { HttpExchange } from "../../server.ts";
import { added } from "../../wire/added.ts";
import { encodeError, errorText } from "../../wire/error.ts";
import type { Headers } from "../../wire/http/browser.ts";
import { H } from "../../wire/headers.ts";
import { refuse } from "../common/routes.ts";
import { addedTo, id } from "./headers.ts";
import { LineReader, lineOf } from "./lines.ts";

/** Longest text of an error in a trailer, in characters: of the 64 KiB that clients read, a handler may have taken 16 before. */
const longest = 15 * 1024;

export interface ExchangeStreamInit {
  readonly exchange: HttpExchange;
  readonly kind: Kind;
  /** Cancelled when the client has gone, or this end gives up. */
  readonly cancellation: Cancellation;
  /** Server-sent events instead of lines. */
  readonly events: boolean;
  readonly maxBody: number;
  /** The client is one of ours. */
  readonly ours: boolean;
  readonly response: ResponseMetadata;
  /** Further headers of the answer. */
  readonly answer: (headers: Headers) => Headers;
}

/** A stream over one HTTP exchange: messages one a line, either way; the one request of a `server` stream is the body. */
export class ExchangeStream implements RawStream {
  readonly #init: ExchangeStreamInit;
  readonly #lines: LineReader;
  /** The client takes trailers. */
  readonly #trailers: boolean;
  /** Messages of the piece that was read last. */
  #read: Buffer[] = [];
  #next = 0;
  #more = true;
  #begun = false;
  #finished = false;
  #ended = false;
  #over: MicroError | undefined;

  constructor(init: ExchangeStreamInit) {
    this.#init = init;
    this.#lines = new LineReader(init.maxBody, init.ours);
    this.#trailers = init.exchange.headers["te"]?.includes("trailers") === true;
    init.cancellation.onCancel((reason) => (this.#over ??= reason));
  }

  async send(body: Uint8Array): Promise<void> {
    if (this.#over !== undefined) throw this.#over;
    if (this.#ended) throw errors.invalidState(id, "send after the end of the stream's own side");
    const { exchange, events } = this.#init;
    this.#begin();
    const line = lineOf(body);
    await exchange.write(events ? Buffer.concat([data, line, lf]) : line);
  }

  end(): void {
    this.#ended = true;
  }

  async read(): Promise<Uint8Array | undefined> {
    const { exchange, kind, maxBody } = this.#init;
    if (kind === "server" && this.#more) {
      this.#more = false;
      return exchange.readAll(maxBody);
    }
    while (this.#next === this.#read.length && this.#more) {
      const chunk = await exchange.read();
      this.#more = chunk !== undefined;
      this.#read = chunk === undefined ? this.#lines.end() : this.#lines.push(chunk);
      this.#next = 0;
      this.#keep();
    }
    if (this.#over !== undefined) throw this.#over;
    // A piece may be a megabyte of short ones: taking each out of the array's front would move all others.
    return this.#read[this.#next++];
  }

  cancel(reason: MicroError): void {
    this.finish(reason);
    this.#init.cancellation.cancel(reason);
  }

  /** Tells the client how it ended: by a status if nothing was sent, else by a trailer to those who take one, and a last event or line to others. */
  finish(error: MicroError | undefined): void {
    if (this.#finished) return;
    const { response } = this.#init;
    const given = added(response.givenTrailer);
    const trailers = Object.keys(given).length > 0 ? given : undefined;
    this.#finished = true;
    this.#over = error ?? errors.invalidState(id, "the stream is over");
    const { exchange, events, answer } = this.#init;
    if (error === undefined) {
      this.#begin();
      return exchange.end(undefined, trailers);
    }
    if (!this.#begun) {
      const more = addedTo(response);
      return refuse(exchange, error, { ...more, ...answer(more) });
    }
    if (this.#trailers && !events) return exchange.end(undefined, { ...given, [H.error]: errorText(error, longest) });
    const text = encodeError(error);
    const json = text.startsWith("{") ? text : JSON.stringify({ detail: text });
    const last = events ? `event: error\ndata: ${json}\n\n` : `{"error":${json}}\n`;
    exchange.end(Buffer.from(last), trailers);
  }

  #keep(): void {
    try {
      this.#init.exchange.keep?.(this.#lines.held);
    } catch (error) {
      this.#more = false;
      this.#lines.end();
      this.cancel(fromUnknown(error, id));
    }
  }

  #begin(): void {
    const { exchange, events, answer } = this.#init;
    if (this.#begun) return;
    this.#begun = true;
    const headers = {
      ...added(this.#init.response.givenHeader),
      "content-type": events ? "text/event-stream" : "application/x-ndjson",
      "cache-control": "no-cache",
      // Proxies of the nginx family would gather messages otherwise.
      "x-accel-buffering": "no",
      ...(events || !this.#trailers ? {} : { trailer: H.error }),
    };
    exchange.head(200, { ...headers, ...answer(headers) });
  }
}

const data = Buffer.from("data: ");
const lf = Buffer.from("\n");
