import { errors } from "../../errors.ts";
import type { HttpExchange } from "../../server.ts";
import { added } from "../../wire/added.ts";
import { encodeTrailers, trailerFlag } from "../../wire/grpc-web/body.ts";
import { grpcTimeout, grpcWebType } from "../../wire/grpc-web/request.ts";
import { encodeStatus } from "../../wire/grpc/status.ts";
import { answerFramed } from "../common/framed-stream.ts";
import { acceptsGzip } from "../../wire/grpc/gzip.ts";
import type { Target } from "../../wire/grpc/path.ts";
import { openCall, type WebSetup } from "../common/web-call.ts";

const id = "go.micro.server";
const ok = { "grpc-status": "0" };

/**
 * Answers one request of gRPC-Web (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-WEB.md). Throws FORBIDDEN to what a page may not
 * send, and UNSUPPORTED for messages that are neither JSON nor protobuf.
 */
export async function handleGrpcWeb(exchange: HttpExchange, target: Target, setup: WebSetup): Promise<void> {
  const { headers } = exchange;
  const type = grpcWebType(headers["content-type"]);
  const call = openCall(exchange, target, setup, type?.codec ?? "");
  if (type === undefined || !setup.calls.supports(type.codec))
    throw errors.unsupported(id, "content types of gRPC-Web are application/grpc-web[-text] with +proto or +json");
  const zips = acceptsGzip(headers["grpc-accept-encoding"]);
  await answerFramed(call, {
    headers: {
      "content-type": type.answer,
      "grpc-accept-encoding": "gzip",
      ...(zips ? { "grpc-encoding": "gzip" } : {}),
    },
    gzip: zips,
    asked: () => ({ timeout: grpcTimeout(headers["grpc-timeout"]), encoding: headers["grpc-encoding"] }),
    end(error) {
      const status = error === undefined ? ok : encodeStatus(error, ({ detail }) => detail);
      return { flags: trailerFlag, body: encodeTrailers({ ...added(call.response.givenTrailer), ...status }) };
    },
    base64: type.text,
  });
}
