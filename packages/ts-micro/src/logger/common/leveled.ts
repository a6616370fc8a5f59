import type { Level, Logger } from "../../logger.ts";
import { rankOf } from "./levels.ts";
import { read } from "./plain.ts";

/** Where lines go. Never throws. */
export type Write = (level: Level, message: string, fields: Readonly<Record<string, unknown>>) => void;

/** The one logger: a level, context fields, and a place to write to. */
export class LeveledLogger implements Logger {
  readonly level: Level;
  readonly #least: number;
  readonly #fields: Readonly<Record<string, unknown>>;
  readonly #write: Write;

  constructor(level: Level, fields: Readonly<Record<string, unknown>>, write: Write) {
    this.level = level;
    this.#least = rankOf(level) as number;
    this.#fields = fields;
    this.#write = write;
  }

  enabled(level: Level): boolean {
    return (rankOf(level) ?? -1) >= this.#least;
  }

  trace(message: string, fields?: Record<string, unknown>): void {
    if (this.#least <= 0) this.#line("trace", message, fields);
  }

  debug(message: string, fields?: Record<string, unknown>): void {
    if (this.#least <= 1) this.#line("debug", message, fields);
  }

  info(message: string, fields?: Record<string, unknown>): void {
    if (this.#least <= 2) this.#line("info", message, fields);
  }

  warn(message: string, fields?: Record<string, unknown>): void {
    if (this.#least <= 3) this.#line("warn", message, fields);
  }

  error(message: string, fields?: Record<string, unknown>): void {
    if (this.#least <= 4) this.#line("error", message, fields);
  }

  fatal(message: string, fields?: Record<string, unknown>): void {
    this.#line("fatal", message, fields);
  }

  child(fields: Record<string, unknown>): Logger {
    return new LeveledLogger(this.level, merged(this.#fields, fields), this.#write);
  }

  #line(level: Level, message: string, fields: Record<string, unknown> | undefined): void {
    this.#write(level, message, fields === undefined ? this.#fields : merged(this.#fields, fields));
  }
}

function merged(own: Readonly<Record<string, unknown>>, fields: Record<string, unknown>): Record<string, unknown> {
  try {
    return { ...own, ...fields };
  } catch {
    const names = Object.keys(fields).map((name) => [name, read(fields, name)]);
    return { ...own, ...(Object.fromEntries(names) as Record<string, unknown>) };
  }
}
