import type { Acceptor, CallHandler, Peer, Protocol, WireDefaults } from "../protocol.ts";
import type { HttpRoute } from "../server.ts";
import { filled } from "../internal/filled.ts";
import { Later } from "../internal/later.ts";
import { browserRule } from "../wire/http/browser.ts";
import type { Node } from "../wire/registry-record.ts";
import { http1Acceptor } from "./common/carriers.ts";
import { Peers } from "./common/peers.ts";
import { preflightRoute } from "./common/preflight.ts";
import { callRoute } from "./http/calls.ts";
import { settingsOf, type HttpOptions, type Settings } from "./http/options.ts";
import type { HttpPeer } from "./http/peer.ts";

export type { HttpOptions } from "./http/options.ts";

const client = new Later(() => import("./http/peer.ts"));

/**
 * Plain HTTP/1.1. Its acceptor takes what no other wire wants and serves every route by it: JSON calls, health, web apps. Its peers call
 * nodes that say `protocol=http`, as Go's http client does (wire spec §13.7): `POST` to the endpoint as a path.
 */
export function http(options: HttpOptions = {}): Protocol {
  return new Http(options);
}

class Http implements Protocol {
  readonly name = "http";
  readonly metadata: Readonly<Record<string, string>> = { protocol: "http", transport: "http", server: "http" };
  readonly #options: HttpOptions;
  readonly #settings: Settings;
  readonly #peers = new Peers<HttpPeer>();

  constructor(options: HttpOptions) {
    this.#options = options;
    this.#settings = settingsOf(options);
  }

  async start(): Promise<void> {}

  withDefaults({ tls, cors, poolSize, poolTtl, maxMessageSize, clock }: WireDefaults): Protocol {
    const options = filled(this.#options, { tls, cors, poolSize, poolTtl, maxBody: maxMessageSize, clock });
    return options === undefined ? this : new Http(options);
  }

  acceptor(_calls: CallHandler, routes: readonly HttpRoute[]): Acceptor {
    return http1Acceptor(this.#settings, routes);
  }

  routes(calls: CallHandler): readonly HttpRoute[] {
    const { cors, maxBody, clock } = this.#settings;
    const rule = browserRule(cors);
    return [preflightRoute(rule), callRoute({ calls, rule, maxBody, clock })];
  }

  readonly loadClient = client.load;

  dial(node: Node): Peer {
    return this.#peers.add((left) => new client.now.HttpPeer(node, this.#settings, left));
  }

  close(): Promise<void> {
    return this.#peers.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
