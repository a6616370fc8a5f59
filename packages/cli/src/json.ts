import { errors } from "ts-micro";
import { jsonCodec } from "ts-micro/codec/json";

/** A JSON document whose objects keep their order. */
export type Doc = null | boolean | number | bigint | string | readonly Doc[] | ReadonlyMap<string, Doc>;

const json = jsonCodec();

/**
 * The request that a command line says: checked, and otherwise left as it is, so that no digit of a number is lost on the way.
 * @throws MicroError BAD_REQUEST unless it is one JSON object.
 */
export function requestBody(text: string, from: "words" | "input" = "words"): Uint8Array {
  // What comes by a pipe may be long, and is not for everybody's eyes.
  const [subject, said, advice] =
    from === "words"
      ? ["the request", `: ${text}`, '\n  quote it for the shell: \'{"name":"John"}\'']
      : ["standard input", "", ""];
  const bytes = Buffer.from(`${text}\n`);
  let value: unknown;
  try {
    value = json.decode(bytes);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw bad(text.trim() === "" ? `${subject} is empty` : `${subject} is not JSON: ${why}${said}${advice}`);
  }
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw bad(`${subject} must be a JSON object${said}`);
  return bytes;
}

function bad(detail: string): Error {
  return errors.badRequest("ts-micro-cli", detail);
}

/** A decoded reply with the keys of each object in the order of their bytes, as Go prints maps. */
export function sorted(value: unknown): Doc {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value === "object" && value !== null)
    return new Map(
      Object.entries(value)
        .map(([key, member]) => [key, sorted(member)] as const)
        .sort(byKey),
    );
  return value as Doc;
}

/** Order of their UTF-8 bytes. */
export function byBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

function byKey([a]: readonly [string, Doc], [b]: readonly [string, Doc]): number {
  return byBytes(a, b);
}

/** Compact JSON as Go's encoding/json writes it. */
export function compact(doc: Doc): string {
  return write(doc, "", "", "");
}

/** JSON over several lines, two spaces a level, as Go's MarshalIndent writes it. */
export function indented(doc: Doc): string {
  return write(doc, "\n", "  ", " ");
}

function write(doc: Doc, newline: string, step: string, space: string): string {
  if (typeof doc === "string") return quoted(doc);
  if (typeof doc === "bigint") return String(doc);
  if (typeof doc === "number") return Object.is(doc, -0) ? "-0" : String(doc);
  if (doc === null || typeof doc === "boolean") return String(doc);
  const inner = newline + step;
  const members = isMap(doc)
    ? Array.from(doc, ([key, member]) => `${quoted(key)}:${space}${write(member, inner, step, space)}`)
    : doc.map((member) => write(member, inner, step, space));
  const [open, close] = isMap(doc) ? "{}" : "[]";
  return members.length === 0 ? `${open}${close}` : `${open}${inner}${members.join(`,${inner}`)}${newline}${close}`;
}

export function isMap(doc: readonly Doc[] | ReadonlyMap<string, Doc>): doc is ReadonlyMap<string, Doc> {
  return doc instanceof Map;
}

/** Go escapes what HTML would take for markup, and knows no half characters. */
function quoted(text: string): string {
  return JSON.stringify(text.replace(/\p{Surrogate}/gu, "\uFFFD")).replace(
    /[<>&\u2028\u2029]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
