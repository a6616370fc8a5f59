import type { Clock } from "../../clock.ts";
import { Cancellation, type Kind } from "../../context.ts";
import { errors, type MicroError } from "../../errors.ts";
import { Metadata, ResponseMetadata } from "../../metadata.ts";
import type { CallHandler, IncomingCall } from "../../protocol.ts";
import type { HttpExchange } from "../../server.ts";
import type { Target } from "../../wire/grpc/path.ts";
import type { BrowserRule, Headers } from "../../wire/http/browser.ts";
import { added } from "../../wire/added.ts";

/** What the routes of the web protocols work with. */
export interface WebSetup {
  readonly calls: CallHandler;
  readonly clock: Clock;
  readonly browsers: BrowserRule;
  /** Longest message either way, decompressed, in bytes. */
  readonly maxMessageSize: number;
}

/** One call of a web protocol: what it says of itself, and where its answer goes. */
export interface WebCall extends WebSetup {
  readonly exchange: HttpExchange;
  readonly target: Target;
  /** Content type of its messages, as codecs know it. */
  readonly codec: string;
  /** What the answer's headers need beside their own. */
  readonly admitted: (answer: Headers) => Headers;
  readonly response: ResponseMetadata;
  /** Time of the clock at which it came. */
  readonly at: number;
}

/** Lets a call in. Throws FORBIDDEN to what a page may not send; `onlyReads`: it is a GET of an endpoint without side effects. */
export function openCall(
  exchange: HttpExchange,
  target: Target,
  setup: WebSetup,
  codec: string,
  onlyReads: boolean = false,
): WebCall {
  const admitted = setup.browsers.admit(exchange.headers, onlyReads);
  return { ...setup, exchange, target, codec, admitted, response: new ResponseMetadata(), at: setup.clock.now() };
}

/** A call as the engine takes it, with a cancellation of its own: the engine's deadline is no concern of the connection. */
export function incoming(call: WebCall, kind: Kind, timeout: number): IncomingCall {
  const { exchange, target, codec, response, at } = call;
  const { local, remote } = exchange;
  const cancellation = new Cancellation();
  exchange.cancellation.onCancel((reason) => cancellation.cancel(reason));
  const head = {
    ...target,
    contentType: codec,
    kind,
    deadline: at + timeout,
    metadata: metadataOf(exchange.headers),
    id: "",
  };
  return { head, local, remote, cancellation, response, retries: false };
}

/** The answer begins, with what a browser needs to be shown it. */
export function begin({ exchange, admitted, response }: WebCall, status: number, headers: Headers): void {
  const given = added(response.givenHeader);
  const answer: Record<string, string> = { ...given, ...headers };
  // What caches tell answers apart by: all that somebody named.
  if (given["vary"] !== undefined && headers["vary"] !== undefined)
    answer["vary"] = `${given["vary"]}, ${headers["vary"]}`;
  exchange.head(status, { ...answer, ...admitted(answer) });
}

export function unknownEndpoint(endpoint: string): MicroError {
  return errors.unsupported("go.micro.server", `unknown endpoint ${endpoint}`);
}

const framing =
  /^(?:connection|content-(?:encoding|length)|expect|host|keep-alive|te|trailer|transfer-encoding|upgrade)$|^(?:grpc|connect)-/;

function metadataOf(headers: Headers): Metadata {
  const metadata = new Metadata();
  for (const name in headers) if (!framing.test(name)) metadata.set(name, headers[name] as string);
  return metadata;
}
