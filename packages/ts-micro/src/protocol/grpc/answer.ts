import type { Http2End, Http2Headers } from "../../backends/http2.ts";
import { MicroError, errors, fromUnknown, type ErrorCode } from "../../errors.ts";
import { isAddable } from "../../wire/added.ts";
import { messageType } from "../../wire/grpc/content-type.ts";
import { Metadata } from "../../metadata.ts";
import type { Owner } from "./owner.ts";
import { clientId } from "../mucp/owner.ts";

/** HTTP status of what is no gRPC answer → code (gRPC, "HTTP to gRPC Status Code Mapping"). */
const byStatus: Readonly<Record<string, ErrorCode>> = {
  "400": "INTERNAL",
  "401": "UNAUTHORIZED",
  "403": "FORBIDDEN",
  "404": "UNSUPPORTED",
  "429": "UNAVAILABLE",
  "502": "UNAVAILABLE",
  "503": "UNAVAILABLE",
  "504": "UNAVAILABLE",
};

/** What is wrong with the head of an answer; undefined when it is gRPC's. */
export function headFault(owner: Owner, headers: Http2Headers): MicroError | undefined {
  const status = headers[":status"];
  const where = owner.node.address;
  // A proxy that cannot go on says so in gRPC's words and with an HTTP status of its own.
  if (status !== "200" && headers["grpc-status"] === undefined) {
    const code = byStatus[status ?? ""] ?? "PROTOCOL";
    return new MicroError({ id: clientId, code, detail: `${where}: answered by HTTP status ${status}` });
  }
  if (headers["grpc-status"] === undefined && messageType(headers["content-type"]) === undefined)
    return errors.protocol(clientId, `${where}: the answer is no gRPC, its content type is ${headers["content-type"]}`);
  return undefined;
}

/** What the handler added, of headers or trailers. */
export function addedIn(headers: Http2Headers): Metadata {
  const metadata = new Metadata();
  for (const name in headers) if (isAddable(name)) metadata.set(name, headers[name] as string);
  return metadata;
}

/** The error of a call that the engine did not take: nothing of it was sent. */
export function unsentError(owner: Owner, error: unknown): MicroError {
  const detail = `${owner.node.address}: the call could not be sent: ${fromUnknown(error).detail}`;
  return new MicroError({ id: clientId, code: "UNAVAILABLE", detail, cause: error, refused: true });
}

/** Codes of RST_STREAM (gRPC over HTTP/2, "Errors"). */
const byReset: Readonly<Record<number, ErrorCode>> = { 8: "CANCELLED", 11: "RESOURCE_EXHAUSTED", 12: "FORBIDDEN" };

/** The error of a call whose stream was over before its status came. */
export function lostError(owner: Owner, how: Http2End, code: number): MicroError {
  const { address } = owner.node;
  if (how === "unprocessed") {
    const detail = `${address}: the server did not take the call`;
    return new MicroError({ id: clientId, code: "UNAVAILABLE", detail, refused: true });
  }
  if (how === "lost") return errors.connectionLost(clientId, `the connection to ${address} was lost`);
  if (how === "complete") return errors.connectionLost(clientId, `${address}: the answer ended without a status`);
  const detail = `${address}: the server reset the stream with code ${code}`;
  return new MicroError({ id: clientId, code: byReset[code] ?? "PROTOCOL", detail });
}
