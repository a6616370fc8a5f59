import { Metadata, type ResponseMetadata } from "../../metadata.ts";
import type { ReplyListener } from "../../protocol.ts";
import { added } from "../../wire/added.ts";
import { canonicalName } from "../../wire/headers.ts";
import type { Header } from "./headers.ts";

/**
 * What handlers add to their replies has names of its own: a Go server sends back what it was sent, under the same names. Go's clients
 * ignore these.
 */
const head = "Micro-Header-";
const end = "Micro-Trailer-";

/** Puts into the header of a message what stands before the first, or with it. */
export function addHeader(header: Header, response: ResponseMetadata | undefined): Header {
  return put(header, response?.givenHeader, head);
}

/** The same for what stands behind the last. */
export function addTrailer(header: Header, response: ResponseMetadata | undefined): Header {
  return put(header, response?.givenTrailer, end);
}

function put(header: Header, metadata: Metadata | undefined, prefix: string): Header {
  for (const [name, value] of Object.entries(added(metadata, prefix))) header[canonicalName(name)] = value;
  return header;
}

/** Tells of what the header of a message has. */
export function hear(listener: ReplyListener, header: Header): void {
  const atHead = new Metadata();
  const atEnd = new Metadata();
  for (const name in header) {
    const value = header[name] as string;
    if (name.startsWith(head)) atHead.set(name.slice(head.length), value);
    else if (name.startsWith(end)) atEnd.set(name.slice(end.length), value);
  }
  if (atHead.size > 0) listener.header(atHead);
  if (atEnd.size > 0) listener.trailer(atEnd);
}
