import type { IncomingHttpHeaders, ServerHttp2Stream } from "node:http2";
import { http2Codes, type Http2Events, type Http2Exchange, type Http2Headers } from "../../http2.ts";
import type { NodeConnection } from "./connection.ts";
import { NodeStream, fromNode, textOf } from "./stream.ts";

const withTrailers = { waitForTrailers: true, sendDate: false };
const headOnly = { endStream: true, sendDate: false };

/** A request and its answer on node:http2. */
export class NodeExchange extends NodeStream implements Http2Exchange {
  readonly #headers: IncomingHttpHeaders;
  #plain: Http2Headers | undefined;
  readonly #connection: NodeConnection;
  readonly #bodiless: boolean;
  #trailers: Http2Headers | undefined;
  /** We gave it up, or have said all. */
  #done = false;
  #reset = false;

  constructor(connection: NodeConnection, stream: ServerHttp2Stream, headers: IncomingHttpHeaders, bodiless: boolean) {
    super(stream);
    this.#connection = connection;
    this.#headers = headers;
    this.#bodiless = bodiless;
  }

  get headers(): Http2Headers {
    return (this.#plain ??= fromNode(this.#headers));
  }

  header(name: string): string | undefined {
    if (this.#plain !== undefined) return this.#plain[name];
    const value = this.#headers[name];
    return value === undefined ? undefined : textOf(value);
  }

  get local(): string {
    return this.#connection.local;
  }

  get remote(): string {
    return this.#connection.remote;
  }

  receive(events: Http2Events): void {
    this.events = events;
    if (!this.#bodiless) return this.read();
    this.stream.resume();
    this.over();
  }

  respond(headers: Http2Headers): void {
    if (this.#closed()) return;
    (this.stream as ServerHttp2Stream).respond(headers, withTrailers);
  }

  answer(headers: Http2Headers): void {
    if (this.#closed()) return;
    this.#done = true;
    (this.stream as ServerHttp2Stream).respond(headers, headOnly);
    this.#stopPeer();
  }

  end(chunk: Uint8Array | undefined, trailers: Http2Headers | undefined): void {
    this.#done = true;
    if (this.#closed()) return;
    this.#trailers = trailers;
    this.stream.end(chunk);
  }

  override reset(code: number): void {
    this.#reset = true;
    super.reset(code);
  }

  head(): void {}

  trailers(): void {}

  sendTrailers(): void {
    this.stream.sendTrailers(this.#trailers ?? none);
    this.#stopPeer();
  }

  /** node:http2 ends what a reset with NO_ERROR has cut off as if it were whole, once all that came before is read. */
  aborted(): void {
    this.leave();
    this.stream.resume();
  }

  protected gone(): void {
    const code = this.stream.rstCode ?? http2Codes.none;
    const complete = this.#done && code === http2Codes.none;
    const { lost } = this.#connection;
    this.events?.closed(complete ? "complete" : lost && !this.#reset ? "lost" : "reset", code);
    this.events = undefined;
    this.#connection.over(!complete && !this.#reset && !lost);
  }

  #closed(): boolean {
    return this.stream.closed || this.stream.destroyed;
  }

  /** The answer is complete and the request is not: nobody reads the rest. After the trailers, which leave in an immediate. */
  #stopPeer(): void {
    if (this.ended) return;
    setImmediate(() => {
      if (this.ended || this.#closed()) return;
      this.stream.close(http2Codes.none);
      this.stream.resume();
    });
  }
}

const none: Http2Headers = {};
