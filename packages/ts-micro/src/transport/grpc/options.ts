import { systemClock, type Clock } from "../../clock.ts";
import { milliseconds, type Duration } from "../../duration.ts";
import type { ClientTlsOptions } from "../../tls.ts";

export interface GrpcTransportOptions {
  /** Every dial is TLS, with these options. Without it, TLS is for nodes that say `secure=true`, verified against the system's roots. */
  tls?: ClientTlsOptions | undefined;
  /** Most idle streams kept for each address. Default 100. */
  poolSize?: number;
  /** For how long after it was opened a stream is used again. Default 60 s. */
  poolTtl?: Duration;
  /** Limit of a dial, TLS handshake included. Default 5 s. */
  dialTimeout?: Duration;
  /** Largest body, in bytes, either way. Default 4 MiB; Go takes as much with its header in it. */
  maxBody?: number;
  /** Server: how long a connection may be without streams. Default 2 min. */
  idleTimeout?: Duration;
  /** How long a connection with streams may be silent until it is asked for a sign of life. Default 5 min. */
  keepalive?: Duration;
  clock?: Clock;
}

export interface Settings {
  readonly tls: ClientTlsOptions | undefined;
  readonly poolSize: number;
  readonly poolTtl: number;
  readonly dialTimeout: number;
  readonly maxBody: number;
  readonly idleTimeout: number;
  readonly keepalive: number;
  readonly keepaliveTimeout: number;
  readonly maxHeader: number;
  readonly window: number;
  readonly clock: Clock;
}

export function settingsOf(options: GrpcTransportOptions): Settings {
  return {
    tls: options.tls,
    poolSize: options.poolSize ?? 100,
    poolTtl: milliseconds(options.poolTtl ?? "60s"),
    dialTimeout: milliseconds(options.dialTimeout ?? "5s"),
    maxBody: options.maxBody ?? 4 << 20,
    idleTimeout: milliseconds(options.idleTimeout ?? "2m"),
    keepalive: milliseconds(options.keepalive ?? "5m"),
    keepaliveTimeout: 10_000,
    maxHeader: 64 * 1024,
    window: 256 * 1024,
    clock: options.clock ?? systemClock,
  };
}
