import { systemClock, type Clock } from "../../clock.ts";
import { milliseconds, type Duration } from "../../duration.ts";
import type { WireDefaults } from "../../protocol.ts";
import type { ClientTlsOptions } from "../../tls.ts";

/** What transports with a pool have in common. */
export interface PooledOptions {
  /** Every dial is TLS, with these options. Without it, TLS is for nodes that say `secure=true`, verified against the system's roots. */
  tls?: ClientTlsOptions | undefined;
  /** Most idle connections (grpc: streams) kept for each address. Default 100, as Go. */
  poolSize?: number | undefined;
  /** For how long after it was opened one is used again. Default 60 s, as Go. */
  poolTtl?: Duration | undefined;
  /** Limit of a dial, TLS handshake included. Default 5 s. */
  dialTimeout?: Duration | undefined;
  /** Largest body, in bytes, either way. Default 4 MiB; over grpc Go takes as much with its header in it. */
  maxBody?: number | undefined;
  clock?: Clock | undefined;
}

/** Those of a service or client as theirs. */
export function pooledDefaults({ tls, poolSize, poolTtl, maxMessageSize, clock }: WireDefaults): {
  readonly [K in keyof PooledOptions]: PooledOptions[K] | undefined;
} {
  return { tls, poolSize, poolTtl, maxBody: maxMessageSize, clock };
}

/** They with their defaults, durations in milliseconds. */
export interface PooledSettings {
  readonly tls: ClientTlsOptions | undefined;
  readonly poolSize: number;
  readonly poolTtl: number;
  readonly dialTimeout: number;
  readonly maxBody: number;
  readonly clock: Clock;
}

export function pooledSettings(options: PooledOptions): PooledSettings {
  return {
    tls: options.tls,
    poolSize: options.poolSize ?? 100,
    poolTtl: milliseconds(options.poolTtl ?? "60s"),
    dialTimeout: milliseconds(options.dialTimeout ?? "5s"),
    maxBody: options.maxBody ?? 4 << 20,
    clock: options.clock ?? systemClock,
  };
}
