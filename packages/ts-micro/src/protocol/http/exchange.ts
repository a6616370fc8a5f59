import type { IncomingMessage, ServerResponse } from "node:http";
import { Cancellation } from "../../context.ts";
import { errors, type MicroError } from "../../errors.ts";
import { endName } from "../../internal/net-address.ts";
import { readAll } from "../../internal/read-all.ts";
import { Room } from "../../internal/room.ts";
import type { Served } from "../common/routes.ts";
import { headersOf, id, sendable } from "./headers.ts";

/** One request of node:http. */
export class NodeExchange implements Served {
  readonly method: string;
  readonly path: string;
  readonly query: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly local: string;
  readonly remote: string;
  readonly cancellation: Cancellation = new Cancellation();
  readonly node: { readonly request: IncomingMessage; readonly response: ServerResponse };
  /** Made when somebody has to wait. */
  #room: Room | undefined;

  constructor(request: IncomingMessage, response: ServerResponse) {
    this.node = { request, response };
    const { socket } = request;
    this.method = request.method ?? "GET";
    const target = originForm(request.url ?? "/");
    const mark = target.indexOf("?");
    this.path = mark < 0 ? target : target.slice(0, mark);
    this.query = mark < 0 ? "" : target.slice(mark + 1);
    const headers = headersOf(request.headers);
    // Proxies that speak HTTP/1.0 pass it on, but without chunks there are no trailers.
    if (request.httpVersionMinor === 0) delete headers["te"];
    this.headers = headers;
    this.local = endName(socket.localAddress, socket.localPort);
    this.remote = endName(socket.remoteAddress, socket.remotePort);
    response.once("close", () => {
      if (!response.writableFinished) this.cancellation.cancel(this.#lost());
      this.#room?.close(this.#lost());
    });
  }

  get begun(): boolean {
    return this.node.response.headersSent;
  }

  async read(): Promise<Buffer | undefined> {
    const { request } = this.node;
    for (;;) {
      const chunk = request.read() as Buffer | null;
      if (chunk !== null) return chunk;
      if (request.readableEnded) return undefined;
      if (request.destroyed) throw this.#lost(request.errored ?? undefined);
      await something(request);
    }
  }

  readAll(limit: number): Promise<Buffer> {
    return readAll(this, limit, id);
  }

  head(status: number, headers: Readonly<Record<string, string>>): void {
    const { response } = this.node;
    if (!this.begun && !response.destroyed) response.writeHead(status, sendable(headers));
  }

  write(chunk: Uint8Array): Promise<void> {
    const { response } = this.node;
    const { reason } = this.cancellation;
    if (reason !== undefined) return Promise.reject(reason);
    if (response.destroyed) return Promise.reject(this.#lost());
    if (response.writableEnded) return Promise.reject(errors.invalidState(id, "the answer has ended"));
    if (response.write(chunk)) return Promise.resolve();
    return (this.#room ??= this.#waiting()).wait();
  }

  end(chunk?: Uint8Array, trailers?: Readonly<Record<string, string>>): void {
    const { response } = this.node;
    if (response.destroyed || response.writableEnded) return;
    if (trailers !== undefined) response.addTrailers(sendable(trailers));
    response.end(chunk);
    // Node tells of no drain from here on.
    this.#room?.open();
  }

  abort(): void {
    this.node.request.socket.destroy();
  }

  #waiting(): Room {
    const room = new Room();
    this.node.response.on("drain", () => room.open());
    this.cancellation.onCancel((error) => room.close(error));
    return room;
  }

  #lost(cause?: unknown): MicroError {
    return errors.connectionLost(id, `${this.remote}: the client has gone`, cause);
  }
}

const news = ["readable", "end", "error", "close"] as const;

/** Resolves when there is more to read, or nothing more to come. */
function something(request: IncomingMessage): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      for (const name of news) request.off(name, done);
      resolve();
    };
    for (const name of news) request.on(name, done);
  });
}

function originForm(target: string): string {
  if (target.startsWith("/") || !URL.canParse(target)) return target;
  const { pathname, search } = new URL(target);
  return pathname + search;
}
