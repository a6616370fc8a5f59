import type { Level } from "../../logger.ts";
import { plainRecord } from "./plain.ts";

const paint: Record<Level, string> = {
  trace: "\u001b[90m",
  debug: "\u001b[36m",
  info: "\u001b[32m",
  warn: "\u001b[33m",
  error: "\u001b[31m",
  fatal: "\u001b[35m",
};
const dim = "\u001b[2m";
const plainText = "\u001b[0m";

/** `12:30:01.250 INFO  message key=value`, then of each error the stack, its fields and the errors that it holds, indented. */
export function prettyLine(
  time: number,
  level: Level,
  text: string,
  given: Readonly<Record<string, unknown>>,
  colour: boolean,
): string {
  const { message, fields } = plainRecord(text, given);
  const clock = new Date(time).toISOString().slice(11, 23);
  const word = level.toUpperCase().padEnd(5);
  let pairs = "";
  let below = "";
  for (const key of Object.keys(fields)) {
    const value = fields[key];
    if (value === undefined) continue;
    if (isError(value)) {
      pairs += ` ${safe(key)}=${show(value.message || value.name)}`;
      below += trace(value, "    ");
    } else pairs += ` ${safe(key)}=${show(value)}`;
  }
  const said = safe(message);
  if (!colour) return `${clock} ${word} ${said}${pairs}\n${below}`;
  return `${dim}${clock}${plainText} ${paint[level]}${word}${plainText} ${said}${dim}${pairs}${plainText}\n${below}`;
}

interface PlainError extends Readonly<Record<string, unknown>> {
  readonly name: unknown;
  readonly message: unknown;
  readonly stack: unknown;
}

function isError(value: unknown): value is PlainError {
  return typeof value === "object" && value !== null && "message" in value && "name" in value && "stack" in value;
}

function trace(error: PlainError, indent: string): string {
  const { name: _name, message, stack, ...fields } = error;
  let pairs = "";
  let inner = "";
  for (const key of Object.keys(fields)) {
    const value = fields[key];
    const held: unknown[] = Array.isArray(value) ? value : [value];
    if (held.some(isError)) {
      const below = `${indent}  `;
      inner += `${indent}${key === "cause" ? "caused by" : safe(key)}:\n`;
      for (const each of held) inner += isError(each) ? trace(each, below) : `${below}${show(each)}\n`;
    } else if (value !== undefined && value !== message) pairs += ` ${safe(key)}=${show(value)}`;
  }
  const lines = String(stack)
    .split("\n")
    .map((line) => `${indent}${safe(line)}\n`);
  return `${lines.join("")}${pairs === "" ? "" : `${indent}${pairs.slice(1)}\n`}${inner}`;
}

function show(value: unknown): string {
  if (typeof value === "string") return /^[\w.:/@+-]+$/.test(value) ? value : safe(JSON.stringify(value));
  return safe(JSON.stringify(value));
}

/** Control characters in a message must not drive somebody's terminal, or fake a line. */
function safe(text: unknown): string {
  return String(text).replace(/\p{Cc}/gu, (c) =>
    c === "\t" ? c : `\\x${c.charCodeAt(0).toString(16).padStart(2, "0")}`,
  );
}
