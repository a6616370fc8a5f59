import type { Socket } from "node:net";
import type { Http2Engine, Http2Exchange, Http2Server } from "../../backends/http2.ts";
import { RouteExchange } from "../../backends/http2/http-exchange.ts";
import { errors, type MicroError } from "../../errors.ts";
import { Arriving } from "../../internal/arriving.ts";
import { tickTime } from "../../internal/tick.ts";
import type { CallHandler } from "../../protocol.ts";
import type { HttpRoute } from "../../server.ts";
import { answerType, messageType } from "../../wire/grpc/content-type.ts";
import { targetOf } from "../../wire/grpc/path.ts";
import { serveRoutes } from "../common/routes.ts";
import { healthService } from "./health.ts";
import { Incoming, isOurs } from "./incoming.ts";
import { kindHeader } from "./request.ts";
import { encodeStatus, plainStatus, type Trailers } from "../../wire/grpc/status.ts";
import { ServerStream } from "./server-stream.ts";
import { serverLimits, type Settings } from "./settings.ts";
import { ServerUnary } from "./server-unary.ts";
import { reflectionService } from "./reflection.ts";
import { directly } from "../fast/by-unary.ts";
import { Served, type BuiltIn } from "./target.ts";

const id = "go.micro.server";
/** Most paths and content types that are remembered; hostile clients can make up more of the latter. */
const mostServed = 1024;

/** The server's end: what is gRPC goes to the calls, and to the services that gRPC brings; everything else to the routes. */
export class GrpcServer implements Http2Server {
  readonly #calls: CallHandler;
  readonly #routes: readonly HttpRoute[];
  readonly #settings: Settings;
  readonly #server: Http2Server;
  readonly #arriving: Arriving;
  readonly #builtIn: readonly BuiltIn[];
  /** By path and content type. */
  readonly #served = new Map<string, Map<string, Served>>();
  #size = 0;

  constructor(engine: Http2Engine, settings: Settings, calls: CallHandler, routes: readonly HttpRoute[]) {
    this.#calls = calls;
    this.#routes = routes;
    this.#settings = settings;
    this.#arriving = new Arriving(settings.clock, settings.idleTimeout);
    this.#builtIn = [
      ...(settings.health ? [healthService(calls)] : []),
      ...(settings.reflection ? [reflectionService(calls, settings.health)] : []),
    ];
    this.#server = engine.server({
      ...serverLimits(settings),
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
    const contentType = exchange.header("content-type") ?? "";
    const path = exchange.header(":path") ?? "";
    const served = this.#served.get(path)?.get(contentType) ?? this.#find(path, contentType);
    if (served === undefined || exchange.header(":method") !== "POST")
      return void serveRoutes(this.#routes, new RouteExchange(exchange, this.#arriving));
    if (!(served instanceof Served)) return refuse(exchange, contentType, served);
    const wrong = mistaken(exchange, served);
    if (wrong !== undefined) return refuse(exchange, contentType, encodeStatus(wrong));
    if (served.kind === "unary")
      return exchange.receive(new ServerUnary(exchange, served, this.#arriving, this.#settings.maxMessage));
    const call = new Incoming(exchange, served.route, served.kind, tickTime(this.#settings.clock));
    void new ServerStream(call, this.#arriving, this.#settings.maxMessage).serve(served.calls);
  }

  /** What serves a path and content type, or the status that refuses it; undefined for what is not gRPC. */
  #find(path: string, contentType: string): Served | Trailers | undefined {
    const type = messageType(contentType);
    if (type === undefined) return undefined;
    const own = path.startsWith("/grpc.");
    const builtIn = own ? this.#builtIn.find((service) => service.kindOf(path) !== undefined) : undefined;
    const named = builtIn === undefined ? targetOf(path) : { service: "", endpoint: path };
    const target = directly(builtIn ?? this.#calls);
    const kind = named === undefined ? undefined : target.kindOf(named.endpoint);
    if (named === undefined || kind === undefined) return unknown(path, named?.endpoint);
    if (!target.supports(type)) return encodeStatus(errors.unsupported(id, `unsupported Content-Type: ${type}`));
    const served = new Served({ ...named, contentType: type }, kind, target);
    this.#remember(path, contentType, served);
    return served;
  }

  #remember(path: string, contentType: string, served: Served): void {
    if (this.#size >= mostServed) return;
    this.#size++;
    let types = this.#served.get(path);
    if (types === undefined) this.#served.set(path, (types = new Map()));
    types.set(contentType, served);
  }
}

/** Go's words (wire spec §4.1), of a path that may be as long as a block of headers. */
function unknown(path: string, endpoint: string | undefined): Trailers {
  if (endpoint === undefined) return plainStatus(3, `malformed method name: ${JSON.stringify(path.slice(0, 1024))}`);
  return plainStatus(12, `unknown service ${endpoint.slice(0, 1024)}`);
}

/** A call of the wrong kind, which would never end; only clients of ours say what they mean. */
function mistaken(exchange: Http2Exchange, { kind, route }: Served): MicroError | undefined {
  // Streams of different kinds are alike on the wire, as in Go.
  if ((exchange.header(kindHeader) !== undefined) === (kind !== "unary") || !isOurs(exchange)) return undefined;
  const what = kind === "unary" ? "unary: call it without a stream" : `a ${kind} stream: open it as one`;
  return errors.methodNotAllowed(id, `${route.endpoint} is ${what}`);
}

const nothing = { data() {}, ended() {}, drain() {}, closed() {} };

/** An answer that is a status alone. */
function refuse(exchange: Http2Exchange, contentType: string, status: Trailers): void {
  exchange.receive(nothing);
  exchange.answer({ ":status": "200", "content-type": answerType(contentType), ...status });
}
