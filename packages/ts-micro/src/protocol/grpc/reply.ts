import type { Http2Exchange, Http2Headers } from "../../backends/http2.ts";
import { MicroError } from "../../errors.ts";
import type { Metadata, ResponseMetadata } from "../../metadata.ts";
import type { Body } from "../../protocol.ts";
import { added } from "../../wire/added.ts";
import { answerType } from "../../wire/grpc/content-type.ts";
import { gzipFrame } from "../../wire/grpc/gzip.ts";
import { encodeStatus } from "../../wire/grpc/status.ts";
import { headerText } from "../../wire/http/text.ts";
import { frame } from "../../wire/grpc/frame.ts";

export const serverId = "go.micro.server";
const ok: Http2Headers = { "grpc-status": "0" };

/** The content type goes back as it came; there are few, and of a hostile client only so many are remembered. */
const heads = new Map<string, Http2Headers>();
const packed = new Map<string, Http2Headers>();
const most = 256;
/** Encodings of messages. */
const known = new Set(["gzip", "identity"]);

/** The head of an answer, with what the handler added. */
export function replyHead(exchange: Http2Exchange, response: ResponseMetadata | undefined): Http2Headers {
  return over(plainHead(exchange), response?.givenHeader);
}

/** What stands behind the messages, with what the handler added. */
export function replyTrailers(response: ResponseMetadata | undefined, error: MicroError | undefined): Http2Headers {
  return over(error === undefined ? ok : encodeStatus(error), response?.givenTrailer);
}

/** An answer without messages: in its head alone, if what the handler added to head and end need not be told apart. */
export function sayEnd(
  exchange: Http2Exchange,
  response: ResponseMetadata | undefined,
  error: MicroError | undefined,
): void {
  const given = exchange.header("grpc-encoding") ?? "identity";
  // Else a caller that is refused for its encoding does not know which one to take.
  const head = { ...replyHead(exchange, response), ...(known.has(given) ? {} : { "grpc-accept-encoding": "gzip" }) };
  const trailers = replyTrailers(response, error);
  if (response?.givenHeader === undefined) return exchange.answer({ ...head, ...trailers });
  exchange.respond(head);
  exchange.end(undefined, trailers);
}

function over(own: Http2Headers, metadata: Metadata | undefined): Http2Headers {
  if (metadata === undefined) return own;
  const given = Object.entries(added(metadata)).map(([name, value]) => [name, headerText(value)]);
  return { ...Object.fromEntries(given), ...own };
}

function plainHead(exchange: Http2Exchange): Http2Headers {
  const contentType = exchange.header("content-type") as string;
  const packs = exchange.header("grpc-encoding") === "gzip";
  const made = packs ? packed : heads;
  let head = made.get(contentType);
  if (head === undefined) {
    head = { ":status": "200", "content-type": answerType(contentType), ...(packs ? { "grpc-encoding": "gzip" } : {}) };
    if (made.size < most) made.set(contentType, head);
  }
  return head;
}

/** A message for a caller: compressed when its own was, as grpc-go does. */
export function replyFrame(exchange: Http2Exchange, body: Body): Buffer {
  return exchange.header("grpc-encoding") === "gzip" ? gzipFrame(body) : frame(body);
}

/** The error of a reply that is too large to be sent. */
export function oversized(length: number, limit: number): MicroError {
  const detail = `the reply of ${length} bytes is larger than the limit of ${limit}`;
  return new MicroError({ id: serverId, code: "RESOURCE_EXHAUSTED", detail });
}
