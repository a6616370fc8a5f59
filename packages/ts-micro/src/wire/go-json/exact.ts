import { errors, type MicroError } from "../../errors.ts";

const minInt64 = -(2n ** 63n);
const maxUint64 = 2n ** 64n - 1n;
const numberPattern = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y;
const blanks = /[ \t\n\r]*/y;
/**
 * A strict JSON reader for the documents that JSON.parse must not be trusted with: it keeps integers of 64 bits exact (as bigint), bounds the
 * depth, refuses the key `__proto__`, and says where a fault is. About ten times slower than JSON.parse.
 */
export function parseExact(text: string, maxDepth: number): unknown {
  return new Reader(text, maxDepth).document();
}

export function invalid(detail: string, cause?: unknown): MicroError {
  return errors.badRequest("ts.micro.json", detail, cause);
}

class Reader {
  readonly #text: string;
  readonly #maxDepth: number;
  #at = 0;

  constructor(text: string, maxDepth: number) {
    this.#text = text;
    this.#maxDepth = maxDepth;
  }

  document(): unknown {
    const value = this.#value(1);
    this.#blanks();
    if (this.#at < this.#text.length) throw this.#fault();
    return value;
  }

  #value(depth: number): unknown {
    this.#blanks();
    switch (this.#text.charCodeAt(this.#at)) {
      case 123: // {
        return this.#object(depth);
      case 91: // [
        return this.#array(depth);
      case 34: // "
        return this.#string();
      case 116: // t
        return this.#word("true", true);
      case 102: // f
        return this.#word("false", false);
      case 110: // n
        return this.#word("null", null);
      default:
        return this.#number();
    }
  }

  #object(depth: number): Record<string, unknown> {
    this.#open(depth);
    const out: Record<string, unknown> = {};
    this.#blanks();
    if (this.#take("}")) return out;
    for (;;) {
      this.#blanks();
      const start = this.#at;
      const key = this.#string();
      if (key === "__proto__") throw invalid(`invalid JSON at position ${start}: the key __proto__ is not accepted`);
      this.#blanks();
      if (!this.#take(":")) throw this.#fault();
      const value = this.#value(depth + 1);
      // Where Object.prototype is frozen no "toString" can be assigned.
      if (key in out) Object.defineProperty(out, key, { value, writable: true, enumerable: true, configurable: true });
      else out[key] = value;
      this.#blanks();
      if (this.#take("}")) return out;
      if (!this.#take(",")) throw this.#fault();
    }
  }

  #array(depth: number): unknown[] {
    this.#open(depth);
    const out: unknown[] = [];
    this.#blanks();
    if (this.#take("]")) return out;
    for (;;) {
      out.push(this.#value(depth + 1));
      this.#blanks();
      if (this.#take("]")) return out;
      if (!this.#take(",")) throw this.#fault();
    }
  }

  #open(depth: number): void {
    if (depth > this.#maxDepth)
      throw invalid(`invalid JSON at position ${this.#at}: nested deeper than ${this.#maxDepth} levels`);
    this.#at++;
  }

  #string(): string {
    const start = this.#at;
    if (this.#text.charCodeAt(start) !== 34) throw this.#fault();
    const end = endOfString(this.#text, start);
    const raw = this.#text.slice(start, end);
    this.#at = end;
    try {
      return JSON.parse(raw) as string;
    } catch {
      throw invalid(
        `invalid JSON at position ${start}: a string that does not end, or with an illegal character in it`,
      );
    }
  }

  #number(): number | bigint {
    numberPattern.lastIndex = this.#at;
    const raw = numberPattern.exec(this.#text)?.[0];
    if (raw === undefined) throw this.#fault();
    this.#at = numberPattern.lastIndex;
    const value = Number(raw);
    if (Number.isSafeInteger(value) || raw.length > 20 || !/^-?[0-9]+$/.test(raw)) return value;
    const exact = BigInt(raw);
    if (exact < minInt64 || exact > maxUint64) return value;
    // 1e18 stays a double. 2^60 would too, but JavaScript prints it as …7000, and Go would read back another integer.
    return exact === BigInt(value) && String(value) === raw ? value : exact;
  }

  #word<T>(word: string, value: T): T {
    if (!this.#text.startsWith(word, this.#at)) throw this.#fault();
    this.#at += word.length;
    return value;
  }

  #blanks(): void {
    blanks.lastIndex = this.#at;
    blanks.test(this.#text);
    this.#at = blanks.lastIndex;
  }

  #take(char: string): boolean {
    if (this.#text[this.#at] !== char) return false;
    this.#at++;
    return true;
  }

  #fault(): MicroError {
    const char = this.#text[this.#at];
    return char === undefined
      ? invalid(`invalid JSON at position ${this.#at}: unexpected end`)
      : invalid(`invalid JSON at position ${this.#at}: unexpected ${JSON.stringify(char)}`);
  }
}

/** Where the string that begins at `text[start]` ends, after its quote, or the end of the text. */
export function endOfString(text: string, start: number): number {
  for (let quote = text.indexOf('"', start + 1); quote >= 0; quote = text.indexOf('"', quote + 1)) {
    let slashes = 0;
    while (text.charCodeAt(quote - 1 - slashes) === 92) slashes++;
    if (slashes % 2 === 0) return quote + 1;
  }
  return text.length;
}
