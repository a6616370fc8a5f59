import { fault, type Place } from "../fault.ts";
import type { Token } from "./lexer.ts";

/** Walks through tokens. Faults say what was expected where. */
export class Cursor {
  readonly #tokens: readonly Token[];
  #at = 0;

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens;
  }

  get token(): Token {
    return this.#tokens[this.#at] as Token;
  }

  /** The token taken last. */
  get last(): Token {
    return this.#tokens[Math.max(0, this.#at - 1)] as Token;
  }

  get place(): Place {
    return this.token.place;
  }

  next(): Token {
    const { token } = this;
    if (token.kind !== "end") this.#at++;
    return token;
  }

  /** Whether a symbol or a word stands `ahead` of here. */
  sees(text: string, ahead = 0): boolean {
    const token = this.#tokens[Math.min(this.#at + ahead, this.#tokens.length - 1)] as Token;
    return token.kind !== "string" && token.kind !== "end" && token.text === text;
  }

  take(text: string): boolean {
    if (!this.sees(text)) return false;
    this.#at++;
    return true;
  }

  need(text: string): Token {
    if (!this.sees(text)) throw this.unexpected(JSON.stringify(text));
    return this.next();
  }

  word(what: string): Token {
    if (this.token.kind !== "word") throw this.unexpected(what);
    return this.next();
  }

  /** A string, or several in a row, which are one. */
  string(what: string): { text: string; bytes: number[] } {
    if (this.token.kind !== "string") throw this.unexpected(what);
    const bytes: number[] = [];
    while (this.token.kind === "string") bytes.push(...(this.next().bytes ?? []));
    return { text: Buffer.from(bytes).toString("utf8"), bytes };
  }

  /** A whole number within bounds, with a sign where the bounds have room for one. */
  integer(what: string, min: number, max: number): number {
    const { place } = this;
    const negative = min < 0 && this.take("-");
    if (this.token.kind !== "int") throw this.unexpected(what);
    const size = bigintOf(this.next().text);
    const value = Number(negative ? -size : size);
    if (value < min || value > max) throw fault(place, `${what} ${value} is not between ${min} and ${max}`);
    return value;
  }

  /** `a.b.c`, `.a.b.c` */
  name(what: string): string {
    let name = this.take(".") ? "." : "";
    do name += `${name === "" || name === "." ? "" : "."}${this.word(what).text}`;
    while (this.take("."));
    return name;
  }

  unexpected(wanted: string): Error {
    const { kind, text, place } = this.token;
    return fault(place, `${wanted} is expected, not ${kind === "end" ? text : JSON.stringify(text)}`);
  }
}

/** `0x1F`, `017`, `15` */
export function bigintOf(text: string): bigint {
  return BigInt(/^0[0-7]+$/.test(text) ? `0o${text.slice(1)}` : text);
}
