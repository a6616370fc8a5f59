import type { Place } from "../fault.ts";
import type { Cursor } from "./cursor.ts";

/** What an option was set to, as written. */
export type Value = { readonly place: Place } & (
  | { readonly kind: "word" | "int" | "float"; readonly text: string; readonly negative: boolean }
  | { readonly kind: "string"; readonly text: string; readonly bytes: readonly number[] }
  | { readonly kind: "list"; readonly items: readonly Value[] }
  | { readonly kind: "message"; readonly fields: readonly Setting[] }
);

/** One step of an option's name, or of a field's in a message literal: `(google.api.http)`, `get`. */
export interface Step {
  /** With a slash: that of the type in an Any. */
  readonly name: string;
  readonly extension: boolean;
  readonly place: Place;
}

export interface Setting {
  readonly step: Step;
  readonly value: Value;
}

/** `option (a.b).c = 1`: its name and value. */
export interface Option {
  readonly steps: readonly Step[];
  readonly value: Value;
}

/** What follows the word `option`, or stands in brackets. */
export function readOption(at: Cursor): Option {
  const steps: Step[] = [];
  do {
    const { place } = at;
    if (at.take("(")) {
      steps.push({ name: at.name("the name of an extension"), extension: true, place });
      at.need(")");
    } else steps.push({ name: at.word("the name of an option").text, extension: false, place });
  } while (at.take("."));
  at.need("=");
  return { steps, value: readValue(at, 0) };
}

/** `[deprecated = true, (a.b) = "c"]`; nothing without a bracket. */
export function readOptions(at: Cursor): Option[] {
  const options: Option[] = [];
  if (!at.take("[")) return options;
  do options.push(readOption(at));
  while (at.take(","));
  at.need("]");
  return options;
}

const deepest = 64;

function readValue(at: Cursor, depth: number): Value {
  const { place, token } = at;
  if (depth > deepest) throw at.unexpected(`a value at most ${deepest} levels deep`);
  if (at.sees("{") || at.sees("<")) return { kind: "message", fields: readMessage(at, depth), place };
  if (depth > 0 && at.take("[")) {
    const items: Value[] = [];
    while (!at.take("]")) {
      items.push(readValue(at, depth + 1));
      if (!at.sees("]")) at.need(",");
    }
    return { kind: "list", items, place };
  }
  if (token.kind === "string") return { kind: "string", ...at.string("a string"), place };
  const negative = at.take("-");
  const { kind } = at.token;
  if (kind !== "word" && kind !== "int" && kind !== "float") throw at.unexpected("a value");
  return { kind, text: at.next().text, negative, place };
}

/** A message in protobuf's text format. */
function readMessage(at: Cursor, depth: number): Setting[] {
  const close = at.next().text === "{" ? "}" : ">";
  const fields: Setting[] = [];
  while (!at.take(close)) {
    const { place } = at;
    const extension = at.take("[");
    let name = extension ? at.name("the name of an extension") : at.word("the name of a field").text;
    if (extension && at.take("/")) name += `/${at.name("the name of a message")}`;
    if (extension) at.need("]");
    // A message needs no colon before it, a list of them neither.
    const ahead = at.sees("[") ? 1 : 0;
    if (!at.take(":") && !["{", "<"].some((open) => at.sees(open, ahead))) throw at.unexpected('":"');
    fields.push({ step: { name, extension, place }, value: readValue(at, depth + 1) });
    if (!at.take(",")) at.take(";");
  }
  return fields;
}
