import type { Socket } from "node:net";
import type { Http2Engine, Http2Exchange, Http2Server } from "../../backends/http2.ts";
import { RouteExchange } from "../../backends/http2/http-exchange.ts";
import { errors, type MicroError } from "../../errors.ts";
import type { CallHandler } from "../../protocol.ts";
import type { HttpRoute } from "../../server.ts";
import { messageType } from "../../wire/grpc/content-type.ts";
import { targetOf } from "../../wire/grpc/path.ts";
import { serveRoutes } from "../common/routes.ts";
import { healthService } from "./health.ts";
import { Incoming } from "./incoming.ts";
import { kindHeader } from "./request.ts";
import { encodeStatus, plainStatus, type Trailers } from "../../wire/grpc/status.ts";
import { ServerStream } from "./server-stream.ts";
import { window, type Settings } from "./settings.ts";
import { Arriving, ServerUnary } from "./server-unary.ts";
import { reflectionService } from "./reflection.ts";
import type { BuiltIn, Target } from "./target.ts";

const id = "go.micro.server";

/** The server's end: what is gRPC goes to the calls, and to the services that gRPC brings; everything else to the routes. */
export class GrpcServer implements Http2Server {
  readonly #calls: CallHandler;
  readonly #routes: readonly HttpRoute[];
  readonly #settings: Settings;
  readonly #server: Http2Server;
  readonly #arriving: Arriving;
  readonly #builtIn: readonly BuiltIn[];

  constructor(engine: Http2Engine, settings: Settings, calls: CallHandler, routes: readonly HttpRoute[]) {
    const { clock, maxHeader, maxStreams, resets, idleTimeout, keepalive, keepaliveTimeout } = settings;
    this.#calls = calls;
    this.#routes = routes;
    this.#settings = settings;
    this.#arriving = new Arriving(settings);
    this.#builtIn = [
      ...(settings.health ? [healthService(calls)] : []),
      ...(settings.reflection ? [reflectionService(calls, settings.health)] : []),
    ];
    this.#server = engine.server({
      clock,
      maxHeader,
      maxStreams,
      resets,
      window,
      greeting: 5000,
      idle: idleTimeout,
      keepalive: keepalive ?? 10_000,
      keepaliveTimeout,
      request: (exchange) => this.#request(exchange),
    });
  }

  accept(socket: Socket, bytes: Buffer): void {
    this.#server.accept(socket, bytes);
  }

  drain(): Promise<void> {
    for (const service of this.#builtIn) service.drain();
    return this.#server.drain();
  }

  async close(): Promise<void> {
    this.#arriving.close();
    await this.#server.close();
  }

  #request(exchange: Http2Exchange): void {
    const { headers } = exchange;
    const contentType = headers["content-type"];
    const type = messageType(contentType);
    if (type === undefined || headers[":method"] !== "POST")
      return void serveRoutes(this.#routes, new RouteExchange(exchange));
    const path = headers[":path"] as string;
    const own = path.startsWith("/grpc.");
    const builtIn = own ? this.#builtIn.find((service) => service.kindOf(path) !== undefined) : undefined;
    const named = builtIn === undefined ? targetOf(path) : { service: "", endpoint: path };
    const target: Target = builtIn ?? this.#calls;
    const kind = named === undefined ? undefined : target.kindOf(named.endpoint);
    if (named === undefined || kind === undefined)
      return refuse(exchange, contentType as string, unknown(path, named?.endpoint));
    const call = new Incoming(exchange, named, type, kind, this.#settings.clock.now());
    const wrong = mistaken(call, headers[kindHeader]);
    if (wrong !== undefined) return refuse(exchange, contentType as string, encodeStatus(wrong));
    if (!target.supports(type)) {
      const detail = `unsupported Content-Type: ${type}`;
      return refuse(exchange, contentType as string, encodeStatus(errors.unsupported(id, detail)));
    }
    if (kind === "unary") exchange.receive(new ServerUnary(call, target, this.#settings, this.#arriving));
    else void new ServerStream(call, this.#settings).serve(target);
  }
}

/** Go's words (wire spec §4.1). */
function unknown(path: string, endpoint: string | undefined): Trailers {
  if (endpoint === undefined) return plainStatus(3, `malformed method name: ${JSON.stringify(path)}`);
  return plainStatus(12, `unknown service ${endpoint}`);
}

/** A call of the wrong kind, which would never end; only clients of ours say what they mean. */
function mistaken({ head, retries }: Incoming, said: string | undefined): MicroError | undefined {
  // Streams of different kinds are alike on the wire, as in Go.
  if (!retries || (said !== undefined) === (head.kind !== "unary")) return undefined;
  const what = head.kind === "unary" ? "unary: call it without a stream" : `a ${head.kind} stream: open it as one`;
  return errors.methodNotAllowed(id, `${head.endpoint} is ${what}`);
}

const nothing = { data() {}, ended() {}, drain() {}, closed() {} };

/** An answer that is a status alone. */
function refuse(exchange: Http2Exchange, contentType: string, status: Trailers): void {
  exchange.receive(nothing);
  exchange.answer({ ":status": "200", "content-type": contentType, ...status });
}
