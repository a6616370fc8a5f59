import { errors } from "../../errors.ts";
import type { HeaderList } from "./headers.ts";
import { canonicalHeader } from "./names.ts";

/** A flat list, or a record: the names in any case. */
export type Headers = HeaderList | Readonly<Record<string, string>>;

/** Header lines encoded once for many messages: {@link precompile}. */
export interface HeaderBlock {
  readonly text: string;
}

export interface RequestInit {
  /** Value of Host; Go servers demand it on the first request of a connection. */
  readonly host: string;
  /** Default POST. */
  readonly method?: string;
  /** Default `/`, the only path that suits every Go server (wire spec §2.2). */
  readonly target?: string;
  /** Constant headers, written before `headers`. */
  readonly block?: HeaderBlock;
  readonly headers?: Headers;
  /** Text is sent as UTF-8. Default empty. */
  readonly body?: Uint8Array | string;
}

export interface ResponseInit {
  readonly block?: HeaderBlock;
  readonly headers?: Headers;
  readonly body?: Uint8Array | string;
}

// oxlint-disable-next-line no-control-regex -- these are what it looks for
const unsendable = /[\0-\x08\x0a-\x1f\x7f]/g;
// oxlint-disable-next-line no-control-regex
const anyUnsendable = /[\0-\x08\x0a-\x1f\x7f]/;
const method = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,32}$/;
const target = /^[\x21-\x7e]+$/;

/** Start line and Host of a `POST /`, before header lines that are encoded already. */
export function requestStart(host: string): string {
  return "POST / HTTP/1.1\r\nHost: " + clean(host) + "\r\n";
}

/** The start line of every response. */
export const responseStart = "HTTP/1.1 200 OK\r\n";

/** Encodes headers that many messages share, by the rules of {@link encodeRequest}. */
export function precompile(headers: Headers): HeaderBlock {
  return { text: lines(headers) };
}

/**
 * A whole request in one buffer, so that one write sends it. Like Go, names go out in canonical form and names that are no tokens are left
 * out; control characters in values become spaces (a reader would refuse them); values are UTF-8 bytes. Content-Length is always set, 0
 * included; Host, Content-Length, Transfer-Encoding and Trailer among `headers` are left out, since they frame the message.
 * Throws BAD_REQUEST for an illegal method or target.
 */
export function encodeRequest(request: RequestInit): Buffer {
  const body = request.body ?? "";
  return join(requestHead(request, byteLength(body)), body);
}

/** The head alone, for a body of `bodyBytes` that is written after it. */
export function encodeRequestHead(request: RequestInit, bodyBytes: number): Buffer {
  return Buffer.from(requestHead(request, bodyBytes));
}

/** A whole response in one buffer, always 200 (wire spec §0.2) and with Content-Length; otherwise as {@link encodeRequest}. */
export function encodeResponse(response: ResponseInit): Buffer {
  const body = response.body ?? "";
  return join(responseHead(response, byteLength(body)), body);
}

/** The head alone, for a body of `bodyBytes` that is written after it. */
export function encodeResponseHead(response: ResponseInit, bodyBytes: number): Buffer {
  return Buffer.from(responseHead(response, bodyBytes));
}

function requestHead(request: RequestInit, bodyBytes: number): string {
  let start = "POST / HTTP/1.1\r\nHost: ";
  if (request.method !== undefined || request.target !== undefined) {
    const verb = request.method ?? "POST";
    const path = request.target ?? "/";
    if (!method.test(verb) || !target.test(path))
      throw errors.badRequest("ts.micro.http1", "illegal request method or target");
    start = `${verb} ${path} HTTP/1.1\r\nHost: `;
  }
  return start + clean(request.host) + "\r\n" + fields(request.block, request.headers, bodyBytes);
}

function responseHead(response: ResponseInit, bodyBytes: number): string {
  return responseStart + fields(response.block, response.headers, bodyBytes);
}

function fields(block: HeaderBlock | undefined, headers: Headers | undefined, bodyBytes: number): string {
  let text = block === undefined ? "" : block.text;
  if (headers !== undefined) text += lines(headers);
  return text + "Content-Length: " + bodyBytes + "\r\n\r\n";
}

function lines(headers: Headers): string {
  let text = "";
  if (isList(headers))
    for (let i = 0; i + 1 < headers.length; i += 2) text += line(headers[i] as string, headers[i + 1] as string);
  else for (const name of Object.keys(headers)) text += line(name, headers[name] as string);
  return text;
}

function isList(headers: Headers): headers is HeaderList {
  return Array.isArray(headers);
}

function line(name: string, value: string): string {
  const canonical = canonicalHeader(name);
  return canonical === undefined || frames(canonical) ? "" : canonical + ": " + clean(value) + "\r\n";
}

function frames(name: string): boolean {
  return name === "Content-Length" || name === "Transfer-Encoding" || name === "Trailer" || name === "Host";
}

function clean(value: string): string {
  return anyUnsendable.test(value) ? value.replace(unsendable, " ") : value;
}

function byteLength(body: Uint8Array | string): number {
  return typeof body === "string" ? Buffer.byteLength(body) : body.length;
}

function join(head: string, body: Uint8Array | string): Buffer {
  if (typeof body === "string") return Buffer.from(head + body);
  const headBytes = Buffer.byteLength(head);
  const out = Buffer.allocUnsafe(headBytes + body.length);
  out.write(head, headBytes === head.length ? "latin1" : "utf8");
  out.set(body, headBytes);
  return out;
}
