import { fault, type Place } from "../fault.ts";
import { Comments, type Between } from "./comments.ts";

/** A token of a `.proto`, with the comments between the token before and itself where a declaration may begin there. */
export interface Token {
  readonly kind: "word" | "int" | "float" | "string" | "symbol" | "end";
  /** As written; the decoded value of a string. */
  readonly text: string;
  /** Bytes of a string. */
  readonly bytes?: readonly number[] | undefined;
  readonly place: Place;
  /** Where it ends, counted from 1. */
  readonly endLine: number;
  readonly endColumn: number;
  readonly between?: Between | undefined;
}

const word = /[A-Za-z_][A-Za-z0-9_]*/y;
const float =
  /(?:[0-9]+\.[0-9]*(?:[eE][+-]?[0-9]+)?|\.[0-9]+(?:[eE][+-]?[0-9]+)?|[0-9]+[eE][+-]?[0-9]+)[fF]?|[0-9]+[fF]/y;
const int = /0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*/y;
const symbols = new Set([..."{}[]()<>=;,.:-+/"]);
const simple: Readonly<Record<string, number>> = {
  a: 7,
  b: 8,
  f: 12,
  n: 10,
  r: 13,
  t: 9,
  v: 11,
  "?": 63,
  "\\": 92,
  "'": 39,
  '"': 34,
};

/** The tokens of a file. @throws ProtoFault */
export function tokensOf(file: string, text: string): Token[] {
  return new Lexer(file, text).run();
}

class Lexer {
  readonly #file: string;
  readonly #text: string;
  #at = 0;
  #line = 1;
  #lineStart = 0;

  constructor(file: string, text: string) {
    this.#file = file;
    this.#text = text;
    if (text.startsWith("\uFEFF")) this.#at = this.#lineStart = 1;
  }

  run(): Token[] {
    const tokens: Token[] = [];
    for (;;) {
      const before = tokens.at(-1);
      const comments = this.#space(before);
      const token = this.#token();
      const opens = before === undefined || (before.kind === "symbol" && ";{}".includes(before.text));
      tokens.push(opens ? { ...token, between: comments.end(token.text) } : token);
      if (token.kind === "end") return tokens;
    }
  }

  /** White space and comments. */
  #space(before: Token | undefined): Comments {
    const comments = new Comments(before === undefined);
    const text = this.#text;
    for (;;) {
      const char = text[this.#at];
      if (char === "\n") {
        comments.newline();
        this.#newline();
      } else if (char === " " || char === "\t" || char === "\r" || char === "\v" || char === "\f") this.#at++;
      else if (text.startsWith("//", this.#at)) {
        const end = text.indexOf("\n", this.#at);
        const stop = end < 0 ? text.length : end;
        comments.line(`${text.slice(this.#at + 2, stop)}\n`);
        this.#at = stop;
        if (end >= 0) this.#newline();
      } else if (text.startsWith("/*", this.#at)) {
        const place = this.#place();
        const end = text.indexOf("*/", this.#at + 2);
        if (end < 0) throw fault(place, "this comment does not end");
        comments.block(text.slice(this.#at + 2, end));
        for (; this.#at < end + 2; this.#at++) if (text[this.#at] === "\n") this.#newline(false);
      } else return comments;
    }
  }

  #newline(consume = true): void {
    this.#line++;
    this.#lineStart = this.#at + 1;
    if (consume) this.#at++;
  }

  #place(at: number = this.#at): Place {
    return { file: this.#file, line: this.#line, column: at - this.#lineStart + 1 };
  }

  #token(): Token {
    const place = this.#place();
    const char = this.#text[this.#at];
    if (char === undefined) return this.#made("end", "the end of the file", place);
    if (char === '"' || char === "'") return this.#string(place, char);
    for (const [kind, pattern] of [
      ["word", word],
      ["float", float],
      ["int", int],
    ] as const) {
      pattern.lastIndex = this.#at;
      const found = pattern.exec(this.#text)?.[0];
      if (found === undefined) continue;
      this.#at += found.length;
      if (kind !== "word" && /[A-Za-z0-9_]/.test(this.#text[this.#at] ?? ""))
        throw fault(place, `${JSON.stringify(found + (this.#text[this.#at] ?? ""))} is no number`);
      return this.#made(kind, found, place);
    }
    if (!symbols.has(char)) throw fault(place, `unexpected ${JSON.stringify(char)}`);
    this.#at++;
    return this.#made("symbol", char, place);
  }

  #made(kind: Token["kind"], text: string, place: Place, bytes?: readonly number[]): Token {
    return { kind, text, place, endLine: this.#line, endColumn: this.#at - this.#lineStart + 1, bytes };
  }

  #string(place: Place, quote: string): Token {
    const bytes: number[] = [];
    this.#at++;
    for (;;) {
      const char = this.#text[this.#at];
      if (char === undefined || char === "\n") throw fault(place, "this string does not end");
      if (char === quote) break;
      if (char === "\\") bytes.push(...this.#escape());
      else {
        const code = this.#text.codePointAt(this.#at) as number;
        const point = String.fromCodePoint(code);
        bytes.push(...Buffer.from(point, "utf8"));
        this.#at += point.length;
      }
    }
    this.#at++;
    return this.#made("string", Buffer.from(bytes).toString("utf8"), place, bytes);
  }

  #escape(): readonly number[] {
    const place = this.#place();
    const rest = this.#text.slice(this.#at + 1, this.#at + 10);
    const numeric =
      /^[xX]([0-9a-fA-F]{1,2})/.exec(rest) ??
      /^([0-7]{1,3})/.exec(rest) ??
      /^u([0-9a-fA-F]{4})/.exec(rest) ??
      /^U([0-9a-fA-F]{8})/.exec(rest);
    const head = rest[0] ?? "";
    if (numeric !== null) {
      const base = /[0-7]/.test(head) ? 8 : 16;
      const code = Number.parseInt(numeric[1] as string, base);
      const unicode = head === "u" || head === "U";
      if (code > (unicode ? 0x10ffff : 255)) throw fault(place, `\\${numeric[0]} is out of range`);
      this.#at += 1 + numeric[0].length;
      return unicode ? [...Buffer.from(String.fromCodePoint(code), "utf8")] : [code];
    }
    const known = simple[head];
    if (known === undefined) throw fault(place, `\\${head} is no escape sequence`);
    this.#at += 2;
    return [known];
  }
}
