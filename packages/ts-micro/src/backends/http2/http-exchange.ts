import { Cancellation } from "../../context.ts";
import { errors, fromUnknown, type MicroError } from "../../errors.ts";
import { MessageQueue } from "../../internal/message-queue.ts";
import { Room } from "../../internal/room.ts";
import type { HttpExchange, HttpRoute } from "../../server.ts";
import { http2Codes, type Http2End, type Http2Events, type Http2Exchange, type Http2Headers } from "../http2.ts";

const id = "ts.micro.http2";
/** Bytes of an answer that may wait for a slow reader before `write` holds its caller back. */
const most = 64 * 1024;

/** Gives a request to the first route that wants it; 404 without one, 405 for a CONNECT or a request without a path. */
export function serveRoutes(exchange: Http2Exchange, routes: readonly HttpRoute[]): void {
  const one = new Exchange(exchange);
  exchange.receive(one);
  const { method, path, headers } = one;
  if (path === "" || method === "CONNECT") return one.plain(405, "method not allowed");
  let route: HttpRoute | undefined;
  try {
    route = routes.find((each) => each.match(method, path, headers));
  } catch (error) {
    return one.failed(fromUnknown(error, id));
  }
  if (route === undefined) return one.plain(404, "not found");
  try {
    route.handle(one).catch((error: unknown) => one.failed(fromUnknown(error, id)));
  } catch (error) {
    one.failed(fromUnknown(error, id));
  }
}

/** A plain HTTP request on an HTTP/2 stream. */
class Exchange implements HttpExchange, Http2Events {
  readonly method: string;
  readonly path: string;
  readonly query: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly local: string;
  readonly remote: string;
  readonly cancellation: Cancellation = new Cancellation();
  readonly #exchange: Http2Exchange;
  readonly #body: MessageQueue;
  readonly #room = new Room();
  #began = false;
  #over: MicroError | undefined;

  constructor(exchange: Http2Exchange) {
    const { headers } = exchange;
    const target = headers[":path"] ?? "";
    const at = target.indexOf("?");
    this.#exchange = exchange;
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
  }

  read(): Promise<Uint8Array | undefined> {
    return this.#body.read();
  }

  async readAll(limit: number): Promise<Uint8Array> {
    const chunks: Uint8Array[] = [];
    let length = 0;
    for (let chunk = await this.read(); chunk !== undefined; chunk = await this.read()) {
      length += chunk.length;
      if (length > limit) throw errors.payloadTooLarge(id, `the body is larger than ${limit} bytes`);
      chunks.push(chunk);
    }
    return Buffer.concat(chunks, length);
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
    this.#over = errors.invalidState(id, "the answer has ended");
    this.#room.open();
    this.#exchange.end(chunk, trailers === undefined ? undefined : responseHeaders(trailers));
  }

  abort(): void {
    if (this.#over !== undefined) return;
    this.#fail(errors.connectionLost(id, "the answer was cut off"));
    this.#exchange.reset(http2Codes.internal);
  }

  /** The whole answer, when none has begun; else it is cut off. */
  plain(status: number, text: string): void {
    if (this.#began) return this.abort();
    const body = Buffer.from(`${text}\n`);
    this.head(status, { "content-type": "text/plain; charset=utf-8", "content-length": String(body.length) });
    this.end(body);
  }

  failed(error: MicroError): void {
    const { status } = error;
    this.plain(status >= 400 && status < 600 ? status : 500, error.detail);
  }

  data(chunk: Buffer): void {
    this.#body.push(chunk);
  }

  ended(): void {
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

  #fail(error: MicroError): void {
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
    if (!connection.has(lower)) out[lower] = headers[name] as string;
  }
  return out;
}
