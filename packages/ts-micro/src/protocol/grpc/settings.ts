import type { Http2ServerOptions } from "../../backends/http2.ts";
import { systemClock, type Clock } from "../../clock.ts";
import { milliseconds, type Duration } from "../../duration.ts";
import type { ClientTlsOptions } from "../../tls.ts";

export interface GrpcOptions {
  /** Every dial is TLS, with these options. Without it, TLS is for nodes that say `secure=true`, verified against the system's roots. */
  tls?: ClientTlsOptions | undefined;
  /** Limit of a dial, TLS handshake included. Default 5 s. */
  dialTimeout?: Duration | undefined;
  /** Largest message, in bytes, either way. Default 4 MiB, as everywhere in gRPC. */
  maxMessage?: number | undefined;
  /** Largest block of headers, in bytes. Default 64 KiB. */
  maxHeader?: number | undefined;
  /** True: the client's requests are compressed by gzip, where that is shorter. Answers are when the request was. Default false. */
  gzip?: boolean | undefined;
  /**
   * How long a connection with calls under way may be silent until it is asked for a sign of life. Default 10 s between ends of ours, 5 min
   * toward other servers, since gRPC ones cut off who asks more often.
   */
  keepalive?: Duration | undefined;
  /** How long that sign may take. Default 10 s. */
  keepaliveTimeout?: Duration | undefined;
  /**
   * Server: how long a connection may be without calls, and how long the one message of a unary call, or the body of a plain request, may
   * take to arrive. Default 2 min.
   */
  idleTimeout?: Duration | undefined;
  /** Server: most calls of one connection at once. Further ones wait at the client. Default 1000. */
  maxStreams?: number | undefined;
  /**
   * Server: how many calls of one connection may be reset at once, and how many are forgiven each second; past them it is closed with
   * ENHANCE_YOUR_CALM. Default 800 and 30: node:http2 itself ends it at 1000 and 33.
   */
  resets?: { readonly burst: number; readonly perSecond: number } | undefined;
  /** Server: `grpc.health.v1.Health`. Default true. */
  health?: boolean | undefined;
  /** Server: reflection, for grpcurl and the like. Default true. */
  reflection?: boolean | undefined;
  clock?: Clock | undefined;
}

/** The options with their defaults, durations in milliseconds. */
export interface Settings {
  readonly tls: ClientTlsOptions | undefined;
  readonly dialTimeout: number;
  readonly maxMessage: number;
  readonly maxHeader: number;
  readonly gzip: boolean;
  /** Undefined: it depends on the peer. */
  readonly keepalive: number | undefined;
  readonly keepaliveTimeout: number;
  readonly idleTimeout: number;
  readonly maxStreams: number;
  readonly resets: { readonly burst: number; readonly perSecond: number };
  readonly health: boolean;
  readonly reflection: boolean;
  readonly clock: Clock;
}

/** What a peer may send on one stream before it has to wait. */
export const window: number = 256 * 1024;

export function settingsOf(options: GrpcOptions): Settings {
  return {
    tls: options.tls,
    dialTimeout: milliseconds(options.dialTimeout ?? "5s"),
    maxMessage: options.maxMessage ?? 4 << 20,
    maxHeader: options.maxHeader ?? 64 * 1024,
    gzip: options.gzip ?? false,
    keepalive: options.keepalive === undefined ? undefined : milliseconds(options.keepalive),
    keepaliveTimeout: milliseconds(options.keepaliveTimeout ?? "10s"),
    idleTimeout: milliseconds(options.idleTimeout ?? "2m"),
    maxStreams: options.maxStreams ?? 1000,
    resets: options.resets ?? { burst: 800, perSecond: 30 },
    health: options.health ?? true,
    reflection: options.reflection ?? true,
    clock: options.clock ?? systemClock,
  };
}

/** What a server of HTTP/2 takes of one connection. */
export function serverLimits(settings: Settings): Omit<Http2ServerOptions, "request"> {
  const { clock, maxHeader, maxStreams, resets, idleTimeout, keepalive, keepaliveTimeout } = settings;
  return {
    clock,
    maxHeader,
    maxStreams,
    resets,
    window,
    greeting: 5000,
    idle: idleTimeout,
    keepalive: keepalive ?? 10_000,
    keepaliveTimeout,
  };
}
