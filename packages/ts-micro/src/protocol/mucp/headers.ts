import type { CallHead } from "../../protocol.ts";
import type { Message } from "../../transport.ts";
import { MicroError, errors } from "../../errors.ts";
import { EOS, decodeError } from "../../wire/error.ts";
import { H, isPerHop } from "../../wire/headers.ts";
import { integerOf } from "../../wire/http1/bytes.ts";

export type Header = Record<string, string>;

/**
 * Ours, on the open message of a stream: its kind. Go servers want `Micro-Stream` on unary requests too (wire spec §1.4.3), so that header
 * no longer tells the two apart; beside an id of ours this one does.
 */
export const kindHeader = "Micro-Kind";

/** Prefix of the ids that ts-micro clients give to their calls. */
const ours = "ts-";

/** An empty header map. */
export function emptyHeader(): Header {
  return Object.create(null) as Header;
}

/** What a request, or the open message of a stream, says (wire spec §1.3). Metadata never overrides a header of the protocol. */
export function requestHeader(head: CallHead, now: number): Header {
  const header = emptyHeader();
  if (head.metadata !== undefined)
    for (const [name, value] of head.metadata) if (!isPerHop(name.toLowerCase())) header[name] = value;
  if (head.deadline !== Infinity) header[H.timeout] = nanoseconds(head.deadline - now);
  if (head.kind !== "unary") header[kindHeader] = head.kind;
  return routing(header, head);
}

/** What the later messages of a stream say: only what finds the stream. */
export function followHeader(head: CallHead): Header {
  return routing(emptyHeader(), head);
}

function routing(header: Header, head: CallHead): Header {
  header[H.accept] = head.contentType;
  header[H.contentType] = head.contentType;
  header[H.endpoint] = head.endpoint;
  header[H.id] = head.id;
  header[H.method] = head.endpoint;
  header[H.service] = head.service;
  header[H.stream] = head.id;
  return header;
}

// Go reads it as uint64 and uses it as int64. Numbers beyond a small integer are slow to write, so from a second on it is whole milliseconds.
export function nanoseconds(ms: number): string {
  if (ms >= 1000 && ms < 1e9) return Math.round(ms) + "000000";
  return String(Math.min(Math.max(1, Math.round(ms * 1e6)), 9e18));
}

const digits = /^\d{1,20}$/;
const most = 2n ** 64n;

/** `Timeout` as a time of the clock; Infinity when it is absent or no uint64, as in Go (wire spec §1.2). */
export function deadlineOf(header: Header, now: number): number {
  return deadlineAfter(header[H.timeout], now);
}

export function deadlineAfter(text: string | undefined, now: number): number {
  if (text === undefined) return Infinity;
  const short = integerOf(text);
  if (short !== undefined) return now + short / 1e6;
  if (!digits.test(text) || (text.length === 20 && BigInt(text) >= most)) return Infinity;
  return now + Number(text) / 1e6;
}

/** Names that Go's server also reads under an `X-`; written out, since names made at run time are slow to look up. */
const twins: Readonly<Record<string, string>> = {
  [H.service]: "X-Micro-Service",
  [H.endpoint]: "X-Micro-Endpoint",
  [H.method]: "X-Micro-Method",
  [H.stream]: "X-Micro-Stream",
  [H.protocol]: "X-Micro-Protocol",
  [H.target]: "X-Micro-Target",
};

/** The value of a header, or of its `X-` twin; empty when absent. */
export function lookup(header: Header, name: string): string {
  return header[name] || header[twins[name] as string] || "";
}

/** The id; Go spells it `Micro-ID` where transports keep the case. */
export function idOf(header: Header): string {
  return header[H.id] ?? header["Micro-ID"] ?? "";
}

/** True for a request of a ts-micro client, which understands refusals. A `Micro-Stream` leaked through a Go hop has lost its `Micro-Id`. */
export function isOurs(id: string, stream: string): boolean {
  return id !== "" && id === stream && id.startsWith(ours);
}

/** True when any header of the protocol is there. */
export function isMicro(header: Header): boolean {
  for (const name in header) if (name.startsWith("Micro-") || name.startsWith("X-Micro-")) return true;
  return false;
}

/** True for the message that ends a stream (wire spec §3.2). */
export function isEnd(message: Message): boolean {
  return message.header[H.error] === EOS;
}

/** The error that a reply carries; undefined when it carries a body. */
export function replyError(message: Message, contentType: string): MicroError | undefined {
  const { header } = message;
  const text = header[H.error];
  if (text) return remote(errorOf(text, header[H.refused] === "1"));
  // The one failure that Go does not mark as such (wire spec §1.4.7).
  if (header[H.contentType] !== "text/plain" || contentType === "text/plain") return undefined;
  const detail = Buffer.from(message.body.subarray(0, 1024)).toString();
  return /^unsupported Content-Type/i.test(detail)
    ? remote(new MicroError({ id: "go.micro.server", code: "UNSUPPORTED", detail }))
    : undefined;
}

function errorOf(text: string, refused: boolean): MicroError {
  // A Go server obeys `Timeout` and gives its context's bare text, in a race with our own clock (wire spec §1.3).
  if (text === "context deadline exceeded") return errors.timeout("go.micro.server", text);
  const error = decodeError(text);
  const { id, code, status, detail } = error;
  return refused ? new MicroError({ id, code, status, detail, refused }) : error;
}

function remote(error: MicroError): MicroError {
  error.layer = "remote";
  return error;
}

const framing = new Set([
  "host",
  "connection",
  "content-length",
  "transfer-encoding",
  "expect",
  "te",
  "trailer",
  "upgrade",
  "keep-alive",
]);

/** All headers of a request but those that frame it, for replies that echo them. */
export function echo(header: Header): Header {
  const out = emptyHeader();
  for (const name in header) if (!framing.has(name.toLowerCase())) out[name] = header[name] as string;
  return out;
}
