import { malformed, type ResolvedLimits } from "./limits.ts";
import { canonicalHeader } from "./names.ts";

/** What the headers say about the body and the connection. */
export interface Framing {
  /** -1 without Content-Length. */
  length: number;
  chunked: boolean;
  /** Value of Connection, `""` without. */
  connection: string;
}

const ascii = /^[\t\x20-\x7e]*$/;
// oxlint-disable-next-line no-control-regex -- these are what it looks for
const control = /[\0-\x08\x0a-\x1f\x7f]/;
const digits = /^[0-9]+$/;
const remembered = 64;
const rememberedBytes = 4096;

/**
 * Reads the header lines of one head after another from the same peer. A line equal to the line at the same place in the head before is not
 * parsed again: of the eleven lines that a Go client repeats on a pooled connection, nine.
 *
 * Strict where leniency lets two readers of one message disagree: CRLF only, no folding, no space around names, no control characters,
 * one Content-Length, `chunked` as the only transfer coding, never both.
 */
export class HeadReader {
  readonly #limits: ResolvedLimits;
  // The lines of an earlier head, in order, without repeated names: whole line with CRLF, name as sent with colon, canonical name, value.
  readonly #lines: string[] = [];
  readonly #prefixes: string[] = [];
  readonly #names: string[] = [];
  readonly #values: string[] = [];
  readonly framing: Framing = { length: -1, chunked: false, connection: "" };

  constructor(limits: ResolvedLimits) {
    this.#limits = limits;
  }

  /** `head`: the head as latin1 up to and with the CRLF of its last header line; `at`: where the first header line begins. */
  read(head: string, at: number): string[] {
    const framing = this.framing;
    framing.length = -1;
    framing.chunked = false;
    framing.connection = "";
    const out: string[] = [];
    const lines = this.#lines;
    let same = true;
    let count = 0;
    let seen: Set<string> | undefined;
    while (at < head.length) {
      const i = count++;
      if (count > this.#limits.maxHeaders) throw malformed(`more than ${this.#limits.maxHeaders} headers`);
      let name: string;
      let value: string;
      if (same && i < lines.length && head.startsWith(lines[i] as string, at)) {
        name = this.#names[i] as string;
        value = this.#values[i] as string;
        at += (lines[i] as string).length;
      } else {
        const end = head.indexOf("\r\n", at);
        if (same && i < lines.length && head.startsWith(this.#prefixes[i] as string, at)) {
          name = this.#names[i] as string;
          value = readValue(head, at + (this.#prefixes[i] as string).length, end);
        } else {
          const colon = head.indexOf(":", at);
          if (colon < 0 || colon > end) throw malformed("header line without a colon");
          const canonical = canonicalHeader(head.slice(at, colon));
          if (canonical === undefined) throw malformed("illegal character in a header name");
          name = canonical;
          value = readValue(head, colon + 1, end);
          if (same && lines.length > i) this.#forget(i);
          if (count <= 32 ? has(out, name) : (seen ??= namesOf(out)).has(name)) {
            this.#repeated(name, value);
            same = false;
            at = end + 2;
            continue;
          }
          seen?.add(name);
          if (same && i < remembered && end - at <= rememberedBytes && head.length <= rememberedBytes) {
            lines.push(head.slice(at, end + 2));
            this.#prefixes.push(head.slice(at, colon + 1));
            this.#names.push(name);
            this.#values.push(value);
          } else same = false;
        }
        at = end + 2;
      }
      if (name.length === 14) {
        if (name === "Content-Length") framing.length = readLength(value);
      } else if (name.length === 17) {
        if (name === "Transfer-Encoding") {
          if (value.toLowerCase() !== "chunked") throw malformed("transfer coding other than chunked");
          framing.chunked = true;
        }
      } else if (name === "Connection") framing.connection = value;
      out.push(name, value);
    }
    if (framing.chunked && framing.length >= 0) throw malformed("Content-Length beside Transfer-Encoding");
    return out;
  }

  // A repeated header is dropped, the first one holds; two that frame the body must not even differ.
  #repeated(name: string, value: string): void {
    if (name === "Transfer-Encoding") throw malformed("Transfer-Encoding twice");
    if (name === "Content-Length" && readLength(value) !== this.framing.length)
      throw malformed("Content-Length twice, and different");
  }

  #forget(from: number): void {
    this.#lines.length = from;
    this.#prefixes.length = from;
    this.#names.length = from;
    this.#values.length = from;
  }
}

// Only space and tab are trimmed: String.trim would take 0xA0, which is the second byte of many UTF-8 characters.
function readValue(head: string, from: number, to: number): string {
  while (from < to && isBlank(head.charCodeAt(from))) from++;
  while (to > from && isBlank(head.charCodeAt(to - 1))) to--;
  const value = head.slice(from, to);
  if (ascii.test(value)) return value;
  if (control.test(value)) throw malformed("control character in a header value");
  return Buffer.from(value, "latin1").toString("utf8");
}

function isBlank(code: number): boolean {
  return code === 32 || code === 9;
}

function readLength(value: string): number {
  if (!digits.test(value)) throw malformed("Content-Length is not a number");
  return Number(value);
}

function has(list: readonly string[], name: string): boolean {
  for (let i = 0; i < list.length; i += 2) if (list[i] === name) return true;
  return false;
}

function namesOf(list: readonly string[]): Set<string> {
  const names = new Set<string>();
  for (let i = 0; i < list.length; i += 2) names.add(list[i] as string);
  return names;
}
