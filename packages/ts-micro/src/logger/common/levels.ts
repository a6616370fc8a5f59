import type { Level } from "../../logger.ts";

/** Least to most severe. */
export const levels: readonly Level[] = ["trace", "debug", "info", "warn", "error", "fatal"];

const rank = new Map<string, number>(levels.map((level, i) => [level, i]));

/** Its place in {@link levels}; undefined for a word that is no level. */
export function rankOf(level: string): number | undefined {
  return rank.get(level);
}

/** A level from text as people write it (`INFO`, `warning`); undefined for anything else. */
export function parseLevel(text: string): Level | undefined {
  const word = text.trim().toLowerCase();
  if (word === "warning") return "warn";
  return rank.has(word) ? (word as Level) : undefined;
}
