import type { Driver } from "../internal/driver.ts";
import type { Logger } from "../logger.ts";

const nothing: Logger = {
  level: "fatal",
  enabled: () => false,
  trace() {},
  debug() {},
  info() {},
  warn() {},
  error() {},
  fatal() {},
  child: () => nothing,
};

/** Says nothing. */
export function noopLogger(): Logger {
  return nothing;
}

/** By name, from `loadDriver("logger", "noop")`. */
export const driver: Driver<Logger> = { name: "noop", fromAddress: noopLogger };
