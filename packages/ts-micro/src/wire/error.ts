import { MicroError, codeOf } from "../errors.ts";

// Go's net/http StatusText, for the `status` member that Go writes beside the number.
const statusTexts: Record<number, string> = {
  400: "Bad Request",
  401: "Unauthorized",
  402: "Payment Required",
  403: "Forbidden",
  404: "Not Found",
  405: "Method Not Allowed",
  406: "Not Acceptable",
  407: "Proxy Authentication Required",
  408: "Request Timeout",
  409: "Conflict",
  410: "Gone",
  411: "Length Required",
  412: "Precondition Failed",
  413: "Request Entity Too Large",
  414: "Request URI Too Long",
  415: "Unsupported Media Type",
  416: "Requested Range Not Satisfiable",
  417: "Expectation Failed",
  418: "I'm a teapot",
  421: "Misdirected Request",
  422: "Unprocessable Entity",
  423: "Locked",
  424: "Failed Dependency",
  425: "Too Early",
  426: "Upgrade Required",
  428: "Precondition Required",
  429: "Too Many Requests",
  431: "Request Header Fields Too Large",
  451: "Unavailable For Legal Reasons",
  500: "Internal Server Error",
  501: "Not Implemented",
  502: "Bad Gateway",
  503: "Service Unavailable",
  504: "Gateway Timeout",
  505: "HTTP Version Not Supported",
  507: "Insufficient Storage",
  508: "Loop Detected",
  511: "Network Authentication Required",
};

/** Go's text of a status; empty when there is none. */
export function statusText(status: number): string {
  return statusTexts[status] ?? "";
}

/** End of a mucp stream, in place of an error text (wire spec §3.2). */
export const EOS = "EOS";

/**
 * The text of `Micro-Error`: Go's `{"id","code","detail","status"}`, empty members left out, `<>&` escaped as Go does (wire spec §11,
 * v4:errors/errors.go). An error that came as plain text (no id, status 0) goes on as plain text.
 */
export function encodeError(error: MicroError): string {
  if (error.id === "" && error.status === 0) return error.detail;
  const out: Record<string, string | number> = {};
  if (error.id) out["id"] = error.id;
  if (error.status) out["code"] = error.status;
  if (error.detail) out["detail"] = error.detail;
  const text = statusText(error.status);
  if (text) out["status"] = text;
  return JSON.stringify(out).replace(
    /[<>&\u2028\u2029]/g,
    (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/** In characters: with mucp it travels twice in a header block of at most 1 MiB. */
const longest = 64 * 1024;

/** `Micro-Error` for `error`: at most `most` characters, never empty, and never taken for the end of a stream. */
export function errorText(error: MicroError, most: number = longest): string {
  if (error.detail.length <= most) {
    const text = encodeError(error);
    if (text === EOS || text === "") return encodeError(withDetail(error, text || error.code));
    if (text.length <= most) return text;
  }
  return encodeError(withDetail(error, `${error.detail.slice(0, most / 8)}…`));
}

function withDetail(error: MicroError, detail: string): MicroError {
  const { id, code, status } = error;
  return new MicroError({ id: id.slice(0, 1024) || "go.micro.server", code, status: status || 500, detail });
}

/**
 * The error behind a `Micro-Error` text. Go's JSON gives its fields; anything else is the detail of an error without id and with status 0
 * (errors.Parse does the same), code INTERNAL, or NOT_FOUND for the router's own `rpc: can't find …`. A JSON object without Go's fields keeps its text as detail, which Go loses.
 */
export function decodeError(text: string): MicroError {
  if (text.startsWith("{")) {
    try {
      const value = JSON.parse(text) as { id?: unknown; code?: unknown; detail?: unknown };
      const status = typeof value.code === "number" && Number.isInteger(value.code) ? value.code : 0;
      const id = typeof value.id === "string" ? value.id : "";
      const detail = typeof value.detail === "string" ? value.detail : "";
      if (id || status || detail) return new MicroError({ id, status, detail, code: codeOf(status) });
    } catch {
      // not JSON after all: plain text
    }
  }
  return new MicroError({
    id: "",
    status: 0,
    detail: text,
    code: isOfRouter(text) ? "NOT_FOUND" : "INTERNAL",
  });
}

/** Of errors that name nobody: plain texts, such as the router's, and what a foreign gRPC server said. */
export const nobody: ReadonlySet<string> = new Set(["", "go.micro.client"]);

/** Said by the status of gRPC, which handlers' own errors do not have: their words may be the same. */
const unimplemented = new WeakSet<MicroError>();

/** Notes that an error came as a gRPC server says that an endpoint is not there. */
export function markMissing(error: MicroError): void {
  unimplemented.add(error);
}

/** Whether an error is a router's for an endpoint that is not there: Go's words and ours, which name nobody, or gRPC's status. */
export function saysMissing(error: MicroError): boolean {
  return (nobody.has(error.id) && isOfRouter(error.detail)) || unimplemented.has(error);
}

/** Whether a message is Go's or grpc-js's for an endpoint that is not there. */
export function isMissing(message: string): boolean {
  return /^(unknown (service|method)|The server does not implement the method)/.test(message);
}

/** Whether a text is the router's for an endpoint that is not there, Go's and ours. */
function isOfRouter(text: string): boolean {
  return text.startsWith("rpc: can't find ");
}
