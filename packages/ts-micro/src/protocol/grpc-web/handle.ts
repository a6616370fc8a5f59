import type { Kind } from "../../context.ts";
import { errors, fromUnknown, type MicroError } from "../../errors.ts";
import type { HttpExchange } from "../../server.ts";
import { Base64Reader, encodeTrailers, trailerFlag } from "../../wire/grpc-web/body.ts";
import { grpcTimeout, grpcWebType } from "../../wire/grpc-web/request.ts";
import { statusTrailers } from "../../wire/grpc-web/status.ts";
import { FramedStream, runFramed } from "../common/framed-stream.ts";
import { acceptsGzip, isGzip } from "../common/gzip.ts";
import type { Target } from "../common/target.ts";
import { unknownEndpoint, type WebCall, type WebSetup } from "../common/web-call.ts";

const id = "go.micro.server";
const nothing = new Uint8Array(0);

/**
 * Answers one request of gRPC-Web (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-WEB.md). Throws FORBIDDEN to what a page may not
 * send, and UNSUPPORTED for messages that are neither JSON nor protobuf.
 */
export async function handleGrpcWeb(exchange: HttpExchange, target: Target, setup: WebSetup): Promise<void> {
  const { headers } = exchange;
  const at = setup.clock.now();
  const admitted = setup.browsers.admit(headers);
  const type = grpcWebType(headers["content-type"]);
  if (type === undefined || !setup.calls.supports(type.codec))
    throw errors.unsupported(id, "content types of gRPC-Web are application/grpc-web[-text] with +proto or +json");
  const call: WebCall = { ...setup, exchange, target, codec: type.codec, admitted, at };
  const kind = setup.calls.kindOf(target.endpoint);
  let failure: MicroError | undefined;
  let timeout = Infinity;
  let zipped = false;
  try {
    timeout = grpcTimeout(headers["grpc-timeout"]);
    zipped = isGzip(headers["grpc-encoding"]);
    if (kind === undefined) throw unknownEndpoint(target.endpoint);
  } catch (error) {
    failure = fromUnknown(error, id);
  }
  const zips = acceptsGzip(headers["grpc-accept-encoding"]);
  const base64 = type.text ? new Base64Reader() : undefined;
  const stream = new FramedStream(call, {
    headers: {
      "content-type": type.answer,
      "grpc-accept-encoding": "gzip",
      ...(zips ? { "grpc-encoding": "gzip" } : {}),
    },
    gunzip: zipped,
    gzip: zips,
    end: (error) => ({ flags: trailerFlag, body: encodeTrailers(statusTrailers(error)) }),
    unwrap(chunk) {
      if (base64 === undefined) return chunk ?? nothing;
      if (chunk !== undefined) return base64.push(chunk);
      base64.end();
      return nothing;
    },
    wrap: (frame) => (base64 === undefined ? frame : Buffer.from(Buffer.from(frame).toString("base64"), "latin1")),
  });
  if (failure === undefined) await runFramed(call, stream, kind as Kind, timeout);
  else stream.finish(failure);
}
