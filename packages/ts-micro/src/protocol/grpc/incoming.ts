import type { Http2Exchange, Http2Headers } from "../../backends/http2.ts";
import { Cancellation, type Kind } from "../../context.ts";
import { Metadata, ResponseMetadata } from "../../metadata.ts";
import type { CallHead, IncomingCall } from "../../protocol.ts";
import type { Target } from "../../wire/grpc/path.ts";
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

  constructor(exchange: Http2Exchange, target: Target, contentType: string, kind: Kind, now: number) {
    const { headers } = exchange;
    this.exchange = exchange;
    this.local = exchange.local;
    this.remote = exchange.remote;
    this.retries = headers["user-agent"] === userAgent;
    const deadline = deadlineOf(headers, now);
    this.head = {
      ...target,
      contentType,
      kind,
      deadline,
      metadata: metadataOf(headers),
      id: "",
    };
  }
}

const nanoseconds = /^\d{1,18}$/;

/** The nearer one of `grpc-timeout` and Go's `timeout` in nanoseconds (wire spec §4.4). */
function deadlineOf(headers: Http2Headers, now: number): number {
  const timeout = headers["grpc-timeout"];
  const ms = timeout === undefined ? Infinity : (decodeTimeout(timeout) ?? Infinity);
  const gos = headers["timeout"];
  return now + (gos !== undefined && nanoseconds.test(gos) ? Math.min(ms, Number(gos) / 1e6) : ms);
}

const ofTheWire = new Set(["te", "timeout", "x-content-type", kindHeader]);

/** What a handler sees: all that is not the wire's own, with what Go shows beside it (wire spec §4.3). */
function metadataOf(headers: Http2Headers): Metadata {
  const metadata = new Metadata();
  for (const name in headers) {
    const first = name.charCodeAt(0);
    if (first === 58 ? name !== ":authority" : ofTheWire.has(name) || name.startsWith("grpc-")) continue;
    metadata.set(name, headers[name] as string);
  }
  return metadata;
}
