import { errors } from "../../errors.ts";
import { decodeTimeout } from "../grpc/timeout.ts";
import { baseType } from "../http/browser.ts";

/** What a content type of gRPC-Web says. */
export interface GrpcWebType {
  /** Content type of the messages, as codecs know it. */
  readonly codec: "application/json" | "application/protobuf";
  /** The body is base64. */
  readonly text: boolean;
  /** Content type of the answer. */
  readonly answer: string;
}

const types = new Map<string, GrpcWebType>();
for (const text of [false, true]) {
  const base = text ? "application/grpc-web-text" : "application/grpc-web";
  const binary: GrpcWebType = { codec: "application/protobuf", text, answer: `${base}+proto` };
  types.set(base, binary).set(`${base}+proto`, binary);
  types.set(`${base}+json`, { codec: "application/json", text, answer: `${base}+json` });
}

/** Undefined for any other content type. */
export function grpcWebType(contentType: string | undefined): GrpcWebType | undefined {
  return types.get(baseType(contentType));
}

/**
 * `grpc-timeout` in milliseconds; Infinity without one.
 * @throws MicroError BAD_REQUEST
 */
export function grpcTimeout(text: string | undefined): number {
  if (text === undefined) return Infinity;
  const ms = decodeTimeout(text);
  if (ms === undefined) throw errors.badRequest("go.micro.server", `invalid grpc-timeout ${JSON.stringify(text)}`);
  return ms;
}
