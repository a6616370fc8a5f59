import type { Http2Exchange } from "../../backends/http2.ts";
import { Cancellation, type Kind } from "../../context.ts";
import { Metadata, ResponseMetadata } from "../../metadata.ts";
import type { CallHead, IncomingCall, Route } from "../../protocol.ts";
import { decodeTimeout } from "../../wire/grpc/timeout.ts";
import { kindHeader, userAgent } from "./request.ts";

/** A call as its headers tell it. */
export class Incoming implements IncomingCall {
  readonly exchange: Http2Exchange;
  readonly head: CallHead;
  readonly local: string;
  readonly remote: string;
  readonly retries: boolean;
  readonly cancellation: Cancellation = new Cancellation();
  readonly response: ResponseMetadata = new ResponseMetadata();

  constructor(exchange: Http2Exchange, route: Route, kind: Kind, now: number) {
    this.exchange = exchange;
    this.local = exchange.local;
    this.remote = exchange.remote;
    this.retries = isOurs(exchange);
    const { service, endpoint, contentType } = route;
    const deadline = deadlineOf(exchange, now);
    this.head = { service, endpoint, contentType, kind, deadline, metadata: metadataOf(exchange), id: "" };
  }
}

export function isOurs(exchange: Http2Exchange): boolean {
  return exchange.header("user-agent") === userAgent;
}

const nanoseconds = /^\d{1,18}$/;

let lastTimeout = "";
let lastMs = Infinity;

/** The nearer one of `grpc-timeout` and Go's `timeout` in nanoseconds (wire spec §4.4). */
export function deadlineOf(exchange: Http2Exchange, now: number): number {
  const timeout = exchange.header("grpc-timeout");
  const gos = exchange.header("timeout");
  // Calls mostly come with the same one.
  if (timeout !== undefined && timeout !== lastTimeout) {
    lastMs = decodeTimeout(timeout) ?? Infinity;
    lastTimeout = timeout;
  }
  const ms = timeout === undefined ? Infinity : lastMs;
  return now + (gos !== undefined && nanoseconds.test(gos) ? Math.min(ms, Number(gos) / 1e6) : ms);
}

const ofTheWire = new Set(["te", "timeout", "x-content-type", kindHeader]);

/** What a handler sees: all that is not the wire's own, with what Go shows beside it (wire spec §4.3). */
export function metadataOf({ headers }: Http2Exchange): Metadata {
  const metadata = new Metadata();
  for (const name in headers) {
    const first = name.charCodeAt(0);
    if (first === 58 ? name !== ":authority" : ofTheWire.has(name) || name.startsWith("grpc-")) continue;
    metadata.set(name, headers[name] as string);
  }
  return metadata;
}
