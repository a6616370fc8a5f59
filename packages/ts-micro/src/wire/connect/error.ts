import type { MicroError } from "../../errors.ts";
import { encodeErrorProto, errorName, grpcCodeOf } from "../grpc/status.ts";

/** Connect's name and HTTP status of each gRPC status (https://connectrpc.com/docs/protocol#error-codes). */
const codes: readonly (readonly [name: string, status: number])[] = [
  ["unknown", 500],
  ["canceled", 499],
  ["unknown", 500],
  ["invalid_argument", 400],
  ["deadline_exceeded", 504],
  ["not_found", 404],
  ["already_exists", 409],
  ["permission_denied", 403],
  ["resource_exhausted", 429],
  ["failed_precondition", 400],
  ["aborted", 409],
  ["out_of_range", 400],
  ["unimplemented", 501],
  ["internal", 500],
  ["unavailable", 503],
  ["data_loss", 500],
  ["unauthenticated", 401],
];

/** HTTP status of a unary answer with this error. */
export function connectStatus(error: MicroError): number {
  return codes[grpcCodeOf(error)]?.[1] ?? 500;
}

/** Body of a unary answer with this error. */
export function encodeConnectError(error: MicroError): Buffer {
  return Buffer.from(JSON.stringify(json(error)));
}

/** Body of the last frame of a stream. `metadata`: its trailers, names in lower case. */
export function encodeConnectEnd(error: MicroError | undefined, metadata: Readonly<Record<string, string>>): Buffer {
  const names = Object.keys(metadata);
  return Buffer.from(
    JSON.stringify({
      ...(error === undefined ? {} : { error: json(error) }),
      ...(names.length === 0 ? {} : { metadata: Object.fromEntries(names.map((name) => [name, [metadata[name]]])) }),
    }),
  );
}

function json(error: MicroError): object {
  const { id, status, detail } = error;
  const code = codes[grpcCodeOf(error)]?.[0] ?? "unknown";
  const message = detail.slice(0, 65_536);
  if (id === "" && status === 0) return { code, message };
  const value = encodeErrorProto(error).toString("base64").replaceAll("=", "");
  return { code, message, details: [{ type: errorName, value, debug: { id, code: status, detail } }] };
}
