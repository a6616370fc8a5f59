import { Cancellation } from "../../context.ts";
import { errors, type MicroError } from "../../errors.ts";
import type { Arrival, Arriving } from "../../internal/arriving.ts";
import { MessageQueue } from "../../internal/message-queue.ts";
import { readAll } from "../../internal/read-all.ts";
import { Room } from "../../internal/room.ts";
import type { HttpExchange } from "../../server.ts";
import { headerText } from "../../wire/http/text.ts";
import { canonicalHeader } from "../../wire/http1/names.ts";
import { http2Codes, type Http2End, type Http2Events, type Http2Exchange, type Http2Headers } from "../http2.ts";

const id = "ts.micro.http2";
/** Bytes of an answer that may wait for a slow reader before `write` holds its caller back. */
const most = 64 * 1024;

/** A plain HTTP request on an HTTP/2 stream, received as soon as it is made. */
export class RouteExchange implements HttpExchange, Http2Events, Arrival {
  readonly method: string;
  readonly path: string;
  readonly query: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly local: string;
  readonly remote: string;
  readonly cancellation: Cancellation = new Cancellation();
  /** Of its body, where that is wanted as a whole. */
  deadline: number = Infinity;
  readonly #exchange: Http2Exchange;
  readonly #arriving: Arriving;
  readonly #body: MessageQueue;
  readonly #room = new Room();
  #kept = 0;
  #began = false;
  #over: MicroError | undefined;

  constructor(exchange: Http2Exchange, arriving: Arriving) {
    const { headers } = exchange;
    const target = headers[":path"] ?? "";
    const at = target.indexOf("?");
    this.#exchange = exchange;
    this.#arriving = arriving;
    this.method = headers[":method"] ?? "";
    this.path = at < 0 ? target : target.slice(0, at);
    this.query = at < 0 ? "" : target.slice(at + 1);
    this.headers = plainHeaders(headers);
    this.local = exchange.local;
    this.remote = exchange.remote;
    this.#body = new MessageQueue(
      () => exchange.pause(),
      () => exchange.resume(),
    );
    exchange.receive(this);
  }

  /** The answer has begun. */
  get begun(): boolean {
    return this.#began;
  }

  read(): Promise<Uint8Array | undefined> {
    return this.#body.read();
  }

  async readAll(limit: number): Promise<Buffer> {
    this.arriveBy(this.deadline);
    try {
      return await readAll(this, limit, id, (bytes) => this.keep(this.#kept + bytes));
    } finally {
      this.#settled();
    }
  }

  arriveBy(deadline: number): void {
    const { clock, limit } = this.#arriving;
    this.deadline = Math.min(deadline, clock.now() + limit);
    if (!this.#body.over) this.#arriving.add(this);
  }

  keep(bytes: number): void {
    if (this.#over !== undefined) return;
    const grown = bytes - this.#kept;
    this.#kept = bytes;
    if (!this.#arriving.hold(grown) && grown > 0)
      throw errors.resourceExhausted(id, "too many unfinished requests are kept already");
  }

  expire(): void {
    this.#arriving.delete(this);
    this.#body.end(errors.timeout(id, "the request did not arrive in time"));
  }

  head(status: number, headers: Readonly<Record<string, string>>): void {
    if (this.#began || this.#over !== undefined) return;
    this.#began = true;
    this.#exchange.respond({ ":status": String(status), ...responseHeaders(headers) });
  }

  write(chunk: Uint8Array): Promise<void> {
    if (this.#over !== undefined) return Promise.reject(this.#over);
    if (!this.#began) return Promise.reject(errors.invalidState(id, "write before the head of the answer"));
    this.#exchange.write(chunk);
    if (this.#exchange.backlog <= most) return Promise.resolve();
    return this.#room.wait();
  }

  end(chunk?: Uint8Array, trailers?: Readonly<Record<string, string>>): void {
    if (this.#over !== undefined) return;
    if (!this.#began) this.head(200, {});
    this.#settled();
    this.#over = errors.invalidState(id, "the answer has ended");
    this.#room.open();
    this.#exchange.end(chunk, trailers === undefined ? undefined : responseHeaders(trailers));
  }

  abort(): void {
    if (this.#over !== undefined) return;
    this.#fail(errors.connectionLost(id, "the answer was cut off"));
    this.#exchange.reset(http2Codes.internal);
  }

  data(chunk: Buffer): void {
    this.#body.push(chunk);
  }

  ended(): void {
    this.#arriving.delete(this);
    this.#body.end();
  }

  drain(): void {
    this.#room.open();
  }

  closed(how: Http2End): void {
    const error = errors.connectionLost(id, how === "lost" ? "the connection was lost" : "the client gave up");
    this.#fail(error);
    if (how !== "complete") this.cancellation.cancel(error);
  }

  #settled(): void {
    this.#arriving.delete(this);
    this.keep(0);
  }

  #fail(error: MicroError): void {
    this.#settled();
    this.#body.end(error);
    this.#over ??= error;
    this.#room.close(this.#over);
  }
}

/** Headers of a connection, which HTTP/2 has not (RFC 9113 §8.2.2). */
const connection = new Set(["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"]);

function plainHeaders(headers: Http2Headers): Record<string, string> {
  const out = Object.create(null) as Record<string, string>;
  for (const name in headers) if (!name.startsWith(":")) out[name] = headers[name] as string;
  if (out["host"] === undefined && headers[":authority"] !== undefined) out["host"] = headers[":authority"];
  return out;
}

function responseHeaders(headers: Readonly<Record<string, string>>): Record<string, string> {
  const out: Record<string, string> = {};
  for (const name in headers) {
    const lower = name.toLowerCase();
    if (!connection.has(lower) && canonicalHeader(lower) !== undefined)
      out[lower] = headerText(headers[name] as string);
  }
  return out;
}
