import { systemClock, type Clock } from "../../clock.ts";
import { milliseconds, type Duration } from "../../duration.ts";
import type { ClientTlsOptions } from "../../tls.ts";
import type { CorsOptions } from "../../wire/http/browser.ts";

export interface HttpOptions {
  /** Web pages that may make JSON calls. Default none. */
  cors?: CorsOptions | undefined;
  /** Largest body of a call, of an answer to one, and of one message of a stream, in bytes. Default 4 MiB. What a web app takes is its own business. */
  maxBody?: number | undefined;
  /** Server: largest request head, in bytes. Default 64 KiB. */
  maxHeader?: number | undefined;
  /** Server: from the first byte of a request to the end of its head. Default 5 s. */
  headTimeout?: Duration | undefined;
  /** Server: from the first byte of a request to its last. Default 5 min. */
  requestTimeout?: Duration | undefined;
  /** Server: how long a connection may be idle, or its client not read. Default 120 s; Go clients and proxies keep theirs for 60. */
  idleTimeout?: Duration | undefined;
  /** Client: most connections to one node; further calls wait. Default 256. */
  maxConnections?: number | undefined;
  /** Client: most idle connections kept for one node. Default 100. */
  poolSize?: number | undefined;
  /** Client: how long a connection is kept idle. Default 60 s. */
  poolTtl?: Duration | undefined;
  /** Client: limit of a dial, TLS handshake included. Default 5 s. */
  dialTimeout?: Duration | undefined;
  /** Client: every dial is TLS, with these options. Without it, TLS is for nodes that say `secure=true`, verified against the system's roots. */
  tls?: ClientTlsOptions | undefined;
  clock?: Clock | undefined;
}

/** The options with their defaults, durations in milliseconds. */
export interface Settings {
  readonly cors: CorsOptions | undefined;
  readonly maxBody: number;
  readonly maxHeader: number;
  readonly headTimeout: number;
  readonly requestTimeout: number;
  readonly idleTimeout: number;
  readonly maxConnections: number;
  readonly poolSize: number;
  readonly poolTtl: number;
  readonly dialTimeout: number;
  readonly tls: ClientTlsOptions | undefined;
  readonly clock: Clock;
}

export function settingsOf(options: HttpOptions): Settings {
  return {
    cors: options.cors,
    maxBody: options.maxBody ?? 4 << 20,
    maxHeader: options.maxHeader ?? 64 << 10,
    headTimeout: milliseconds(options.headTimeout ?? "5s"),
    requestTimeout: milliseconds(options.requestTimeout ?? "5m"),
    idleTimeout: milliseconds(options.idleTimeout ?? "120s"),
    maxConnections: options.maxConnections ?? 256,
    poolSize: options.poolSize ?? 100,
    poolTtl: milliseconds(options.poolTtl ?? "60s"),
    dialTimeout: milliseconds(options.dialTimeout ?? "5s"),
    tls: options.tls,
    clock: options.clock ?? systemClock,
  };
}
