import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { Clock, Timer } from "../../clock.ts";
import { connectionGrain, Deadlines, type Expiring } from "../../internal/deadlines.ts";
import type { Accepting } from "../../internal/lazy-acceptor.ts";
import { leftOf } from "../../internal/left.ts";
import type { HttpRoute } from "../../server.ts";
import { serveRoutes } from "../common/routes.ts";
import { NodeExchange } from "./exchange.ts";
import type { Settings } from "./options.ts";

/** Unanswered requests of one connection; a client that sends more is cut off. */
const pipelined = 128;
/** How long a request is still answered after its client's FIN: some half-close behind it, but most have gone. */
const halfClosed = 1000;
/** How long the rest of a request may come after its answer. */
const linger = 5000;

interface Connection extends Expiring {
  readonly socket: Socket;
  deadline: number;
  /** Answers that are not complete. */
  readonly open: Set<ServerResponse>;
  /** Bytes that the kernel had taken at the last look. */
  flushed: number;
  stalled: boolean;
}

/** Any HTTP/1.1 by node:http, for the rest of the connection's life; each request goes to the first route that wants it. */
export class NodeAcceptor implements Accepting {
  readonly #server: Server;
  readonly #routes: readonly HttpRoute[];
  readonly #settings: Settings;
  readonly #clock: Clock;
  readonly #connections = new Map<Socket, Connection>();
  readonly #open = new Set<ServerResponse>();
  readonly #deadlines: Deadlines<Connection>;
  #look: Timer | undefined;
  #idle: (() => void)[] = [];
  #draining = false;
  #closed = false;

