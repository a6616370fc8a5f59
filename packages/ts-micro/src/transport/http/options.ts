import { systemClock, type Clock } from "../../clock.ts";
import { milliseconds, type Duration } from "../../duration.ts";
import type { ClientTlsOptions } from "../../tls.ts";

export const id = "ts.micro.transport.http";

export interface HttpTransportOptions {
  /** Every dial is TLS, with these options. Without it, TLS is for nodes that say `secure=true`, verified against the system's roots. */
  tls?: ClientTlsOptions | undefined;
  /** Most idle connections kept for each address. Default 100, as Go. */
  poolSize?: number;
  /** For how long after it was dialled a connection is used again. Default 60 s, as Go. */
  poolTtl?: Duration;
  /** Limit of a dial, TLS handshake included. Default 5 s. */
  dialTimeout?: Duration;
  /** Server: how long a connection may be idle. Default 120 s; Go clients keep theirs for 60. It also limits the arrival of one body. */
  idleTimeout?: Duration;
  /** Server: from the first byte of a request to the end of its head. Default 5 s. */
  headTimeout?: Duration;
  /** Server: from the accept to the first byte, where the listener has not read it. Default 10 s. */
  firstByteTimeout?: Duration;
  /** Largest start line and headers, in bytes, either way. Default 1 MiB. */
  maxHeader?: number;
  /** Largest body, in bytes, either way. Default 4 MiB. */
  maxBody?: number;
  clock?: Clock;
}

/** The options with their defaults, durations in milliseconds. */
export interface Settings {
  readonly tls: ClientTlsOptions | undefined;
  readonly poolSize: number;
  readonly poolTtl: number;
  readonly dialTimeout: number;
  readonly idleTimeout: number;
  readonly headTimeout: number;
  readonly firstByteTimeout: number;
  readonly maxHeader: number;
  readonly maxBody: number;
  readonly clock: Clock;
}

export function settingsOf(options: HttpTransportOptions): Settings {
  return {
    tls: options.tls,
    poolSize: options.poolSize ?? 100,
    poolTtl: milliseconds(options.poolTtl ?? "60s"),
    dialTimeout: milliseconds(options.dialTimeout ?? "5s"),
    idleTimeout: milliseconds(options.idleTimeout ?? "120s"),
    headTimeout: milliseconds(options.headTimeout ?? "5s"),
    firstByteTimeout: milliseconds(options.firstByteTimeout ?? "10s"),
    maxHeader: options.maxHeader ?? 1 << 20,
    maxBody: options.maxBody ?? 4 << 20,
    clock: options.clock ?? systemClock,
  };
}
