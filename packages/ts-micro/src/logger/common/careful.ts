import type { Level, Logger } from "../../logger.ts";
import { rankOf } from "./levels.ts";

/**
 * A logger that somebody else wrote: what it throws, or rejects with, is a warning of the process, once, and fails nothing. `least`: below
 * it nothing is handed on.
 */
export function carefulLogger(inner: Logger, least?: Level, warn: (error: unknown) => void = once()): Logger {
  const from = rankOf(least ?? "trace") ?? 0;
  const passes = (level: Level): boolean => (rankOf(level) ?? from) >= from;
  const line =
    (level: Level) =>
    (message: string, fields?: Record<string, unknown>): void => {
      if (!passes(level)) return;
      try {
        const result: unknown = inner[level](message, fields);
        if (result instanceof Promise) result.catch(warn);
      } catch (error) {
        warn(error);
      }
    };
  return {
    get level() {
      return passes(inner.level) ? inner.level : (least ?? inner.level);
    },
    enabled: (level) => passes(level) && inner.enabled(level),
    trace: line("trace"),
    debug: line("debug"),
    info: line("info"),
    warn: line("warn"),
    error: line("error"),
    fatal: line("fatal"),
    child: (fields) => carefulLogger(inner.child(fields), least, warn),
  };
}

function once(): (error: unknown) => void {
  let warned = false;
  return (error) => {
    if (warned) return;
    warned = true;
    const why = error instanceof Error ? error.message : String(error);
    process.emitWarning(`the logger fails: ${why}`, { code: "TS_MICRO_LOGGER" });
  };
}
