import type { Http2Engine, Http2Exchange, Http2Server, Http2Stream } from "../../backends/http2.ts";
import type { Connection } from "../../transport.ts";
import { answerType, messageType } from "../../wire/grpc/content-type.ts";
import { plainStatus } from "../../wire/grpc/status.ts";
import { transportPath } from "../../wire/grpc/transport-message.ts";
import { Busyness } from "../common/busy.ts";
import { GrpcEnd } from "./end.ts";
import type { Settings } from "./options.ts";

/** The server's end of one stream. */
class ServerEnd extends GrpcEnd {
  readonly local: string;
  readonly remote: string;
  readonly #exchange: Http2Exchange;
  readonly #home: Set<ServerEnd>;
  readonly #busy = new Busyness();
  #seen = false;
  #draining = false;

  constructor(exchange: Http2Exchange, home: Set<ServerEnd>, maxBody: number) {
    super(maxBody, exchange.headers["grpc-encoding"]);
    this.#exchange = exchange;
    this.#home = home;
    this.local = exchange.local;
    this.remote = exchange.remote;
    exchange.respond({ ":status": "200", "content-type": exchange.headers["content-type"] as string });
  }

  override send(...args: Parameters<GrpcEnd["send"]>): Promise<void> {
    const done = super.send(...args);
    this.#busy.sent();
    this.#settle();
    return done;
  }

  release(): void {}

  busy(yes: boolean): void {
    this.#busy.set(yes);
    this.#settle();
  }

  /** Ends it as soon as no call is under way. */
  drained(): void {
    this.#draining = true;
    this.#settle();
  }

  protected stream(): Http2Stream {
    return this.#exchange;
  }

  protected finish(): void {
    this.#exchange.end(undefined, plainStatus(0, ""));
  }

  protected left(): void {
    this.#home.delete(this);
  }

  protected override received(): void {
    this.#seen = true;
    this.#busy.received();
  }

  #settle(): void {
    if (this.#draining && this.#seen && this.#busy.idle && this.alive) this.ended();
  }
}

/** Streams of the grpc transport on HTTP/2 connections. */
export class GrpcTransportServer implements Http2Server {
  readonly #server: Http2Server;
  readonly #settings: Settings;
  readonly #serve: (connection: Connection) => void;
  readonly #ends = new Set<ServerEnd>();
  #draining = false;

  constructor(engine: Http2Engine, settings: Settings, serve: (connection: Connection) => void) {
    this.#settings = settings;
    this.#serve = serve;
    const { clock, maxHeader, idleTimeout, keepaliveTimeout, window } = settings;
    this.#server = engine.server({
      ...{ clock, maxHeader, window, keepaliveTimeout },
      maxStreams: 1000,
      resets: { burst: 800, perSecond: 30 },
      greeting: 5000,
      idle: idleTimeout,
      keepalive: settings.keepalive,
      request: (exchange) => this.#request(exchange),
    });
  }

  accept(...args: Parameters<Http2Server["accept"]>): void {
    this.#server.accept(...args);
  }

  drain(): Promise<void> {
    this.#draining = true;
    const done = this.#server.drain();
    for (const end of this.#ends) end.drained();
    return done;
  }

  async close(): Promise<void> {
    await this.#server.close();
  }

  #request(exchange: Http2Exchange): void {
    const { headers } = exchange;
    if (headers[":path"] !== transportPath || messageType(headers["content-type"]) === undefined)
      return refuse(exchange);
    const end = new ServerEnd(exchange, this.#ends, this.#settings.maxBody);
    this.#ends.add(end);
    this.#serve(end);
    exchange.receive(end);
    if (this.#draining) end.drained();
  }
}

const nothing = { data() {}, ended() {}, drain() {}, closed() {} };

function refuse(exchange: Http2Exchange): void {
  exchange.receive(nothing);
  const type = exchange.headers["content-type"];
  if (messageType(type) === undefined) return exchange.answer({ ":status": "404" });
  const path = (exchange.headers[":path"] ?? "").slice(0, 1024);
  const status = plainStatus(12, `unknown method ${path}: this port speaks the grpc transport`);
  exchange.answer({ ":status": "200", "content-type": answerType(type as string), ...status });
}
