import type { Broker } from "../broker.ts";
import type { Clock } from "../clock.ts";
import type { Codec } from "../codec.ts";
import type { Logger } from "../logger.ts";
import type { Acceptor, Protocol } from "../protocol.ts";
import type { Registry } from "../registry.ts";
import type { HandlerInterceptor, HttpRoute, SubscriberInterceptor } from "../server.ts";
import type { TlsOptions } from "../tls.ts";

/** What a server engine is made of. The engine chooses nothing; times are milliseconds. */
export interface ServerEngineOptions {
  /** Registry name of the service. */
  name: string;
  version: string;
  /** Node id is `<name>-<id>`. */
  id: string;
  /** `host:port`, `:0`, a port range `:5000-6000`, `unix:/path`, or a name on the memory transport. */
  address: string;
  /** What the registry is told instead. */
  advertise: string | undefined;
  metadata: Readonly<Record<string, string>>;
  registry: Registry;
  broker: Broker;
  protocols: readonly [Protocol, ...Protocol[]];
  codecs: readonly Codec[];
  /** HTTP routes beside those of the protocols, before them. */
  routes: readonly HttpRoute[];
  /** Gets the HTTP requests that no other route wants. */
  fallback: HttpRoute | undefined;
  /** What takes HTTP connections for protocols that are routes alone; each is asked after the acceptors of the others. Default none. */
  carriers?: ((routes: readonly HttpRoute[]) => readonly Acceptor[]) | undefined;
  /** What the node says that it speaks. */
  advertised: Protocol;
  interceptors: readonly HandlerInterceptor[];
  subscriberInterceptors: readonly SubscriberInterceptor[];
  logger: Logger;
  clock: Clock;
  tls: TlsOptions | undefined;
  registerTtl: number;
  /** 0 switches the heartbeat off. */
  registerInterval: number;
  /** Runs before the first register and each heartbeat; a failure takes the node out until it passes again. */
  registerCheck: (() => void | Promise<void>) | undefined;
  /** How long a stopping server goes on answering after it deregistered. */
  settle: number;
  /** How long calls under way may take after that; Infinity with `wait`. */
  drain: number;
  /** Calls and streams at once; more are refused with RESOURCE_EXHAUSTED. */
  maxInFlight: number;
}
