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
  const atHead: [string, string][] = [];
  const atEnd: [string, string][] = [];
  for (const name in header) {
    const value = header[name] as string;
    if (name.startsWith(head)) atHead.push([name.slice(head.length), value]);
    else if (name.startsWith(end)) atEnd.push([name.slice(end.length), value]);
  }
  if (atHead.length > 0) listener.header(Metadata.received(atHead));
  if (atEnd.length > 0) listener.trailer(Metadata.received(atEnd));
}
