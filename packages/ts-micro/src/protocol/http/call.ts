import { Cancellation } from "../../context.ts";
import { MicroError, errors } from "../../errors.ts";
import { milliseconds } from "../../duration.ts";
import { Metadata, ResponseMetadata } from "../../metadata.ts";
import type { IncomingCall } from "../../protocol.ts";
import type { HttpExchange } from "../../server.ts";
import { baseType, type Headers } from "../../wire/http/browser.ts";
import { H, canonicalName } from "../../wire/headers.ts";
import { refuse } from "../common/routes.ts";
import type { CallRouteOptions, Found } from "./calls.ts";
import { addedTo, id, kindHeader } from "./headers.ts";
import { ExchangeStream } from "./stream.ts";

const lines = "application/x-ndjson";

/** Runs a call that came as a request of plain HTTP, and answers it. */
export async function serveCall(
  { calls, maxBody, clock }: CallRouteOptions,
  exchange: HttpExchange,
  { service, endpoint }: Found,
  answer: (headers: Headers) => Headers,
): Promise<void> {
  const { headers, local, remote } = exchange;
  const arrived = clock.now();
  const kind = calls.kindOf(endpoint) ?? "unary";
  const given = baseType(headers["content-type"]);
  const contentType = given === "" || given === lines ? "application/json" : given;
  if (!calls.supports(contentType)) throw unsupported(`unsupported Content-Type: ${given}; JSON is application/json`);
  if (kind !== "unary" && contentType !== "application/json")
    throw unsupported(`${endpoint} is a ${kind} stream: over HTTP its messages are JSON`);
  const meant = headers[kindHeader];
  if (meant !== undefined && (meant === "unary") !== (kind === "unary"))
    throw errors.methodNotAllowed(id, `${endpoint} is ${kind === "unary" ? "unary" : `a ${kind} stream`}`);
  if (kind === "unary" && given === lines)
    throw errors.methodNotAllowed(id, `${endpoint} is unary: its request is one JSON value`);
  if (kind === "client" || kind === "bidi") {
    if (given !== lines)
      throw errors.methodNotAllowed(id, `${endpoint} is a ${kind} stream: send ${lines}, a message a line`);
  }
  const response = new ResponseMetadata();
  const incoming: IncomingCall = {
    head: {
      service,
      endpoint,
      contentType,
      kind,
      deadline: deadlineOf(headers["timeout"], arrived),
      metadata: metadataOf(headers),
      id: headers["x-request-id"] ?? "",
    },
    local,
    remote,
    cancellation: exchange.cancellation,
    response,
    retries: meant !== undefined,
  };
  if (kind === "unary") {
    exchange.arriveBy?.(incoming.head.deadline);
    const body = await exchange.readAll(maxBody);
    const { error, body: reply } = await calls.unary(incoming, body);
    const more = addedTo(response);
    if (error !== undefined) return refuse(exchange, error, { ...more, ...answer(more) });
    return respond(exchange, contentType, reply, more, answer);
  }
  const cancellation = new Cancellation();
  exchange.cancellation.onCancel((reason) => cancellation.cancel(reason));
  const events = headers["accept"]?.includes("text/event-stream") === true;
  const ours = meant !== undefined;
  const stream = new ExchangeStream({ exchange, kind, cancellation, events, maxBody, ours, response, answer });
  stream.finish(await calls.stream({ ...incoming, cancellation }, stream));
}

function respond(
  exchange: HttpExchange,
  contentType: string,
  body: Uint8Array,
  more: Headers,
  answer: (headers: Headers) => Headers,
): void {
  const headers = { ...more, "content-type": contentType, "content-length": String(body.length) };
  exchange.head(200, { ...headers, ...answer(headers) });
  exchange.end(body);
}

function unsupported(detail: string): MicroError {
  return new MicroError({ id, code: "UNSUPPORTED", status: 415, detail });
}

/** `Timeout`: Go's nanoseconds, or a duration with a unit. Anything else is ignored, as in Go. */
function deadlineOf(timeout: string | undefined, now: number): number {
  if (timeout === undefined) return Infinity;
  if (/^\d{1,20}$/.test(timeout)) return now + Number(timeout) / 1e6;
  try {
    return now + milliseconds(timeout);
  } catch {
    return Infinity;
  }
}

/** What concerns the connection, the body, or the browser that sent it. */
const own =
  /^(?:connection|content-.*|cookie2?|dnt|expect|host|if-.*|keep-alive|micro-kind|origin|priority|proxy-.*|range|referer|sec-.*|te|timeout|trailer|transfer-encoding|upgrade.*|access-control-.*|accept.*|cache-control|pragma|:.*)$/;

function metadataOf(headers: Headers): Metadata {
  const metadata = new Metadata();
  for (const name in headers) if (!own.test(name)) metadata.set(canonicalName(name), headers[name] as string);
  if (headers["content-type"] !== undefined) metadata.set(H.contentType, headers["content-type"]);
  return metadata;
}
