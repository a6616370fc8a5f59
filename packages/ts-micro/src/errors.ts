/** Every code that a {@link MicroError} can carry. The set is closed, so a `switch` over it can be exhaustive. */
export type ErrorCode =
  | "BAD_REQUEST"
  | "UNAUTHORIZED"
  | "FORBIDDEN"
  | "NOT_FOUND"
  | "METHOD_NOT_ALLOWED"
  | "TIMEOUT"
  | "CONFLICT"
  | "PAYLOAD_TOO_LARGE"
  | "STORE_LOCKED"
  | "RESOURCE_EXHAUSTED"
  | "CANCELLED"
  | "INTERNAL"
  | "PROTOCOL"
  | "INVALID_STATE"
  | "STREAM_CONSUMED"
  | "PACKAGE_MISSING"
  | "UNSUPPORTED"
  | "UNAVAILABLE"
  | "DRAINING"
  | "CONNECTION_LOST"
  | "REGISTRY_UNAVAILABLE";

/** Code → HTTP-like status (Go's numeric `code`) and gRPC status. */
const table: Record<ErrorCode, { readonly status: number; readonly grpc: number }> = {
  BAD_REQUEST: { status: 400, grpc: 3 },
  UNAUTHORIZED: { status: 401, grpc: 16 },
  FORBIDDEN: { status: 403, grpc: 7 },
  NOT_FOUND: { status: 404, grpc: 5 },
  METHOD_NOT_ALLOWED: { status: 405, grpc: 12 },
  TIMEOUT: { status: 408, grpc: 4 },
  CONFLICT: { status: 409, grpc: 6 },
  PAYLOAD_TOO_LARGE: { status: 413, grpc: 8 },
  STORE_LOCKED: { status: 423, grpc: 9 },
  RESOURCE_EXHAUSTED: { status: 429, grpc: 8 },
  CANCELLED: { status: 499, grpc: 1 },
  INTERNAL: { status: 500, grpc: 13 },
  PROTOCOL: { status: 500, grpc: 13 },
  INVALID_STATE: { status: 500, grpc: 9 },
  STREAM_CONSUMED: { status: 500, grpc: 9 },
  PACKAGE_MISSING: { status: 500, grpc: 9 },
  UNSUPPORTED: { status: 501, grpc: 12 },
  UNAVAILABLE: { status: 503, grpc: 14 },
  DRAINING: { status: 503, grpc: 14 },
  CONNECTION_LOST: { status: 503, grpc: 14 },
  REGISTRY_UNAVAILABLE: { status: 503, grpc: 14 },
};

const brand: symbol = Symbol.for("ts-micro.error");
const byStatus = new Map<number, ErrorCode>();
for (const [code, row] of Object.entries(table))
  if (!byStatus.has(row.status)) byStatus.set(row.status, code as ErrorCode);

/** The status that belongs to a code. */
export function statusOf(code: ErrorCode): number {
  return table[code].status;
}

/** The gRPC status that belongs to a code. */
export function grpcStatusOf(code: ErrorCode): number {
  return table[code].grpc;
}

/** The code for a numeric status. A status outside the table gets the code of its class: 4xx is BAD_REQUEST, everything else INTERNAL. */
export function codeOf(status: number): ErrorCode {
  return byStatus.get(status) ?? (status >= 400 && status < 500 ? "BAD_REQUEST" : "INTERNAL");
}

/** What a {@link MicroError} is made from. `code` and `status` imply each other; give one, or neither for INTERNAL (500). */
export interface MicroErrorInit {
  /** Who reports it: a service name, or Go's `go.micro.client` and the like. Users tell their own errors apart by it. Default `""`. */
  id?: string | undefined;
  /** What happened, for people. */
  detail: string;
  /** The text of the `Error`, where this process has more to say than what travels. Default: the detail. */
  message?: string | undefined;
  code?: ErrorCode | undefined;
  /** Any whole number of 32 bits, as Go's; 0 stands for its error without a code. Others count as none. */
  status?: number | undefined;
  /** The error behind it. Never travels. */
  cause?: unknown;
  /**
   * True when the request cannot have run at the peer, which makes a retry safe. Travels with what the server itself refuses (`Micro-Refused`), to
   * peers that understand it; what a handler throws goes without it, since the handler has run.
   */
  refused?: boolean | undefined;
}

/**
 * The one error of the framework, local and remote. Recognise it with {@link isMicroError}, never by `instanceof`: two copies of the
 * package may be loaded. `id`, `status` and `detail` are Go's `{id, code, detail, status}` (wire spec §11); the rest stays in this process.
 */
export class MicroError extends Error {
  readonly id: string;
  readonly code: ErrorCode;
  readonly status: number;
  readonly detail: string;
  /** True when the request cannot have run at the peer. */
  readonly refused: boolean;
  /** Which part of the call path reported it: `select`, `dial`, `send`, `receive`, `decode`, `handler` … */
  declare layer?: string;
  /** How many attempts a client made. */
  declare attempts?: number;

