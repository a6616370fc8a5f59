import { errors } from "../errors.ts";
import type { Driver } from "../internal/driver.ts";
import type { Level, Logger } from "../logger.ts";
import { LeveledLogger, type Write } from "./common/leveled.ts";
import { levels, parseLevel, rankOf } from "./common/levels.ts";
import { plainRecord } from "./common/plain.ts";
import { prettyLine } from "./common/pretty.ts";

/** The little of a stream that a logger needs. */
export interface LogOutput {
  write(line: string): unknown;
  /** Decides the default format. */
  readonly isTTY?: boolean | undefined;
  /** Bytes not taken yet. Past 16 MiB lines are dropped and counted. */
  readonly writableLength?: number | undefined;
  on?(event: "error", listener: () => void): unknown;
}

export interface ConsoleLoggerOptions {
  /** Least level written. Default `info`. */
  level?: Level | undefined;
  /** Default: `pretty` when the output is a terminal, else `json` (one object a line: `time`, `level`, `message`, then the fields). */
  format?: "json" | "pretty" | undefined;
  /** Default standard error. One that fails loses lines; it never throws into, or ends, what is logging. */
  output?: LogOutput | undefined;
  /** In every line. */
  fields?: Record<string, unknown> | undefined;
  /** Wall clock in milliseconds. Default Date.now. */
  now?: (() => number) | undefined;
  /** Colours of the pretty format. Default: on a terminal without NO_COLOR. */
  colour?: boolean | undefined;
}

/**
 * Writes lines to a stream.
 * @throws MicroError BAD_REQUEST for an unknown level.
 */
export function consoleLogger(options: ConsoleLoggerOptions = {}): Logger {
  const level = options.level ?? "info";
  if (rankOf(level) === undefined)
    throw errors.badRequest("logger", `unknown log level "${level}": one of ${levels.join(", ")}`);
  const now = options.now ?? Date.now;
  // Standard error is opened by whoever asks for it first, which a service that has nothing to say does not.
  let opened: { readonly output: LogOutput; readonly line: Line } | undefined;
  let dropped = 0;
  const write: Write = (level, message, fields) => {
    try {
      const { output, line } = (opened ??= open(options));
      if ((output.writableLength ?? 0) > most) {
        dropped++;
        return;
      }
      if (dropped > 0) {
        const lost = { dropped };
        dropped = 0;
        output.write(line(now(), "warn", "log lines dropped: the output was too slow", lost));
      }
      output.write(line(now(), level, message, fields));
    } catch {
      // A broken output must not break what is being logged; there is nowhere left to say it.
    }
  };
  return new LeveledLogger(level, { ...options.fields }, write);
}

type Line = (time: number, level: Level, message: string, fields: Readonly<Record<string, unknown>>) => string;

function open(options: ConsoleLoggerOptions): { output: LogOutput; line: Line } {
  const output: LogOutput = options.output ?? process.stderr;
  const terminal = output.isTTY === true;
  const colour = options.colour ?? (terminal && !process.env["NO_COLOR"]);
  guard(output);
  return {
    output,
    line:
      (options.format ?? (terminal ? "pretty" : "json")) === "json"
        ? jsonLine
        : (time, level, message, fields) => prettyLine(time, level, message, fields, colour),
  };
}

const most = 16 << 20;
const guarded = new WeakSet<LogOutput>();

/** Without a listener, a log pipe that breaks would end the process. */
function guard(output: LogOutput): void {
  if (guarded.has(output)) return;
  guarded.add(output);
  output.on?.("error", () => {});
}

/** By name, from `loadDriver("logger", "console")`. The address is a level. */
export const driver: Driver<Logger> = {
  name: "console",
  fromAddress: (address) => consoleLogger({ level: parseLevel(address ?? "") }),
};

const own = new Set(["time", "level", "message"]);

function jsonLine(time: number, level: Level, text: string, given: Readonly<Record<string, unknown>>): string {
  const { message, fields } = plainRecord(text, given);
  const record: Record<string, unknown> = { time: new Date(time).toISOString(), level, message };
  // A field never takes the place of the line's own: it is kept under another name.
  for (const key of Object.keys(fields)) record[own.has(key) ? `field.${key}` : key] = fields[key];
  return `${JSON.stringify(record)}\n`;
}
