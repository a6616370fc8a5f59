import type { Log } from "./context.ts";

/** Go's levels, least to most severe. */
export type Level = "trace" | "debug" | "info" | "warn" | "error" | "fatal";

/** A small levelled logger. `fatal` logs; it never ends the process. */
export interface Logger extends Log {
  readonly level: Level;
  /** Whether a line of this level would be written. */
  enabled(level: Level): boolean;
  fatal(message: string, fields?: Record<string, unknown>): void;
  /** A logger that adds `fields` to each line. */
  child(fields: Record<string, unknown>): Logger;
}