  constructor(init: MicroErrorInit) {
    // From plain JavaScript anything may come; the wires need text and whole numbers.
    const detail = textOf(init.detail ?? "");
    super(init.message ?? detail, init.cause === undefined ? undefined : { cause: init.cause });
    this.id = textOf(init.id ?? "");
    const status = isStatus(init.status) ? init.status : undefined;
    this.code = init.code ?? (status === undefined ? "INTERNAL" : codeOf(status));
    this.status = status ?? table[this.code].status;
    this.detail = detail;
    this.refused = init.refused ?? false;
  }

  override get name(): string {
    return "MicroError";
  }

  /** What JSON.stringify and loggers show: the code, and Go's fields. */
  toJSON(): { id: string; code: ErrorCode; status: number; detail: string } {
    return { id: this.id, code: this.code, status: this.status, detail: this.detail };
  }

  /** {@link fromUnknown} */
  static from(error: unknown, id?: string): MicroError {
    return fromUnknown(error, id);
  }
}

Object.defineProperty(MicroError.prototype, brand, { value: true });

/** True for a MicroError of any copy of this package. */
export function isMicroError(error: unknown): error is MicroError {
  return typeof error === "object" && error !== null && brand in error;
}

/**
 * Any thrown value as a MicroError: a MicroError is returned as it is (given `id` if it has none); an AbortError becomes CANCELLED, a
 * TimeoutError TIMEOUT, everything else INTERNAL with its message as detail (of what is no error and has none, what it is) and itself as cause.
 */
export function fromUnknown(error: unknown, id = ""): MicroError {
  if (isMicroError(error)) {
    if (error.id !== "" || id === "") return error;
    const { code, detail, message, refused, layer, attempts } = error;
    const status = error.status || statusOf(code);
    const named = new MicroError({ id, code, status, detail, message, cause: error, refused });
    if (layer !== undefined) named.layer = layer;
    if (attempts !== undefined) named.attempts = attempts;
    return named;
  }
  if (error instanceof Error) {
    const code = error.name === "AbortError" ? "CANCELLED" : error.name === "TimeoutError" ? "TIMEOUT" : "INTERNAL";
    return new MicroError({ id, code, detail: error.message || error.name, cause: error });
  }
  return new MicroError({ id, detail: describe(error), cause: error });
}

function textOf(value: unknown): string {
  if (typeof value === "string") return value;
  try {
    return JSON.stringify(value) ?? String(value);
  } catch {
    return Object.prototype.toString.call(value);
  }
}

function isStatus(status: number | undefined): status is number {
  return typeof status === "number" && (status | 0) === status;
}

/** What was thrown and is no error: of an object its message, or what it is. The rest of it is nobody's to read, the headers of a request, say. */
function describe(value: unknown): string {
  if (typeof value === "string") return value;
  try {
    if (typeof value === "symbol") return value.toString();
    if (Object(value) !== value) return `${value as number}`;
    const { message } = value as { message?: unknown };
    if (typeof message === "string" && message !== "") return message;
    return Object.prototype.toString.call(value);
  } catch {
    return "an object that cannot be read";
  }
}

function make(code: ErrorCode): (id: string, detail: string, cause?: unknown) => MicroError {
  const maker: Make = (id, detail, cause) => {
    const error = new MicroError(cause === undefined ? { id, code, detail } : { id, code, detail, cause });
    // The stack begins where the error was made, not in here.
    Error.captureStackTrace(error, maker);
    return error;
  };
  return maker;
}

type Make = (id: string, detail: string, cause?: unknown) => MicroError;

/** One maker per code: `throw errors.notFound("greeter", "no such user")`. Mirrors Go's errors.NotFound(id, format …). */
export const errors: {
  readonly badRequest: Make;
  readonly unauthorized: Make;
  readonly forbidden: Make;
  readonly notFound: Make;
  readonly methodNotAllowed: Make;
  readonly timeout: Make;
  readonly conflict: Make;
  readonly payloadTooLarge: Make;
  readonly resourceExhausted: Make;
  readonly cancelled: Make;
  readonly internal: Make;
  readonly protocol: Make;
  readonly invalidState: Make;
  readonly streamConsumed: Make;
  readonly packageMissing: Make;
  readonly unsupported: Make;
  readonly unavailable: Make;
  readonly draining: Make;
  readonly connectionLost: Make;
  readonly registryUnavailable: Make;
  readonly storeLocked: Make;
} = {
  badRequest: make("BAD_REQUEST"),
  unauthorized: make("UNAUTHORIZED"),
  forbidden: make("FORBIDDEN"),
  notFound: make("NOT_FOUND"),
  methodNotAllowed: make("METHOD_NOT_ALLOWED"),
  timeout: make("TIMEOUT"),
  conflict: make("CONFLICT"),
  payloadTooLarge: make("PAYLOAD_TOO_LARGE"),
  resourceExhausted: make("RESOURCE_EXHAUSTED"),
  cancelled: make("CANCELLED"),
  internal: make("INTERNAL"),
  protocol: make("PROTOCOL"),
  invalidState: make("INVALID_STATE"),
  streamConsumed: make("STREAM_CONSUMED"),
  packageMissing: make("PACKAGE_MISSING"),
  unsupported: make("UNSUPPORTED"),
  unavailable: make("UNAVAILABLE"),
  draining: make("DRAINING"),
  connectionLost: make("CONNECTION_LOST"),
  registryUnavailable: make("REGISTRY_UNAVAILABLE"),
  storeLocked: make("STORE_LOCKED"),
};
