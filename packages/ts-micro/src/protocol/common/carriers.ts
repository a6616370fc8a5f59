import { http2Acceptor } from "../../backends/http2/acceptor.ts";
import type { Clock } from "../../clock.ts";
import { LazyAcceptor } from "../../internal/lazy-acceptor.ts";
import type { Acceptor } from "../../protocol.ts";
import type { HttpRoute } from "../../server.ts";
import { isHttp1 } from "../../wire/http1/preface.ts";
import { settingsOf as grpcSettings } from "../grpc/settings.ts";
import { settingsOf, type Settings } from "../http/options.ts";

/** HTTP/1.1 for routes: every request goes to the first that wants it. */
export function http1Acceptor(settings: Settings, routes: readonly HttpRoute[]): Acceptor {
  return new LazyAcceptor("http", ["http/1.1"], isHttp1, async () => {
    const [node, { NodeAcceptor }] = await Promise.all([import("node:http"), import("../http/acceptor.ts")]);
    return new NodeAcceptor(node, settings, routes);
  });
}

/** It, with the usual limits, where nobody serves plain HTTP. */
export function http1Carrier(clock: Clock, routes: readonly HttpRoute[]): Acceptor {
  return http1Acceptor(settingsOf({ clock }), routes);
}

/** HTTP/2 for routes, with the limits of gRPC, where nobody serves that. */
export function http2Carrier(clock: Clock, routes: readonly HttpRoute[]): Acceptor {
  return http2Acceptor("http2", async () => {
    const [{ nodeHttp2 }, { RoutesServer }] = await Promise.all([
      import("../../backends/http2/node.ts"),
      import("./routes-server.ts"),
    ]);
    return new RoutesServer(nodeHttp2, grpcSettings({ clock }), routes);
  });
}
