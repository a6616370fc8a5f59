import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer as createServer2 } from "node:http2";
import type { Socket } from "node:net";
import { Cancellation } from "../../src/context.ts";
import { errors, fromUnknown, type MicroError } from "../../src/errors.ts";
import type { Acceptor, Protocol } from "../../src/protocol.ts";
import type { HttpExchange, HttpRoute } from "../../src/server.ts";

/** Serves HTTP routes over Node's HTTP/1.1 and HTTP/2 on the one port: the least that tests of routes need. */
export function httpForTests(): Protocol {
  const close = async (): Promise<void> => {};
  return {
    name: "http-for-tests",
    metadata: {},
    start: close,
    dial() {
      throw new Error("nobody dials here");
    },
    acceptor: (_, routes) => new NodeAcceptor(routes),
    close,
    [Symbol.asyncDispose]: close,
  };
}

const preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");

class NodeAcceptor implements Acceptor {
  readonly name = "http-for-tests";
  readonly #one;
  readonly #two;
  readonly #sockets = new Set<Socket>();

  constructor(routes: readonly HttpRoute[]) {
    const listener = (request: IncomingMessage, response: ServerResponse): void =>
      void serve(routes, request, response);
    this.#one = createServer(listener);
    this.#two = createServer2((request, response) => listener(request as never, response as never));
  }

  match(prefix: Buffer): boolean | undefined {
    return prefix.length < preface.length && preface.subarray(0, prefix.length).equals(prefix) ? undefined : true;
  }

  accept(socket: Socket, bytes: Buffer): void {
    this.#sockets.add(socket);
    const second = bytes.subarray(0, preface.length).equals(preface);
    socket.unshift(bytes);
    (second ? this.#two : this.#one).emit("connection", socket);
    // node:http2 reads what was put back by itself.
    if (!second) socket.resume();
  }

  async drain(): Promise<void> {}

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
  }
}

async function serve(routes: readonly HttpRoute[], request: IncomingMessage, response: ServerResponse): Promise<void> {
  const exchange = exchangeOf(request, response);
  try {
    const route = routes.find(({ match }) => match(exchange.method, exchange.path, exchange.headers));
    if (route === undefined) throw errors.notFound("test", "no route");
    await route.handle(exchange);
  } catch (error) {
    if (response.headersSent) return exchange.abort();
    const { status, detail } = fromUnknown(error);
    response.writeHead(status).end(detail);
  }
}

function exchangeOf(request: IncomingMessage, response: ServerResponse): HttpExchange {
  const cancellation = new Cancellation();
  const lost = (): MicroError => errors.connectionLost("test", "the client has gone");
  const chunks = request[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  const [path = "", query = ""] = (request.url ?? "").split("?");
  const headers = Object.assign(Object.create(null), request.headers) as Record<string, string>;
  for (const name of Object.keys(headers)) if (name.startsWith(":")) delete headers[name];
  response.once("close", () => {
    if (!response.writableEnded || !response.writableFinished) cancellation.cancel(lost());
  });
  const read = async (): Promise<Buffer | undefined> => {
    try {
      const { done, value } = await chunks.next();
      return done === true ? undefined : value;
    } catch {
      throw lost();
    }
  };
  return {
    method: request.method ?? "",
    path,
    query,
    headers,
    local: "local:1",
    remote: "remote:1",
    cancellation,
    read,
    async readAll(limit) {
      let body = Buffer.alloc(0);
      for (let chunk = await read(); chunk !== undefined; chunk = await read()) {
        body = Buffer.concat([body, chunk]);
        if (body.length > limit) throw errors.payloadTooLarge("test", `a body of more than ${limit} bytes`);
      }
      return body;
    },
    head: (status, headers) => void response.writeHead(status, headers),
    async write(chunk) {
      if (cancellation.reason !== undefined) throw cancellation.reason;
      if (response.write(chunk)) return;
      await new Promise<void>((resolve, reject) => {
        response.once("drain", resolve);
        cancellation.onCancel(reject);
      });
    },
    end(chunk) {
      response.end(chunk ?? Buffer.alloc(0));
      // What nobody read of the request must not hold up the next one.
      request.removeAllListeners("readable").resume();
    },
    abort: () => void request.destroy(),
  };
}