  constructor(http: typeof import("node:http"), settings: Settings, routes: readonly HttpRoute[]) {
    this.#settings = settings;
    this.#clock = settings.clock;
    this.#routes = routes;
    this.#deadlines = new Deadlines(
      settings.clock,
      () => this.#connections.values(),
      (connection) => this.#expire(connection),
      connectionGrain,
    );
    // Newer Nodes ask before they let go of a connection; the others are put right in `#upgrade`.
    const asking = {
      shouldUpgradeCallback: (request: IncomingMessage) => this.#routeOf(request)?.upgrade !== undefined,
    };
    this.#server = http.createServer(
      {
        ...asking,
        maxHeaderSize: settings.maxHeader,
        headersTimeout: settings.headTimeout,
        requestTimeout: settings.requestTimeout,
        keepAliveTimeout: settings.idleTimeout,
        connectionsCheckingInterval: Math.min(1000, settings.headTimeout),
        insecureHTTPParser: false,
      },
      (request, response) => this.#request(request, response),
    );
    // Undocumented, and older than Node 4: without it a client's FIN ends our side at once, in mid-answer.
    (this.#server as Server & { httpAllowHalfOpen: boolean }).httpAllowHalfOpen = true;
    if (routes.some((route) => route.upgrade !== undefined))
      this.#server.on("upgrade", (request, socket, head) => this.#upgrade(request, socket, head));
    // It listens to nothing; but without this Node keeps no list of its connections, and no limit of time holds.
    this.#server.emit("listening");
  }

  accept(socket: Socket, bytes: Buffer): void {
    if (this.#closed) return void socket.destroy();
    if (!this.#connections.has(socket)) this.#track(socket);
    if (bytes.length > 0) socket.unshift(bytes);
    this.#server.emit("connection", socket);
    // Else Node reads past the stream, and from a socket that was paused before without end, whether its request is read or not.
    socket.on("data", nothing).resume();
  }

  async drain(): Promise<void> {
    this.#draining = true;
    for (const response of this.#open) response.shouldKeepAlive &&= response.headersSent;
    this.#server.closeIdleConnections();
    if (this.#open.size > 0) await new Promise<void>((resolve) => this.#idle.push(resolve));
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#server.close();
    this.#server.closeAllConnections();
    for (const socket of this.#connections.keys()) socket.destroy();
    this.#deadlines.close();
    if (this.#look !== undefined) this.#clock.cancel(this.#look);
    this.#look = undefined;
  }

  #track(socket: Socket): void {
    const connection: Connection = { socket, deadline: Infinity, open: new Set(), flushed: 0, stalled: false };
    this.#connections.set(socket, connection);
    socket.once("close", () => {
      this.#connections.delete(socket);
      for (const response of connection.open) if (response.socket === null) forget(response);
    });
    socket.once("end", () => this.#limit(connection, halfClosed));
    this.#look ??= this.#clock.after(this.#settings.idleTimeout / 2, this.#stalled);
  }

  #limit(connection: Connection, ms: number): void {
    connection.deadline = this.#clock.now() + ms;
    this.#deadlines.add(connection.deadline);
  }

  #expire(connection: Connection): void {
    const { socket, stalled } = connection;
    // Whoever half-closed and takes what we send is there.
    if (socket.readableEnded && socket.writableLength > 0 && !stalled) this.#limit(connection, halfClosed);
    else socket.destroy();
  }

  #request(request: IncomingMessage, response: ServerResponse): void {
    // Node serves HTTP/0.9.
    if (request.httpVersionMajor !== 1) return void response.writeHead(505, { connection: "close" }).end();
    const connection = this.#connections.get(request.socket);
    if (connection !== undefined && connection.open.size >= pipelined) return void request.socket.destroy();
    this.#open.add(response);
    connection?.open.add(response);
    if (this.#draining) response.shouldKeepAlive = false;
    response.once("close", () => {
      this.#open.delete(response);
      if (connection !== undefined) {
        connection.open.delete(response);
        if (!request.complete && !request.socket.destroyed) this.#discard(request, connection);
      }
      if (!this.#draining) return;
      this.#server.closeIdleConnections();
      if (this.#open.size === 0) for (const resolve of this.#idle.splice(0)) resolve();
    });
    void serveRoutes(this.#routes, new NodeExchange(request, response));
  }

  /** Answered before it was there: what is left of it is read, since closing would make the client lose the answer. */
  #discard(request: IncomingMessage, connection: Connection): void {
    this.#limit(connection, linger);
    request.once("end", () => (connection.deadline = Infinity)).resume();
  }

  #routeOf({ method = "", url = "", headers }: IncomingMessage): HttpRoute | undefined {
    const path = url.replace(/\?.*$/s, "");
    return this.#routes.find((route) => route.match(method, path, headers as Record<string, string>));
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    socket.off("data", nothing);
    const route = this.#routeOf(request);
    if (route?.upgrade !== undefined) return route.upgrade(request, socket, head);
    // Java's client asks for HTTP/2 in each first request: who does not speak it ignores that, but Node has let go of the connection.
    socket.unshift(Buffer.concat([headWithoutUpgrade(request), head]));
    this.accept(socket as Socket, Buffer.alloc(0));
  }

  /** Cuts clients off that have read nothing of what waits for them since the last look. */
  readonly #stalled = (): void => {
    this.#look = undefined;
    for (const connection of this.#connections.values()) {
      const { socket } = connection;
      const flushed = leftOf(socket);
      const stuck = socket.writableLength > 0 && flushed === connection.flushed;
      if (stuck && connection.stalled) socket.destroy();
      connection.flushed = flushed;
      connection.stalled = stuck;
    }
    if (this.#connections.size > 0) this.#look = this.#clock.after(this.#settings.idleTimeout / 2, this.#stalled);
  };
}

function nothing(): void {}

/** Node forgets the answers that wait for their turn when the connection goes: nobody would hear of it. */
function forget(response: ServerResponse): void {
  response.destroy();
  response.emit("close");
}

function headWithoutUpgrade(request: IncomingMessage): Buffer {
  const lines = [`${request.method} ${request.url} HTTP/${request.httpVersion}`];
  const { rawHeaders } = request;
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] as string;
    if (!/^(?:upgrade|http2-settings|connection)$/i.test(name)) lines.push(`${name}: ${rawHeaders[i + 1]}`);
  }
  return Buffer.from(`${lines.join("\r\n")}\r\n\r\n`, "latin1");
}
