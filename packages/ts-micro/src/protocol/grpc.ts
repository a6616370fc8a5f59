import { http2Acceptor } from "../backends/http2/acceptor.ts";
import { filled } from "../internal/filled.ts";
import { Later } from "../internal/later.ts";
import type { Acceptor, CallHandler, Peer, Protocol, WireDefaults } from "../protocol.ts";
import type { HttpRoute } from "../server.ts";
import type { Node } from "../wire/registry-record.ts";
import { Peers } from "./common/peers.ts";
import type { GrpcPeer } from "./grpc/peer.ts";
import { settingsOf, type GrpcOptions, type Settings } from "./grpc/settings.ts";

export type { GrpcOptions } from "./grpc/settings.ts";

const client = new Later(() => import("./grpc/peer.ts"));

/**
 * gRPC over HTTP/2, as Go Micro's grpc client and server speak it and as every gRPC peer does: unary calls and streams of all kinds,
 * metadata, deadlines, cancellation, status with details, gzip, health and reflection (wire spec §4). node:http2 is loaded by the first
 * connection. The HTTP/2 requests that are not gRPC go to the routes.
 */
export function grpc(options: GrpcOptions = {}): Protocol {
  return new Grpc(options);
}

class Grpc implements Protocol {
  readonly name = "grpc";
  readonly metadata: Readonly<Record<string, string>> = { protocol: "grpc", transport: "grpc", server: "grpc" };
  readonly #options: GrpcOptions;
  readonly #settings: Settings;
  readonly #peers = new Peers<GrpcPeer>();

  constructor(options: GrpcOptions) {
    this.#options = options;
    this.#settings = settingsOf(options);
  }

  readonly acceptor = (calls: CallHandler, routes: readonly HttpRoute[]): Acceptor =>
    http2Acceptor(this.name, async () => {
      const [{ nodeHttp2 }, { GrpcServer }] = await Promise.all([
        import("../backends/http2/node.ts"),
        import("./grpc/server.ts"),
      ]);
      return new GrpcServer(nodeHttp2, this.#settings, calls, routes);
    });

  async start(): Promise<void> {}

  withDefaults({ tls, maxMessageSize, clock }: WireDefaults): Protocol {
    const options = filled(this.#options, { tls, maxMessage: maxMessageSize, clock });
    return options === undefined ? this : new Grpc(options);
  }

  readonly loadClient = client.load;

  dial(node: Node): Peer {
    return this.#peers.add((left) => new client.now.GrpcPeer(node, this.#settings, left));
  }

  close(): Promise<void> {
    return this.#peers.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
