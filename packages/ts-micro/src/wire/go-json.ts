import { randomUuid } from "../internal/random.ts";
import { invalid, parseExact } from "./go-json/exact.ts";

/** Nesting above this is refused when reading. Go stops at 10000. */
export const maxJsonDepth: number = 1000;

/**
 * `value` as compact JSON like Go's encoding/json: `<`, `>`, `&`, U+2028 and U+2029 are `\u00XX` (wire spec §1.6). A bigint becomes an
 * integer literal, which Go reads into int64 and uint64. Throws BAD_REQUEST for what has no JSON form: undefined, functions, cycles, nesting
 * that exhausts the stack. As in JSON.stringify, NaN and infinities become null; bytes must be base64 text already.
 */
export function goJsonText(value: unknown): string {
  const text = plainJsonText(value);
  return htmlUnsafe.test(text) ? text.replace(allHtmlUnsafe, escape) : text;
}

/** {@link goJsonText} for readers that are not Go's: `<`, `>` and `&` as they are. */
export function plainJsonText(value: unknown): string {
  let text: string | undefined;
  try {
    text = stringify(value);
  } catch (cause) {
    throw invalid(`no JSON form: ${cause instanceof Error ? cause.message : String(cause)}`, cause);
  }
  if (text === undefined) throw invalid(`no JSON form: ${typeof value}`);
  return text;
}

/** {@link goJsonText} and the newline that Go's stream encoder writes after a body. */
export function goJsonEncode(value: unknown): string {
  return goJsonText(value) + "\n";
}

/**
 * The value of a JSON document, with any white space around it; bytes that are no UTF-8 become U+FFFD, as in Go. Throws BAD_REQUEST, with the
 * position in characters, for anything else, for nesting above {@link maxJsonDepth}, and for the key `__proto__`, which would become the
 * prototype of careless copies. An integer of int64 or uint64 that a double would round, or print otherwise, becomes a
 * bigint, so nothing is lost silently; every other number is a double, as in Go's `any`.
 */
export function goJsonDecode(input: Uint8Array | string): unknown {
  const text =
    typeof input === "string" ? input : Buffer.from(input.buffer, input.byteOffset, input.byteLength).toString("utf8");
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return parseExact(text, maxJsonDepth); // it says where
  }
  return odd(value, 0) ? parseExact(text, maxJsonDepth) : value;
}

/** True for a value that JSON.parse has not read as it should: a number that it has rounded, a key `__proto__`, or too deep a nesting. */
function odd(value: unknown, depth: number): boolean {
  if (typeof value === "number") return value >= 2 ** 53 || value <= -(2 ** 53);
  if (typeof value !== "object" || value === null) return false;
  if (depth >= maxJsonDepth) return true;
  if (Array.isArray(value)) {
    for (const member of value as unknown[]) if (odd(member, depth + 1)) return true;
    return false;
  }
  for (const key in value) {
    if (key === "__proto__" || odd((value as Readonly<Record<string, unknown>>)[key], depth + 1)) return true;
  }
  return false;
}

const htmlUnsafe = /[<>&\u2028\u2029]/;
const allHtmlUnsafe = /[<>&\u2028\u2029]/g;
function escape(char: string): string {
  return "\\u" + char.charCodeAt(0).toString(16).padStart(4, "0");
}

// Stands in for a bigint in what JSON.stringify writes, which knows none. No user's text can contain it: it never leaves this module.
const mark = randomUuid();
const marked = new RegExp(`"${mark}(-?[0-9]+)"`, "g");

function stringify(value: unknown): string | undefined {
  try {
    return JSON.stringify(value);
  } catch (error) {
    if (!(error instanceof TypeError) || !error.message.includes("BigInt")) throw error;
  }
  const text = JSON.stringify(value, (_key, member: unknown) => (typeof member === "bigint" ? mark + member : member));
  return text.replace(marked, "$1");
}
