import { MicroError, type ErrorCode, statusOf } from "../../errors.ts";

/** Our own framing, version 1: `docs/wire/fast-framing.md`. All numbers are big-endian. */

/** Version that these modules speak, and its preface. */
export const version = 1;
/** TLS protocol name. */
export const alpnName = "ts-micro";
const magic = "\0MICRO/";

/** What both ends say first: the magic, the version in decimal, a newline. */
export function preface(spoken: number): Buffer {
  return Buffer.from(`${magic}${spoken}\n`, "latin1");
}

const longestPreface = magic.length + 4;

/** The version of a preface and where it ends; undefined while bytes are missing, false when these are none. */
export function readPreface(bytes: Uint8Array): { version: number; end: number } | undefined | false {
  for (let i = 0; i < bytes.length && i < longestPreface; i++) {
    const byte = bytes[i] as number;
    if (i < magic.length) {
      if (byte !== magic.charCodeAt(i)) return false;
    } else if (byte === 0x0a) {
      if (i === magic.length) return false;
      return { version: Number(Buffer.from(bytes.subarray(magic.length, i)).toString("latin1")), end: i + 1 };
    } else if (byte < 0x30 || byte > 0x39) return false;
  }
  return bytes.length >= longestPreface ? false : undefined;
}

/** Whether a connection that begins like this is for us, of whatever version; undefined while it cannot be told. */
export function isFast(prefix: Uint8Array): boolean | undefined {
  const found = readPreface(prefix);
  return found === undefined ? undefined : found !== false && found.version >= 1;
}

/** Length (4), type (1), flags (1), id (4). */
export const headerSize = 10;

export const Frame = {
  settings: 0,
  define: 1,
  request: 2,
  reply: 3,
  message: 4,
  end: 5,
  cancel: 6,
  credit: 7,
  ping: 8,
  goaway: 9,
  metadata: 10,
} as const;

export const Flag = {
  /** request: the kind, see {@link kinds}. */
  kind: 0x03,
  /** request: metadata stand in the frame, not in the table. */
  inline: 0x04,
  /** request: no reply is wanted. */
  oneway: 0x08,
  /** request: the caller wants what the handler adds to its reply. */
  listens: 0x10,
  /** define: an entry of the metadata table, not of the routes. */
  metadata: 0x01,
  /** metadata: of the end, not of the head. */
  trailer: 0x01,
  /** reply, end, cancel: the payload is an error. */
  error: 0x01,
  /** reply, end: the request has not run. */
  refused: 0x02,
  /** message: the last one. */
  last: 0x01,
  /** ping: an answer. */
  pong: 0x01,
} as const;

export const kinds = ["unary", "server", "client", "bidi"] as const;

/** Ids above this are not given out: the connection is exchanged for a new one. */
export const lastId = 0x7fff_ffff;

/** Route, metadata, timeout: what stands before the body of a request. */
export const requestSize = 10;

export const Setting = {
  /** Longest payload that this end reads. */
  maxPayload: 1,
  /** Credit of each new stream, in bytes. */
  credit: 2,
  /** Entries of the table of routes, and of metadata, that this end keeps. */
  routes: 3,
  metadata: 4,
} as const;

export interface Settings {
  maxPayload: number;
  credit: number;
  routes: number;
  metadata: number;
}

/** What holds until the peer's settings have come. */
export const defaults: Readonly<Settings> = {
  maxPayload: (4 << 20) + requestSize,
  credit: 256 << 10,
  routes: 1024,
  metadata: 64,
};

/** What a stream message takes of the credit beside its length. */
export const messageCost = 32;

const names = Object.keys(defaults) as (keyof Settings)[];

export function encodeSettings(settings: Settings): Buffer {
  const out = Buffer.alloc(names.length * 6);
  names.forEach((name, i) => {
    out.writeUInt16BE(Setting[name], i * 6);
    out.writeUInt32BE(settings[name], i * 6 + 2);
  });
  return out;
}

/** What every end reads, whatever it says of itself: errors and tables fit in. */
export const leastPayload: number = (16 << 10) + requestSize;
/** Longest entry of a table, in bytes. */
export const longestEntry: number = 8 << 10;
/** Longest metadata in a frame of its own, in bytes, and most entries of it; as heads of HTTP have them. */
export const longestMetadata: number = 1 << 20;
export const mostMetadata = 2000;

/** Unknown settings are skipped; a half one, and one below what every end does, is an error. */
export function decodeSettings(bytes: Uint8Array): Settings {
  if (bytes.length % 6 !== 0) throw broken("settings of odd length");
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const out = { ...defaults };
  for (let at = 0; at < view.length; at += 6) {
    const name = names.find((each) => Setting[each] === view.readUInt16BE(at));
    if (name !== undefined) out[name] = view.readUInt32BE(at + 2);
  }
  if (out.maxPayload < leastPayload || out.credit < 1 || out.routes < 1) throw broken("settings below the least");
  // Nobody may make us keep more than we would offer ourselves.
  out.routes = Math.min(out.routes, defaults.routes);
  out.metadata = Math.min(out.metadata, defaults.metadata);
  return out;
}

/** `[id, status, code, detail]` as JSON, of `most` bytes at most: what is too long of the detail is left out. */
export function encodeFailure(error: MicroError, most: number): string {
  for (let keep = Math.min(error.detail.length, longestDetail); ; keep >>= 1) {
    const detail = keep < error.detail.length ? `${error.detail.slice(0, keep)}…` : error.detail;
    const text = JSON.stringify([error.id.slice(0, 256), error.status, error.code, detail]);
    if (keep === 0 || Buffer.byteLength(text) <= most) return text;
  }
}

const longestDetail = 64 * 1024;

/** The peer's error; PROTOCOL when it is none. */
export function decodeFailure(text: string, refused: boolean): MicroError {
  let error: MicroError;
  try {
    const parts: unknown = JSON.parse(text);
    if (!Array.isArray(parts)) throw broken("no list");
    const [id, status, code, detail] = parts as unknown[];
    error = new MicroError({
      id: typeof id === "string" ? id : "",
      detail: typeof detail === "string" ? detail : "",
      ...(typeof status === "number" && Number.isInteger(status) ? { status } : {}),
      ...(isCode(code) ? { code } : {}),
      refused,
    });
  } catch {
    error = broken(`an error that does not decode: ${text.slice(0, 200)}`);
  }
  error.layer = "remote";
  return error;
}

function isCode(value: unknown): value is ErrorCode {
  return typeof value === "string" && /^[A-Z_]+$/.test(value) && known(value);
}

function known(value: string): boolean {
  try {
    return statusOf(value as ErrorCode) > 0;
  } catch {
    return false;
  }
}

export function broken(what: string): MicroError {
  return new MicroError({ id: "ts.micro.protocol.fast", code: "PROTOCOL", detail: what });
}
