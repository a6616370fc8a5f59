import type { Kind } from "../../context.ts";
import { errors, fromUnknown, type MicroError } from "../../errors.ts";
import type { HttpExchange } from "../../server.ts";
import { connectStatus, encodeConnectEnd, encodeConnectError } from "../../wire/connect/error.ts";
import { added } from "../../wire/added.ts";
import { connectQuery, connectTimeout, connectType, type ConnectType } from "../../wire/connect/request.ts";
import { tooLarge } from "../../wire/grpc/frame.ts";
import type { Headers } from "../../wire/http/browser.ts";
import { answerFramed } from "../common/framed-stream.ts";
import { acceptsGzip, deflated, inflated, isGzip } from "../../wire/grpc/gzip.ts";
import type { Target } from "../../wire/grpc/path.ts";
import { begin, incoming, openCall, unknownEndpoint, type WebCall, type WebSetup } from "../common/web-call.ts";

const id = "go.micro.server";
const endFlag = 2;

/** Answers one request of Connect (https://connectrpc.com/docs/protocol). Throws only FORBIDDEN, to what a page may not send. */
export async function handleConnect(exchange: HttpExchange, target: Target, setup: WebSetup): Promise<void> {
  const { headers, method } = exchange;
  const type = connectType(headers["content-type"] ?? "application/json");
  const kind = setup.calls.kindOf(target.endpoint);
  const reads = method === "GET" && kind === "unary" && setup.calls.noSideEffects?.(target.endpoint) === true;
  const call = openCall(exchange, target, setup, type?.codec ?? "application/json", reads);
  if (method === "GET") {
    if (!reads)
      return fail(call, errors.methodNotAllowed(id, `${target.endpoint} is called by POST`), 405, { allow: "POST" });
    return byQuery(call);
  }
  if (type === undefined || !setup.calls.supports(type.codec)) {
    const { "content-type": given = "" } = headers;
    return fail(call, errors.unsupported(id, `content type ${given}: application/json or application/proto`), 415);
  }
  if (kind !== undefined && type.stream !== (kind !== "unary")) {
    const wanted = type.stream ? "application/json or application/proto" : "application/connect+json or +proto";
    const detail = `${target.endpoint} is a ${kind} ${kind === "unary" ? "call" : "stream"}: its content type is ${wanted}`;
    return fail(call, errors.unsupported(id, detail), 415);
  }
  return type.stream ? streamed(call, type) : byPost(call, kind, type);
}

async function byQuery(call: WebCall): Promise<void> {
  const { exchange, maxMessageSize } = call;
  try {
    const { type, compression, message } = connectQuery(exchange.query);
    const timeout = connectTimeout(exchange.headers["connect-timeout-ms"]);
    const body = isGzip(compression) ? inflated(message, maxMessageSize, errors.badRequest) : message;
    if (body.length > maxMessageSize) throw tooLarge(body.length, maxMessageSize);
    await run({ ...call, codec: type.codec }, type, body, timeout);
  } catch (error) {
    fail(call, fromUnknown(error, id));
  }
}

async function byPost(call: WebCall, kind: Kind | undefined, type: ConnectType): Promise<void> {
  const { exchange, target, maxMessageSize } = call;
  const { headers } = exchange;
  try {
    checkVersion(headers);
    if (kind === undefined) throw unknownEndpoint(target.endpoint);
    const timeout = connectTimeout(headers["connect-timeout-ms"]);
    const zipped = isGzip(headers["content-encoding"]);
    exchange.arriveBy?.(call.at + timeout);
    const sent = await exchange.readAll(maxMessageSize);
    await run(call, type, zipped ? inflated(sent, maxMessageSize, errors.badRequest) : sent, timeout);
  } catch (error) {
    fail(call, fromUnknown(error, id));
  }
}

async function run(web: WebCall, type: ConnectType, body: Uint8Array, timeout: number): Promise<void> {
  const { body: reply, error } = await web.calls.unary(incoming(web, "unary", timeout), body);
  if (error !== undefined) throw error;
  if (reply.length > web.maxMessageSize) throw tooLarge(reply.length, web.maxMessageSize);
  answer(web, 200, { "content-type": type.answer }, reply);
}

function fail(web: WebCall, error: MicroError, status = connectStatus(error), more: Headers = {}): void {
  const headers: Headers = { "content-type": "application/json", ...more };
  answer(web, status, error.refused ? { ...headers, "micro-refused": "1" } : headers, encodeConnectError(error));
}

function answer(web: WebCall, status: number, headers: Headers, body: Uint8Array): void {
  const { exchange, response } = web;
  if (exchange.cancellation.reason !== undefined) return;
  const sent = acceptsGzip(exchange.headers["accept-encoding"]) ? deflated(body) : body;
  const encoding: Headers = sent === body ? {} : { "content-encoding": "gzip" };
  const trailers = added(response.givenTrailer, "trailer-");
  begin(web, status, {
    ...trailers,
    ...headers,
    ...encoding,
    vary: "accept-encoding",
    "content-length": String(sent.length),
  });
  exchange.end(sent);
}

function streamed(call: WebCall, type: ConnectType): Promise<void> {
  const { headers } = call.exchange;
  const zips = acceptsGzip(headers["connect-accept-encoding"]);
  return answerFramed(call, {
    headers: {
      "content-type": type.answer,
      "connect-accept-encoding": "gzip",
      ...(zips ? { "connect-content-encoding": "gzip" } : {}),
    },
    gzip: zips,
    asked() {
      checkVersion(headers);
      return {
        timeout: connectTimeout(headers["connect-timeout-ms"]),
        encoding: headers["connect-content-encoding"],
      };
    },
    end(error) {
      const refused: Headers = error?.refused === true ? { "micro-refused": "1" } : {};
      return { flags: endFlag, body: encodeConnectEnd(error, { ...added(call.response.givenTrailer), ...refused }) };
    },
    base64: false,
  });
}

function checkVersion(headers: Headers): void {
  const version = headers["connect-protocol-version"];
  if (version !== undefined && version !== "1")
    throw errors.badRequest(id, `connect-protocol-version ${JSON.stringify(version)}: 1 is what there is`);
}
