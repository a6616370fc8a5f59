import { errors, type MicroError } from "../errors.ts";
import { goJsonDecode, goJsonEncode, goJsonText } from "./go-json.ts";

/** The envelope of `application/json-rpc`, JSON-RPC 1.0 (wire spec §1.6, v4:codec/jsonrpc). Events have none: their body is bare JSON. */

export interface JsonRpcRequest {
  /** Micro-Id as text; `""` if there was none. */
  id: string;
  /** `Greeter.Hello`; `""` if there was none. */
  method: string;
  body: unknown;
}

export interface JsonRpcResponse {
  id: string;
  /** The error's text, or `undefined` for success. */
  error: string | undefined;
  /** `null` beside an error. */
  body: unknown;
}

/** `{"params":[body],"id":"0","method":"Greeter.Hello"}` and a newline. Throws BAD_REQUEST as {@link goJsonText}. */
export function encodeJsonRpcRequest(id: string, method: string, body: unknown): string {
  return `{"params":[${goJsonText(body)}],"id":${goJsonText(id)},"method":${goJsonText(method)}}\n`;
}

/** `{"id":"0","result":body,"error":null}` and a newline. */
export function encodeJsonRpcResponse(id: string, body: unknown): string {
  return `{"id":${goJsonText(id)},"result":${goJsonText(body)},"error":null}\n`;
}

/** `{"id":"","result":null,"error":"text"}` and a newline. Go leaves the id empty for every error. */
export function encodeJsonRpcError(error: string, id = ""): string {
  return goJsonEncode({ id, result: null, error });
}

/** The bare body, without newline. */
export function encodeJsonRpcEvent(body: unknown): string {
  return goJsonText(body);
}

/**
 * Reads a request. The id may be any scalar. Throws BAD_REQUEST for bytes that are no such envelope; also for missing or empty `params`, where
 * a Go server panics and never replies.
 */
export function decodeJsonRpcRequest(bytes: Uint8Array | string): JsonRpcRequest {
  const { id, method, params } = object(goJsonDecode(bytes));
  if (method !== undefined && method !== null && typeof method !== "string") throw invalid("method is no string");
  if (!Array.isArray(params) || params.length === 0) throw invalid("params is no array with an element");
  return { id: idOf(id), method: method ?? "", body: params[0] as unknown };
}

/**
 * Reads a response: `error` must be null, missing or text. Empty text counts as `unspecified error`, as in Go. The id is given as it came,
 * not compared with anything.
 */
export function decodeJsonRpcResponse(bytes: Uint8Array | string): JsonRpcResponse {
  const { id, result, error } = object(goJsonDecode(bytes));
  if (error === null || error === undefined) return { id: idOf(id), error: undefined, body: result ?? null };
  if (typeof error !== "string") throw invalid(`invalid error ${goJsonText(error).slice(0, 200)}`);
  return { id: idOf(id), error: error === "" ? "unspecified error" : error, body: null };
}

/** Reads an event: bare JSON. */
export function decodeJsonRpcEvent(bytes: Uint8Array | string): unknown {
  return goJsonDecode(bytes);
}

function object(value: unknown): Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw invalid("the envelope is no object");
  return value as Record<string, unknown>;
}

function idOf(id: unknown): string {
  if (typeof id === "string") return id;
  if (id === undefined || id === null) return "";
  if (typeof id === "number" || typeof id === "bigint" || typeof id === "boolean") return String(id);
  throw invalid("id is no scalar");
}

function invalid(detail: string): MicroError {
  return errors.badRequest("ts.micro.json-rpc", detail);
}
