import type { Kind } from "../../context.ts";
import { errors, fromUnknown, type MicroError } from "../../errors.ts";
import type { HttpExchange } from "../../server.ts";
import { encodeTrailers, trailerFlag } from "../../wire/grpc-web/body.ts";
import { grpcTimeout, grpcWebType } from "../../wire/grpc-web/request.ts";
import { encodeStatus } from "../../wire/grpc/status.ts";
import { FramedStream, runFramed } from "../common/framed-stream.ts";
import { acceptsGzip, isGzip } from "../common/gzip.ts";
import type { Target } from "../common/target.ts";
import { unknownEndpoint, type WebCall, type WebSetup } from "../common/web-call.ts";

const id = "go.micro.server";
const ok = { "grpc-status": "0" };

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
  const stream = new FramedStream(call, {
    headers: {
      "content-type": type.answer,
      "grpc-accept-encoding": "gzip",
      ...(zips ? { "grpc-encoding": "gzip" } : {}),
    },
    gunzip: zipped,
    gzip: zips,
    end: (error) => ({
      flags: trailerFlag,
      body: encodeTrailers(error === undefined ? ok : encodeStatus(error, ({ detail }) => detail)),
    }),
    base64: type.text,
  });
  if (failure === undefined) await runFramed(call, stream, kind as Kind, timeout);
  else stream.finish(failure);
}
