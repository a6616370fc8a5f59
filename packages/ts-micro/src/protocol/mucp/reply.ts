import type { MicroError } from "../../errors.ts";
import type { ResponseMetadata } from "../../metadata.ts";
import type { Message } from "../../transport.ts";
import { EOS, encodeError, errorText } from "../../wire/error.ts";
import { H } from "../../wire/headers.ts";
import { addHeader, addTrailer } from "./added.ts";
import { errorBody, replyBody } from "./bodies.ts";
import { emptyHeader, idOf, isMicro, isOurs, lookup, type Header } from "./headers.ts";

/** What both kinds of request need for their replies. */
export interface Origin {
  /** Content type as the client wrote it, or the default; replies carry it back. */
  readonly contentType: string;
  /** The codec's content type: another one only in legacy mode (wire spec §1.4.6). */
  readonly codecType: string;
  readonly service: string;
  readonly endpoint: string;
  readonly method: string;
  readonly id: string;
  readonly stream: string;
  /** The client understands a refusal. */
  readonly retries: boolean;
}

export function unaryReply(origin: Origin, body: Uint8Array, response?: ResponseMetadata): Message {
  return { header: withAdded(unaryHeader(origin), response), body: replyBody(origin.codecType, body) };
}

/** `body`: what an enveloped codec wrote for the error. */
export function unaryError(origin: Origin, error: MicroError, body: Uint8Array, response?: ResponseMetadata): Message {
  const header = withAdded(unaryHeader(origin), response);
  const text = say(header, error, origin.retries);
  const told = body.length > 0 && text === encodeError(error);
  return { header, body: told ? body : errorBody(origin.codecType, text) };
}

/** Headers of every message of a stream (wire spec §1.7). */
export function streamHeader(origin: Origin): Header {
  const header = unaryHeader(origin);
  const { service, endpoint, method, stream } = origin;
  header[H.endpoint] = header["X-Micro-Endpoint"] = endpoint;
  header[H.method] = header["X-Micro-Method"] = method;
  header[H.service] = header["X-Micro-Service"] = service;
  header[H.stream] = stream;
  return header;
}

/** The last message of a stream: its error, or EOS. `only`: nothing was sent before it. */
export function streamEnd(
  origin: Origin,
  error: MicroError | undefined,
  only: boolean,
  response: ResponseMetadata,
): Message {
  const header = addTrailer(streamHeader(origin), response);
  if (only) addHeader(header, response);
  if (error === undefined) {
    header[H.error] = header["X-Micro-Error"] = EOS;
    return { header, body: errorBody(origin.codecType, EOS) };
  }
  const text = say(header, error, origin.retries && only);
  return { header, body: errorBody(origin.codecType, text) };
}

/** The reply to a content type without a codec: no error header, as in Go (wire spec §1.4.7). */
export function unsupportedReply(contentType: string): Message {
  const header = emptyHeader();
  header[H.contentType] = "text/plain";
  return { header, body: Buffer.from(`unsupported Content-Type: ${contentType}`) };
}

function say(header: Header, error: MicroError, refusable: boolean): string {
  const text = errorText(error);
  header[H.error] = header["X-Micro-Error"] = text;
  if (refusable && error.refused) header[H.refused] = "1";
  return text;
}

function withAdded(header: Header, response: ResponseMetadata | undefined): Header {
  return response === undefined ? header : addTrailer(addHeader(header, response), response);
}

function unaryHeader(origin: Origin): Header {
  const header = emptyHeader();
  header[H.contentType] = origin.contentType;
  if (origin.id !== "") header[H.id] = origin.id;
  if (origin.stream !== "" && origin.stream !== origin.id) header[H.stream] = origin.stream;
  return header;
}

const legacy: Readonly<Record<string, string>> = {
  "application/json": "application/json-rpc",
  "application/json-rpc": "application/json-rpc",
  "application/protobuf": "application/proto-rpc",
  "application/proto-rpc": "application/proto-rpc",
  "application/octet-stream": "application/proto-rpc",
};

/** Reads the routing headers of a request, with Go's defaults and its legacy detection (v4:server/rpc_codec.go setupProtocol, wire spec §1.4). */
export function originOf(header: Header, stream: string): Origin {
  const service = lookup(header, H.service);
  const named = lookup(header, H.endpoint);
  const called = lookup(header, H.method);
  const id = idOf(header);
  const contentType = header[H.contentType] || (isMicro(header) ? "application/protobuf" : "application/json");
  const old =
    lookup(header, H.protocol) === "" &&
    ((service === "" && named === "" && called === "") || lookup(header, H.target) !== "");
  return {
    contentType,
    codecType: (old ? legacy[contentType] : undefined) ?? contentType,
    service,
    endpoint: named || called,
    method: called || named,
    id,
    stream,
    retries: isOurs(id, stream),
  };
}
