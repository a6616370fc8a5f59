import { milliseconds, type Duration } from "../../duration.ts";
import { pooledSettings, type PooledOptions, type PooledSettings } from "../common/options.ts";

export const id = "ts.micro.transport.http";

export interface HttpTransportOptions extends PooledOptions {
  /** Server: how long a connection may be idle. Default 120 s; Go clients keep theirs for 60. It also limits the arrival of one body. */
  idleTimeout?: Duration | undefined;
  /** Server: from the first byte of a request to the end of its head. Default 5 s. */
  headTimeout?: Duration | undefined;
  /** Server: from the accept to the first byte, where the listener has not read it. Default 10 s. */
  firstByteTimeout?: Duration | undefined;
  /** Largest start line and headers, in bytes, either way. Default 1 MiB. */
  maxHeader?: number | undefined;
}

/** The options with their defaults, durations in milliseconds. */
export interface Settings extends PooledSettings {
  readonly idleTimeout: number;
  readonly headTimeout: number;
  readonly firstByteTimeout: number;
  readonly maxHeader: number;
}

export function settingsOf(options: HttpTransportOptions): Settings {
  return {
    ...pooledSettings(options),
    idleTimeout: milliseconds(options.idleTimeout ?? "120s"),
    headTimeout: milliseconds(options.headTimeout ?? "5s"),
    firstByteTimeout: milliseconds(options.firstByteTimeout ?? "10s"),
    maxHeader: options.maxHeader ?? 1 << 20,
  };
}
