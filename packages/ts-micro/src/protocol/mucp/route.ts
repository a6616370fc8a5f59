import { errors } from "../../errors.ts";
import type { CallHandler } from "../../protocol.ts";
import type { HttpExchange, HttpRoute } from "../../server.ts";
import type { Connection, Message, Receiver, Wants } from "../../transport.ts";
import { canonicalName, H } from "../../wire/headers.ts";
import { headerValue } from "../../wire/http1/headers.ts";
import { emptyHeader, lookup } from "./headers.ts";
import { originOf, unaryError } from "./reply.ts";

const id = "go.micro.server";
/** Largest body of a request, in bytes; the same as on connections of its own. */
const maxBody = 4 << 20;
/** What only mucp says, under its name or with `X-` before it. */
const telling = [H.endpoint, H.method, H.topic, H.stream, H.service, H.target, H.protocol, H.id];
const names = new Set(telling.flatMap((name) => [name, `X-${name}`]));
const lower = [...names].map((name) => name.toLowerCase());

/**
 * Whether a request is mucp. Go clients say so by a header, since 2018 or so; those before them `POST /` an envelope that names the endpoint
 * (wire spec §1.3, §1.4). Anything else, which a Go server takes for JSON-RPC, is plain HTTP here.
 */
export const isMucp: Wants = ({ method, target, headers }) => {
  for (let i = 0; i < headers.length; i += 2) if (names.has(headers[i] as string)) return true;
  return method === "POST" && target === "/" && enveloped(headerValue(headers, H.contentType));
};

function enveloped(contentType: string | undefined): boolean {
  return contentType === "application/json-rpc" || contentType === "application/proto-rpc";
}

/**
 * Unary calls of mucp on connections of plain HTTP, where proxies mix them with other requests. Streams need a connection of their own,
 * which proxies cannot give them (wire spec §2.6).
 */
export function mucpRoute(serve: (connection: Connection) => Promise<Receiver>, calls: CallHandler): HttpRoute {
  return {
    name: "mucp",
    match: (method, path, headers) =>
      lower.some((name) => headers[name] !== undefined) ||
      (method === "POST" && path === "/" && enveloped(headers["content-type"])),
    async handle(exchange) {
      const header = emptyHeader();
      for (const name in exchange.headers) header[canonicalName(name)] = exchange.headers[name] as string;
      const body = await exchange.readAll(maxBody);
      const connection = new ExchangeConnection(exchange);
      const receiver = await serve(connection);
      const origin = originOf(header, lookup(header, H.stream));
      const kind = calls.kindOf(origin.endpoint);
      if (kind === undefined || kind === "unary" || header[H.topic]) receiver.message({ header, body });
      else {
        const error = errors.methodNotAllowed(id, `${origin.endpoint} is a ${kind} stream: no proxy can carry it`);
        await connection.send(unaryError(origin, error, new Uint8Array(0)));
      }
      const unlink = exchange.cancellation.onCancel((reason) => receiver.closed(reason));
      await connection.answered;
      unlink();
    },
  };
}

/** A connection for one message and its one answer. */
class ExchangeConnection implements Connection {
  readonly local: string;
  readonly remote: string;
  readonly answered: Promise<void>;
  readonly #exchange: HttpExchange;
  #answer!: () => void;
  #over = false;

  constructor(exchange: HttpExchange) {
    this.#exchange = exchange;
    this.local = exchange.local;
    this.remote = exchange.remote;
    this.answered = new Promise((resolve) => (this.#answer = resolve));
    exchange.cancellation.onCancel(() => this.destroy());
  }

  async send({ header, body }: Message): Promise<void> {
    const lost = this.#exchange.cancellation.reason;
    if (this.#over) throw lost ?? errors.connectionLost(id, `${this.remote}: answered already`);
    this.#over = true;
    this.#exchange.head(200, { ...header, "content-length": String(body.length) });
    this.#exchange.end(body);
    this.#answer();
  }

  close(): void {
    this.destroy();
  }

  destroy(): void {
    if (!this.#over) this.#exchange.abort();
    this.#over = true;
    this.#answer();
  }

  receive(): void {}
  pause(): void {}
  resume(): void {}
  release(): void {}
  busy(): void {}
}
