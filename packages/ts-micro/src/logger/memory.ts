import type { Driver } from "../internal/driver.ts";
import type { Level, Logger } from "../logger.ts";
import { LeveledLogger } from "./common/leveled.ts";
import { parseLevel } from "./common/levels.ts";

/** One line as it was logged. */
export interface LogRecord {
  readonly level: Level;
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>>;
  /** Wall clock in milliseconds. */
  readonly time: number;
}

export interface MemoryLoggerOptions {
  /** Least level kept. Default `trace`. */
  level?: Level | undefined;
  /** Most records kept, the oldest go first. Default 1000. */
  limit?: number | undefined;
  fields?: Record<string, unknown> | undefined;
  /** Wall clock in milliseconds. Default Date.now. */
  now?: (() => number) | undefined;
}

export interface MemoryLogger extends Logger {
  /** Oldest first; children write to the same list. */
  readonly records: readonly LogRecord[];
  clear(): void;
}

/** Keeps what is logged, for tests. */
export function memoryLogger(options: MemoryLoggerOptions = {}): MemoryLogger {
  const records: LogRecord[] = [];
  const limit = options.limit ?? 1000;
  const now = options.now ?? Date.now;
  const logger = new LeveledLogger(options.level ?? "trace", { ...options.fields }, (level, message, fields) => {
    records.push({ level, message, fields, time: now() });
    if (records.length > limit) records.shift();
  });
  return Object.assign(logger, {
    records,
    clear(): void {
      records.length = 0;
    },
  });
}

/** By name, from `loadDriver("logger", "memory")`. The address is a level. */
export const driver: Driver<Logger> = {
  name: "memory",
  fromAddress: (address) => memoryLogger({ level: parseLevel(address ?? "") }),
};
