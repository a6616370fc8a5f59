import type { IncomingHttpHeaders, IncomingMessage } from "node:http";
import { Metadata, type ResponseMetadata } from "../../metadata.ts";
import type { ReplyListener } from "../../protocol.ts";
import { added } from "../../wire/added.ts";
import { headerText } from "../../wire/http/text.ts";
import { canonicalHeader } from "../../wire/http1/names.ts";

/** Who reports the errors of the server's end and of the client's, as in Go. */
export const id = "go.micro.server";
export const clientId = "go.micro.client";

/** Ours: the kind of call that is meant. Who says it understands a refusal, and goes to another node. */
export const kindHeader = "micro-kind";

// Node gives bytes as latin1; Go and browsers mean UTF-8.
export function headersOf(headers: IncomingHttpHeaders): Record<string, string> {
  const out = Object.create(null) as Record<string, string>;
  for (const [name, value] of Object.entries(headers)) {
    const text = Array.isArray(value) ? value.join(", ") : (value ?? "");
    out[name] = /[\x80-\xff]/.test(text) ? Buffer.from(text, "latin1").toString() : text;
  }
  return out;
}

/** What Node lets through. */
export function sendable(headers: Readonly<Record<string, string>>): Record<string, string> {
  const out: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers))
    if (canonicalHeader(name) !== undefined) out[name] = headerText(value);
  return out;
}

/** What the handler added to an answer that is said in one go: trailers have the names that Connect gives them. */
export function addedTo({ givenHeader, givenTrailer }: ResponseMetadata): Record<string, string> {
  return { ...added(givenTrailer, trailer), ...added(givenHeader) };
}

/** Tells of the headers of an answer. */
export function hear(listener: ReplyListener, response: IncomingMessage): void {
  const head = new Metadata();
  const end = new Metadata();
  for (const [name, value] of Object.entries(headersOf(response.headers)))
    if (name.startsWith(trailer)) end.set(name.slice(trailer.length), value);
    else head.set(name, value);
  listener.header(head);
  if (end.size > 0) listener.trailer(end);
}

const trailer = "trailer-";
