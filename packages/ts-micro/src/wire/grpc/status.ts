import { MicroError, codeOf, grpcStatusOf, statusOf, type ErrorCode } from "../../errors.ts";
import { decodeError, encodeError, isMissing, markMissing, statusText } from "../error.ts";
import { decodeMessage, encodeMessage } from "./percent.ts";
import { ProtoWriter, protoFields, protoText } from "./proto.ts";

/** The only detail that Go peers survive: a foreign one ends a Go process (wire spec §4.5). */
export const errorName = "errors.Error";
const errorType = `type.googleapis.com/${errorName}`;
const unknown = 2;
/** Bytes of an error's detail that travel in headers; a block of them has 64 KiB at many peers, and it is in there twice. */
const longest = 6 * 1024;
/** Bytes of its words: JSON makes six of one, and percent-encoding three. */
const mostWords = 8 * 1024;

export type Trailers = Record<string, string>;

/** The trailers that say `error` (wire spec §4.5). `words`: its message, which Go reads as the error's JSON. */
export function encodeStatus(error: MicroError, words: (error: MicroError) => string = encodeError): Trailers {
  const told = bounded(error, words);
  const message = words(told);
  const code = grpcCodeOf(told);
  const trailers = plainStatus(code, message);
  // Go's plain errors have none either.
  if (told.status !== 0) trailers["grpc-status-details-bin"] = encodeDetails(told, code, message);
  if (error.refused) trailers["micro-refused"] = "1";
  return trailers;
}

/** The trailers of gRPC's own refusals: a code and words (wire spec §4.1). */
export function plainStatus(code: number, message: string): Trailers {
  return { "grpc-status": String(code), "grpc-message": encodeMessage(message) };
}

/** The gRPC status of an error. Go's table knows numbers of its own only; any other is Unknown there as here. */
export function grpcCodeOf(error: MicroError): number {
  if (error.status === 412) return 9;
  return error.status === statusOf(error.code) ? grpcStatusOf(error.code) : unknown;
}

/** `errors.Error` of Go Micro (wire spec §4.5). */
export function encodeErrorProto(error: MicroError): Buffer {
  const { id, status, detail } = error;
  return new ProtoWriter().text(1, id).int(2, status).text(3, detail).text(4, statusText(status)).done();
}

function encodeDetails(error: MicroError, code: number, message: string): string {
  const wrapped = new ProtoWriter().text(1, errorType).bytes(2, encodeErrorProto(error)).done();
  return new ProtoWriter().int(1, code).text(2, message).bytes(3, wrapped).done().toString("base64").replace(/=+$/, "");
}

/** The error, cut to what headers hold. `words`: what is said of it there. */
function bounded(error: MicroError, words: (error: MicroError) => string): MicroError {
  if (error.detail.length * 3 + error.id.length * 3 <= longest) return error;
  const { code, status } = error;
  const id = cut(error.id, longest / 6);
  for (let most = longest; ; most >>= 1) {
    const told = new MicroError({ id, code, status, detail: cut(error.detail, most) });
    if (Buffer.byteLength(words(told)) <= mostWords) return told;
  }
}

function cut(text: string, most: number): string {
  const bytes = Buffer.from(text);
  // A character that is cut through decodes to the replacement character.
  return bytes.length <= most
    ? text
    : `${bytes
        .subarray(0, most)
        .toString()
        .replace(/\uFFFD+$/, "")}…`;
}

/** gRPC status → our code, where the peer is no Go Micro and says no more (wire spec §4.5). */
const codes: readonly ErrorCode[] = [
  "INTERNAL",
  "CANCELLED",
  "INTERNAL",
  "BAD_REQUEST",
  "TIMEOUT",
  "NOT_FOUND",
  "CONFLICT",
  "FORBIDDEN",
  "RESOURCE_EXHAUSTED",
  "INVALID_STATE",
  "CONFLICT",
  "BAD_REQUEST",
  "UNSUPPORTED",
  "INTERNAL",
  "UNAVAILABLE",
  "INTERNAL",
  "UNAUTHORIZED",
];
/** Where Go's number is another one than that of our code. */
const numbers: Readonly<Record<number, number>> = { 9: 412 };

/**
 * The error behind trailers, undefined for status 0: errors.Error in the details, else Go's JSON in the message, else the code with the
 * message as detail. `refused` when the server says that the call has not run.
 */
export function decodeStatus(trailers: Readonly<Record<string, string | undefined>>): MicroError | undefined {
  const text = trailers["grpc-status"];
  if (text === "0") return undefined;
  const refused = trailers["micro-refused"] === "1";
  const code = text !== undefined && /^\d{1,3}$/.test(text) ? Number(text) : unknown;
  const message = decodeMessage(trailers["grpc-message"] ?? "");
  const own = detailed(trailers["grpc-status-details-bin"]) ?? told(message);
  const { id, status, detail, code: name } = own ?? bare(code, message);
  const error = new MicroError({ id, code: name, status, detail, refused });
  error.layer = "remote";
  if (own === undefined && isUnimplemented(code, message)) markMissing(error);
  return error;
}

function told(message: string): MicroError | undefined {
  const error = message.startsWith("{") ? decodeError(message) : undefined;
  return error !== undefined && error.status > 0 ? error : undefined;
}

function detailed(value: string | undefined): MicroError | undefined {
  if (value === undefined) return undefined;
  try {
    const wrapped = protoFields(Buffer.from(value, "base64")).find(({ field }) => field === 3);
    const fields = new Map(protoFields(wrapped?.value as Uint8Array).map((each) => [each.field, each.value]));
    if (protoText(fields.get(1)) !== errorType) return undefined;
    const error = new Map(protoFields(fields.get(2) as Uint8Array).map((each) => [each.field, each.value]));
    const status = Number(error.get(2) ?? 0) | 0;
    return new MicroError({
      id: protoText(error.get(1)),
      status,
      code: codeOf(status),
      detail: protoText(error.get(3)),
    });
  } catch {
    // Somebody else's bytes; the message is left.
    return undefined;
  }
}

/** The number alone is that of what is left undone on purpose too. */
function isUnimplemented(grpc: number, message: string): boolean {
  return grpc === 12 && isMissing(message);
}

function bare(grpc: number, message: string): MicroError {
  const code = isUnimplemented(grpc, message) ? "NOT_FOUND" : (codes[grpc] ?? "INTERNAL");
  const detail = message || `gRPC status ${grpc}`;
  return new MicroError({ id: "go.micro.client", code, status: numbers[grpc] ?? statusOf(code), detail });
}
