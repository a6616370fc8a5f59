import { integerOf } from "./bytes.ts";
import { malformed, type ResolvedLimits } from "./limits.ts";
import { latin1Slice, utf8Slice } from "../utf8.ts";
import { canonicalHeader, isTokenByte } from "./names.ts";

/** What the headers say about the body and the connection. */
export interface Framing {
  /** -1 without Content-Length. */
  length: number;
  chunked: boolean;
  /** Value of Connection, `""` without. */
  connection: string;
}

const CR = 13;
const LF = 10;
const COLON = 58;
const maxRemembered = 4096;
const digits = /^[0-9]+$/;

/**
 * Reads the header lines of one head after another from the same peer. A line equal to the one at the same place in an earlier head is only
 * compared, not parsed: of the eleven lines that a Go client repeats on a pooled connection, nine.
 *
 * Strict where leniency lets two readers of one message disagree: CRLF only, no folding, no space around names, no control characters,
 * one Content-Length, `chunked` as the only transfer coding, never both.
 */
export class HeadReader {
  readonly framing: Framing = { length: -1, chunked: false, connection: "" };
  /** Where the body begins, after a head has been read. */
  next = 0;
  readonly #limits: ResolvedLimits;
  // The first lines of an earlier head: their bytes, where each begins, where its name ends (after the colon), and what it says.
  // They are always lines of one and the same head without repeated names, so matching them in order needs no search for repeats.
  #bytes: Buffer = Buffer.alloc(0);
  readonly #starts: number[] = [0];
  readonly #colons: number[] = [];
  readonly #names: string[] = [];
  readonly #values: string[] = [];

  constructor(limits: ResolvedLimits) {
    this.#limits = limits;
  }

  /** Reads from `buffer[at]`, the first header line, to the empty line; `undefined` if `end` comes before that. */
  read(buffer: Buffer, at: number, end: number): string[] | undefined {
    const framing = this.framing;
    framing.length = -1;
    framing.chunked = false;
    framing.connection = "";
    const out: string[] = [];
    let following = true;
    let seen: Set<string> | undefined;
    for (let i = 0; at + 1 < end; i++) {
      if (buffer[at] === CR) {
        if (buffer[at + 1] !== LF) throw malformed("bare CR in a head");
        if (framing.chunked && framing.length >= 0) throw malformed("Content-Length beside Transfer-Encoding");
        this.next = at + 2;
        return out;
      }
      if (i === this.#limits.maxHeaders) throw malformed(`more than ${i} headers`);
      let name = "";
      let from = 0;
      if (following && i < this.#names.length) {
        const start = this.#starts[i] as number;
        const stop = this.#starts[i + 1] as number;
        const equal = this.#compare(buffer, at, end, start, stop);
        if (equal === stop) {
          name = this.#names[i] as string;
          const value = this.#values[i] as string;
          this.#note(name, value);
          out.push(name, value);
          at += stop - start;
          continue;
        }
        if (equal >= (this.#colons[i] as number)) {
          name = this.#names[i] as string;
          from = at + (this.#colons[i] as number) - start;
        }
      }
      const known = name !== "";
      if (!known) {
        let p = at;
        while (p < end && isTokenByte(buffer[p] as number)) p++;
        if (p === end) return undefined;
        const canonical = buffer[p] === COLON ? canonicalHeader(buffer.toString("latin1", at, p)) : undefined;
        if (canonical === undefined) throw malformed("illegal character in a header name, or none");
        name = canonical;
        from = p + 1;
      }
      let wide = false;
      let p = from;
      for (; p < end; p++) {
        const c = buffer[p] as number;
        if (c >= 128) wide = true;
        else if (c < 32 ? c !== 9 : c === 127) break;
      }
      if (p < end && buffer[p] !== CR) throw malformed("control character in a header value");
      if (p + 1 >= end) return undefined;
      if (buffer[p + 1] !== LF) throw malformed("bare CR in a header value");
      const value = textOf(buffer, from, p, wide);
      if (!known) {
        if (following) this.#forget(i);
        if (i < 32 ? has(out, name) : (seen ??= namesOf(out)).has(name)) {
          this.#repeated(name, value);
          following = false;
          at = p + 2;
          continue;
        }
        seen?.add(name);
        following &&= this.#remember(buffer, at, from, p + 2, name, value);
      }
      this.#note(name, value);
      out.push(name, value);
      at = p + 2;
    }
    return undefined;
  }

  /** How far the remembered bytes `[m, stop)` equal those at `buffer[at]`: the offset of the first that does not. */
  #compare(buffer: Buffer, at: number, end: number, m: number, stop: number): number {
    const bytes = this.#bytes;
    const last = Math.min(stop, m + end - at);
    while (m < last && bytes[m] === buffer[at]) {
      m++;
      at++;
    }
    return m;
  }

  #note(name: string, value: string): void {
    if (name.length === 14) {
      if (name === "Content-Length") this.framing.length = lengthOf(value);
    } else if (name.length === 17) {
      if (name !== "Transfer-Encoding") return;
      if (value.toLowerCase() !== "chunked") throw malformed("transfer coding other than chunked");
      this.framing.chunked = true;
    } else if (name === "Connection") this.framing.connection = value;
  }

  // A repeated header is dropped, the first one holds, as in Go; those that frame the body must not even differ.
  #repeated(name: string, value: string): void {
    if (name === "Transfer-Encoding") throw malformed("Transfer-Encoding twice");
    if (name === "Content-Length" && lengthOf(value) !== this.framing.length)
      throw malformed("Content-Length twice, and different");
  }

  #remember(buffer: Buffer, at: number, colon: number, end: number, name: string, value: string): boolean {
    const start = this.#starts[this.#names.length] as number;
    const stop = start + end - at;
    if (stop > maxRemembered) return false;
    if (stop > this.#bytes.length) {
      const grown = Buffer.allocUnsafe(Math.min(maxRemembered, Math.max(512, 2 * stop)));
      this.#bytes.copy(grown, 0, 0, start);
      this.#bytes = grown;
    }
    buffer.copy(this.#bytes, start, at, end);
    this.#starts.push(stop);
    this.#colons.push(start + colon - at);
    this.#names.push(name);
    this.#values.push(value);
    return true;
  }

  #forget(from: number): void {
    if (from >= this.#names.length) return;
    this.#starts.length = from + 1;
    this.#colons.length = from;
    this.#names.length = from;
    this.#values.length = from;
  }
}

// Trims space and tab only, and bytes rather than text: 0xA0 is no blank, it ends many UTF-8 characters.
function textOf(buffer: Buffer, from: number, to: number, wide: boolean): string {
  while (from < to && isBlank(buffer[from] as number)) from++;
  while (to > from && isBlank(buffer[to - 1] as number)) to--;
  if (from === to) return "";
  return wide ? utf8Slice(buffer, from, to) : latin1Slice(buffer, from, to);
}

function isBlank(code: number): boolean {
  return code === 32 || code === 9;
}

function lengthOf(value: string): number {
  const short = integerOf(value);
  if (short !== undefined) return short;
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
