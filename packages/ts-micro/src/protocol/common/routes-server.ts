import type { Socket } from "node:net";
import type { Http2Engine, Http2Server } from "../../backends/http2.ts";
import { RouteExchange } from "../../backends/http2/http-exchange.ts";
import { Arriving } from "../../internal/arriving.ts";
import type { HttpRoute } from "../../server.ts";
import { serverLimits, type Settings } from "../grpc/settings.ts";
import { serveRoutes } from "./routes.ts";

/** Every HTTP/2 request to the routes. */
export class RoutesServer implements Http2Server {
  readonly #server: Http2Server;
  readonly #arriving: Arriving;

  constructor(engine: Http2Engine, settings: Settings, routes: readonly HttpRoute[]) {
    const arriving = new Arriving(settings.clock, settings.idleTimeout);
    this.#arriving = arriving;
    this.#server = engine.server({
      ...serverLimits(settings),
      request: (exchange) => void serveRoutes(routes, new RouteExchange(exchange, arriving)),
    });
  }

  accept(socket: Socket, bytes: Buffer): void {
    this.#server.accept(socket, bytes);
  }

  drain(): Promise<void> {
    return this.#server.drain();
  }

  async close(): Promise<void> {
    this.#arriving.close();
    await this.#server.close();
  }
}
