import { errors, fromUnknown } from "../../errors.ts";
import type { CallHandler } from "../../protocol.ts";
import type { HttpExchange } from "../../server.ts";
import type { Connection, Message, Receiver } from "../../transport.ts";
import { canonicalName, H } from "../../wire/headers.ts";
import { emptyHeader, lookup } from "./headers.ts";
import { originOf, unaryError } from "./reply.ts";

const id = "go.micro.server";
/** Largest body of a request, in bytes; the same as on connections of its own. */
const maxBody = 4 << 20;

/** Runs a unary call of mucp that came as a request of plain HTTP, and answers it. */
export async function serveExchange(
  exchange: HttpExchange,
  calls: CallHandler,
  serve: (connection: Connection) => Receiver,
): Promise<void> {
  const header = emptyHeader();
  for (const name in exchange.headers) header[canonicalName(name)] = exchange.headers[name] as string;
  const connection = new ExchangeConnection(exchange);
  const origin = originOf(header, lookup(header, H.stream));
  let body: Uint8Array;
  try {
    body = await exchange.readAll(maxBody);
  } catch (error) {
    // For Go clients any status but 200 is an empty success (wire spec §0.2).
    return connection.send(unaryError(origin, fromUnknown(error, id), new Uint8Array(0)));
  }
  const receiver = serve(connection);
  const kind = calls.kindOf(origin.endpoint);
  // The end of a stream that is not there has no reply, but a request must have one.
  const end = origin.stream !== "" && header[H.error];
  if (header[H.topic] || ((kind === undefined || kind === "unary") && !end)) receiver.message({ header, body });
  else {
    const what = end ? "this is the end of a stream" : `${origin.endpoint} is a ${kind} stream`;
    const error = errors.methodNotAllowed(id, `${what}: no proxy can carry it`);
    await connection.send(unaryError(origin, error, new Uint8Array(0)));
  }
  const unlink = exchange.cancellation.onCancel((reason) => receiver.closed(reason));
  await connection.answered;
  unlink();
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
