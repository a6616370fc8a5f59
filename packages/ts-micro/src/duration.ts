import { MicroError } from "./errors.ts";

/** A length of time: milliseconds as a number, or Go's syntax: `"500ms"`, `"5s"`, `"1h30m"`, `"1.5s"`, `"100us"`. */
export type Duration = number | string;

const unit: Record<string, number> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  μs: 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
};
const part = /(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)/y;

/**
 * A Duration in milliseconds (fractions kept). Mirrors Go's time.ParseDuration.
 * @throws MicroError BAD_REQUEST for text that is no duration, NaN, or a negative value.
 */
export function milliseconds(value: Duration): number {
  const ms = typeof value === "number" ? value : parse(value);
  if (Number.isNaN(ms) || ms < 0) {
    throw new MicroError({
      code: "BAD_REQUEST",
      id: "duration",
      detail: `invalid duration ${JSON.stringify(value)}: use milliseconds or text like "500ms", "5s", "1h30m"`,
    });
  }
  return ms;
}

function parse(text: string): number {
  if (text === "0") return 0;
  const sign = text.startsWith("-") ? -1 : 1;
  let at = sign < 0 || text.startsWith("+") ? 1 : 0;
  if (at === text.length) return NaN;
  let total = 0;
  while (at < text.length) {
    part.lastIndex = at;
    const found = part.exec(text);
    if (found === null) return NaN;
    total += Number(found[1]) * (unit[found[2] as string] as number);
    at = part.lastIndex;
  }
  return sign * total;
}
