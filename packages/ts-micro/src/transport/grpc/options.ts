import { milliseconds, type Duration } from "../../duration.ts";
import { pooledSettings, type PooledOptions, type PooledSettings } from "../common/options.ts";

export interface GrpcTransportOptions extends PooledOptions {
  /** Server: how long a connection may be without streams. Default 2 min. */
  idleTimeout?: Duration | undefined;
  /** How long a connection with streams may be silent until it is asked for a sign of life. Default 5 min. */
  keepalive?: Duration | undefined;
}

export interface Settings extends PooledSettings {
  readonly idleTimeout: number;
  readonly keepalive: number;
  readonly keepaliveTimeout: number;
  readonly maxHeader: number;
  readonly window: number;
}

export function settingsOf(options: GrpcTransportOptions): Settings {
  return {
    ...pooledSettings(options),
    idleTimeout: milliseconds(options.idleTimeout ?? "2m"),
    keepalive: milliseconds(options.keepalive ?? "5m"),
    keepaliveTimeout: 10_000,
    maxHeader: 64 * 1024,
    window: 256 * 1024,
  };
}
