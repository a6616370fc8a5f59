import { type Doc, isMap } from "./json.ts";

/** Past this column Go's YAML breaks a text at its next single space. */
const width = 80;

/** Block YAML as Go's yaml.v2 writes it, sequences not indented, with its newline at the end. Numbers do not occur in records. */
export function yaml(record: ReadonlyMap<string, Doc>): string {
  return `${block(record, "").slice(1)}\n`;
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
  const double = text.includes("\n") || isOtherType(text) || (!plain && !single);
  if (double) return `"${folded(Array.from(text, escaped), column + 1, indent, "\\")}"`;
  return plain
    ? folded(Array.from(text), column, indent)
    : `'${folded(Array.from(text.replaceAll("'", "''")), column + 1, indent)}'`;
}

/** Breaks `units`, the characters as they are written, at single spaces past {@link width}. `escape` keeps a second space alive. */
function folded(units: readonly string[], start: number, indent: string, escape?: string): string {
  let column = start;
  let out = "";
  for (const [i, unit] of units.entries()) {
    const next = units[i + 1];
    const breaks = unit === " " && units[i - 1] !== " " && (next !== " " || escape !== undefined);
    if (breaks && column > width && i > 0 && next !== undefined) {
      out += `\n${indent}${next === " " ? escape : ""}`;
      column = indent.length;
    } else {
      out += unit;
      column += unit.length;
    }
  }
  return out;
}

function literalText(text: string, indent: string): string {
  const body = text.replace(/\n+$/, "");
  const trailing = text.length - body.length;
  const hint = /^[ \n]/.test(text) ? "2" : "";
  const chomp = trailing === 0 ? "-" : trailing === 1 && body !== "" ? "" : "+";
  const lines = body.split("\n").map((line) => (line === "" ? "" : indent + line));
  return `|${hint}${chomp}\n${lines.join("\n")}${"\n".repeat(Math.max(0, trailing - 1))}`;
}

/** Which styles keep a text what it is (libyaml's analysis of scalars). */
function allowed(text: string): { plain: boolean; single: boolean; literal: boolean } {
  const special = !printable.test(text) || / \n/.test(text);
  const plain =
    !special &&
    !/[\n\u2028\u2029]/.test(text) &&
    !/^ | $/.test(text) &&
    !/^(?:---|\.\.\.)/.test(text) &&
    !/^[#,[\]{}&*!|>'"%@`]/.test(text) &&
    !/^[-?:](?: |$)/.test(text) &&
    !/:(?: |$)| #/.test(text);
  return { plain, single: !special && !/\n /.test(text), literal: !special && !text.endsWith(" ") };
}

/** Characters beyond the basic plane count as unprintable there. */
const printable = /^[\n\x20-\x7e\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd]*$/u;
const words = new Set(
  "y Y yes Yes YES true True TRUE on On ON n N no No NO false False FALSE off Off OFF ~ null Null NULL .nan .NaN .NAN .inf .Inf .INF +.inf +.Inf +.INF -.inf -.Inf -.INF".split(
    " ",
  ),
);
const integers = /^[-+]?(?:0[xX][0-9a-fA-F]{1,16}|0[bB][01]{1,64}|0[oO][0-7]{1,22})$/;
const floats = /^[-+]?(?:\.[0-9]+|[0-9]+\.?[0-9]*)(?:[eE][-+]?[0-9]+)?$/;
const sixties = /^[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?$/;
const dates =
  /^([0-9]{4}-[0-9]{1,2}-[0-9]{1,2})(?:(?:[Tt][0-9]{1,2}:[0-9]{1,2}:[0-9]{1,2}(?:\.[0-9]+)?(?:Z|[-+][0-9]{2}:[0-9]{2}))| [0-9]{1,2}:[0-9]{1,2}:[0-9]{1,2}(?:\.[0-9]+)?)?$/;

/** Without quotes it would be read as something else than text. */
function isOtherType(text: string): boolean {
  if (text === "" || words.has(text) || sixties.test(text) || isDate(text)) return true;
  const digits = /^[-+.0-9]/.test(text) ? text.replaceAll("_", "") : text;
  return integers.test(digits) || (floats.test(digits) && Number.isFinite(Number(digits)));
}

function isDate(text: string): boolean {
  const [year, month, day] = (dates.exec(text)?.[1] ?? "").split("-").map(Number) as [number, number?, number?];
  if (month === undefined || day === undefined) return false;
  const date = new Date(Date.UTC(year, month - 1, day));
  return date.getUTCMonth() === month - 1 && date.getUTCDate() === day;
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
  "\x85": "\\N",
  "\ufeff": "\\uFEFF",
  "\u2028": "\\L",
  "\u2029": "\\P",
};

/** A character between double quotes. */
function escaped(char: string): string {
  const known = escapes[char];
  if (known !== undefined || printable.test(char)) return known ?? char;
  const code = char.codePointAt(0) as number;
  const hex = code.toString(16).toUpperCase();
  if (code < 0x100) return `\\x${hex.padStart(2, "0")}`;
  return code < 0x10000 ? `\\u${hex.padStart(4, "0")}` : `\\U${hex.padStart(8, "0")}`;
}
