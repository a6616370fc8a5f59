import { grpcStatusOf, statusOf, type MicroError } from "../../errors.ts";
import { encodeStatusProto } from "../error-proto.ts";

/** The gRPC status of an error: by its code; a status of the user's own is Unknown, as Go's table has it (wire spec §4.5). */
export function grpcCode(error: MicroError): number {
  if (error.status === statusOf(error.code)) return grpcStatusOf(error.code);
  if (error.status === 412) return 9;
  return error.status === 0 && error.code !== "INTERNAL" ? grpcStatusOf(error.code) : 2;
}

/** `grpc-status` and what explains it. The message is the detail, for people; the whole error is the one entry of the details. */
export function statusTrailers(error: MicroError | undefined): Record<string, string> {
  if (error === undefined) return { "grpc-status": "0" };
  const code = grpcCode(error);
  const detail = error.detail.slice(0, 8192);
  const trailers: Record<string, string> = { "grpc-status": String(code), "grpc-message": percentEncode(detail) };
  if (error.id !== "" || error.status !== 0)
    trailers["grpc-status-details-bin"] = encodeStatusProto(code, detail, error).toString("base64").replaceAll("=", "");
  if (error.refused) trailers["micro-refused"] = "1";
  return trailers;
}

/** As `grpc-message` goes: UTF-8, everything but printable ASCII percent-encoded, and `%`. */
export function percentEncode(text: string): string {
  let out = "";
  for (const byte of Buffer.from(text))
    out +=
      byte < 32 || byte > 126 || byte === 37
        ? `%${byte.toString(16).toUpperCase().padStart(2, "0")}`
        : String.fromCharCode(byte);
  return out;
}
