import { type Doc, isMap } from "./json.ts";

/** Past this column Go's YAML breaks a text at its next single space. */
const width = 80;

/** Block YAML as Go's yaml.v2 writes it, sequences not indented, with its newline at the end. Numbers do not occur in records. */
export function yaml(doc: Doc): string {
  return typeof doc === "object" && doc !== null ? block(doc, "").slice(1) + "\n" : `${scalar(String(doc), 0, "")}\n`;
}

/** Lines of a map or list, each with its newline in front. */
function block(doc: readonly Doc[] | ReadonlyMap<string, Doc>, indent: string): string {
  if (isMap(doc)) {
    const entries = [...doc].map(([key, value]) => {
      const name = `${indent}${scalar(key, Number.NEGATIVE_INFINITY, indent)}:`;
      return `\n${name}${member(value, indent, name.length + 1, false)}`;
    });
    return entries.join("");
  }
  return doc.map((item) => `\n${indent}-${member(item, indent, indent.length + 2, true)}`).join("");
}

/** The order of keys in yaml.v2: numbers within by their value, letters after everything else. */
export function naturally(left: string, right: string): number {
  const [a, b] = [Array.from(left), Array.from(right)];
  for (let i = 0; i < a.length && i < b.length; i++) {
    const [x, y] = [a[i] as string, b[i] as string];
    if (x === y) continue;
    const letters = [x, y].map((char) => /\p{L}/u.test(char));
    if (letters[0] !== letters[1]) return letters[1] === true ? -1 : 1;
    if (letters[0] === true) return codeOf(x) - codeOf(y);
    const m = digitsAt(a, i);
    const n = digitsAt(b, i);
    // A zero inside a number is a digit of it, not a leading one.
    const inside = (x === "0" || y === "0") && /[1-9][0-9]*$/.test(a.slice(0, i).join("")) ? "1" : "";
    const difference = BigInt(`${inside}${m}` || 0) - BigInt(`${inside}${n}` || 0);
    if (difference !== 0n) return difference < 0n ? -1 : 1;
    return m.length - n.length || codeOf(x) - codeOf(y);
  }
  return a.length - b.length;
}

function digitsAt(text: readonly string[], at: number): string {
  return /^[0-9]*/.exec(text.slice(at).join(""))?.[0] ?? "";
}

function codeOf(char: string): number {
  return char.codePointAt(0) as number;
}

/** What follows `key:` or `-`. */
function member(value: Doc, indent: string, column: number, inList: boolean): string {
  if (value === null) return " null";
  if (typeof value !== "object") return ` ${scalar(String(value), column, `${indent}  `)}`;
  if (isMap(value)) {
    if (value.size === 0) return " {}";
    // The first member of a map in a list stands beside the dash.
    return inList ? ` ${block(value, `${indent}  `).slice(indent.length + 3)}` : block(value, `${indent}  `);
  }
  if (value.length === 0) return " []";
  return inList ? ` ${block(value, `${indent}  `).slice(indent.length + 3)}` : block(value, indent);
}

function scalar(text: string, column: number, indent: string): string {
  const { plain, single, literal } = allowed(text);
  if (text.includes("\n") && literal && column >= 0) return literalText(text, indent);
  if (isOtherType(text)) return doubleQuoted(text);
  if (text.includes("\n")) return doubleQuoted(text);
  if (plain) return folded(text, column, indent);
  return single ? `'${folded(text.replaceAll("'", "''"), column + 1, indent)}'` : doubleQuoted(text);
}

/** Breaks at single spaces past {@link width}. */
function folded(text: string, start: number, indent: string): string {
  let column = start;
  let out = "";
  for (let i = 0; i < text.length; i++) {
    const alone = text[i] === " " && text[i - 1] !== " " && text[i + 1] !== " ";
    if (alone && column > width && i > 0 && i < text.length - 1) {
      out += `\n${indent}`;
      column = indent.length;
    } else {
      out += text[i];
      column++;
    }
  }
  return out;
}

function literalText(text: string, indent: string): string {
  const body = text.replace(/\n+$/, "");
  const trailing = text.length - body.length;
  const hint = /^[ \n]/.test(text) ? "2" : "";
  const chomp = trailing === 0 ? "-" : trailing === 1 ? "" : "+";
  const lines = body.split("\n").map((line) => (line === "" ? "" : indent + line));
  return `|${hint}${chomp}\n${lines.join("\n")}${"\n".repeat(Math.max(0, trailing - 1))}`;
}

/** Which styles keep a text what it is (libyaml's analysis of scalars). */
function allowed(text: string): { plain: boolean; single: boolean; literal: boolean } {
  const special = !printable.test(text) || / \n/.test(text);
  const plain =
    !special &&
    !text.includes("\n") &&
    !/^ | $/.test(text) &&
    !/^(?:---|\.\.\.)/.test(text) &&
    !/^[#,[\]{}&*!|>'"%@`]/.test(text) &&
    !/^[-?:](?: |$)/.test(text) &&
    !/:(?: |$)| #/.test(text);
  return { plain, single: !special && !/\n /.test(text), literal: !special && !text.endsWith(" ") };
}

const printable = /^[\n\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\u{10000}-\u{10ffff}]*$/u;
const words = new Set(
  "y Y yes Yes YES true True TRUE on On ON n N no No NO false False FALSE off Off OFF ~ null Null NULL << .nan .NaN .NAN .inf .Inf .INF +.inf +.Inf +.INF -.inf -.Inf -.INF".split(
    " ",
  ),
);
const numbers =
  /^[-+]?(?:0[xX][0-9a-fA-F_]+|0[bB][01_]+|0[oO]?[0-7_]+|[0-9][0-9_]*|(?:\.[0-9]+|[0-9][0-9_]*\.?[0-9]*)(?:[eE][-+]?[0-9]+)?|[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?)$/;
const dates = /^[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[Tt ][0-9]{1,2}:[0-9]{1,2}:[0-9]{1,2}(?:\.[0-9]+)?.*)?$/;

/** Without quotes it would be read as something else than text. */
function isOtherType(text: string): boolean {
  return text === "" || words.has(text) || numbers.test(text) || dates.test(text);
}

const escapes: Readonly<Record<string, string>> = {
  "\0": "\\0",
  "\x07": "\\a",
  "\b": "\\b",
  "\t": "\\t",
  "\n": "\\n",
  "\v": "\\v",
  "\f": "\\f",
  "\r": "\\r",
  "\x1b": "\\e",
  '"': '\\"',
  "\\": "\\\\",
  "\ufeff": "\\uFEFF",
  "\u2028": "\\L",
  "\u2029": "\\P",
};

function doubleQuoted(text: string): string {
  const inner = Array.from(text, (char) => {
    const escaped = escapes[char];
    if (escaped !== undefined) return escaped;
    if (printable.test(char)) return char;
    const code = char.codePointAt(0) as number;
    const hex = code.toString(16).toUpperCase();
    return code < 0x100 ? `\\x${hex.padStart(2, "0")}` : `\\u${hex.padStart(4, "0")}`;
  });
  return `"${inner.join("")}"`;
}
