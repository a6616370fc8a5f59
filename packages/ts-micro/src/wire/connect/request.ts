import { errors } from "../../errors.ts";
import { baseType } from "../http/browser.ts";

/** What a content type of Connect says. */
export interface ConnectType {
  /** Content type of the messages, as codecs know it. */
  readonly codec: "application/json" | "application/protobuf";
  /** Messages are enveloped, in both directions. */
  readonly stream: boolean;
  /** Content type of the answer: the request's. */
  readonly answer: string;
}

const types = new Map<string, ConnectType>([
  ["application/json", { codec: "application/json", stream: false, answer: "application/json" }],
  ["application/proto", { codec: "application/protobuf", stream: false, answer: "application/proto" }],
  ["application/connect+json", { codec: "application/json", stream: true, answer: "application/connect+json" }],
  ["application/connect+proto", { codec: "application/protobuf", stream: true, answer: "application/connect+proto" }],
]);

const id = "go.micro.server";

/** Undefined for any other content type. */
export function connectType(contentType: string | undefined): ConnectType | undefined {
  return types.get(baseType(contentType));
}

/**
 * `connect-timeout-ms` in milliseconds; Infinity without one.
 * @throws MicroError BAD_REQUEST
 */
export function connectTimeout(text: string | undefined): number {
  if (text === undefined) return Infinity;
  if (!/^\d{1,10}$/.test(text)) throw errors.badRequest(id, `invalid connect-timeout-ms ${JSON.stringify(text)}`);
  return Number(text);
}

/** A call by GET, all of it in the query. */
export interface ConnectQuery {
  readonly type: ConnectType;
  /** Encoding of the message; empty for none. */
  readonly compression: string;
  readonly message: Uint8Array;
}

/**
 * `?connect=v1&encoding=json&message=…[&base64=1][&compression=gzip]`.
 * @throws MicroError BAD_REQUEST, UNSUPPORTED for an encoding other than json and proto.
 */
export function connectQuery(query: string): ConnectQuery {
  const params = new URLSearchParams(query);
  const version = params.get("connect");
  if (version !== null && version !== "v1") throw errors.badRequest(id, `connect=${version}: v1 is what there is`);
  const encoding = params.get("encoding");
  const type = encoding === "json" || encoding === "proto" ? types.get(`application/${encoding}`) : undefined;
  if (type === undefined) throw errors.unsupported(id, "a call by GET needs ?encoding=json or proto, and message");
  const message = params.get("message");
  if (message === null) throw errors.badRequest(id, "a call by GET needs ?message");
  const base64 = params.get("base64") === "1";
  if (base64 && !/^[A-Za-z0-9+/_-]*={0,2}$/.test(message)) throw errors.badRequest(id, "the message is no base64");
  return {
    type,
    compression: params.get("compression") ?? "",
    message: Buffer.from(message, base64 ? "base64url" : "utf8"),
  };
}
