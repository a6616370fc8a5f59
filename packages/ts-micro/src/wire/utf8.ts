// What Buffer's own methods come down to; calling them directly saves the argument handling, a third of the cost of a short string.
interface Direct {
  utf8Write?(text: string, at: number): number;
  utf8Slice?(from: number, to: number): string;
}

const own = Buffer.prototype as Direct;
const write =
  own.utf8Write ??
  function (this: Buffer, text: string, at: number): number {
    return this.write(text, at, "utf8");
  };
const slice =
  own.utf8Slice ??
  function (this: Buffer, from: number, to: number): string {
    return this.toString("utf8", from, to);
  };

/** Writes `text` as UTF-8 at `at` and returns where it ends. There must be room for three bytes a character. */
export function utf8Write(bytes: Buffer, text: string, at: number): number {
  const n = text.length;
  if (n < 48) {
    let to = at;
    for (let i = 0; i < n; i++) {
      const c = text.charCodeAt(i);
      if (c > 127) return at + write.call(bytes, text, at);
      bytes[to++] = c;
    }
    return to;
  }
  return at + write.call(bytes, text, at);
}

/** The text of `bytes[from, to)`. What is no UTF-8 becomes U+FFFD. */
export function utf8Slice(bytes: Buffer, from: number, to: number): string {
  return slice.call(bytes, from, to);
}
