import { errors, type MicroError } from "../errors.ts";
import { goJsonDecode, goJsonText } from "./go-json.ts";

/** A broker message as the JSON envelope of most Go brokers carries it (wire spec §6.1). Names keep the case they were given. */
export interface BrokerEnvelope {
  /** Without prototype when decoded. */
  header: Record<string, string>;
  body: Uint8Array;
}

/** `{"Header":{…},"Body":"<base64>"}`, names sorted as Go's json.Marshal sorts them, no newline. */
export function encodeEnvelope(envelope: BrokerEnvelope): string {
  const { header, body } = envelope;
  const names = Object.keys(header).sort(byBytes);
  const members = names.map((name) => `${goJsonText(name)}:${goJsonText(header[name])}`);
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  return `{"Header":{${members.join(",")}},"Body":"${bytes.toString("base64")}"}`;
}

/**
 * Reads an envelope: keys in any case, `null` or nothing for either, other keys ignored. Throws BAD_REQUEST for anything else: no JSON object,
 * a header that is no map of text, a body that is no padded standard base64 (with line breaks, which Go skips).
 */
export function decodeEnvelope(input: Uint8Array | string): BrokerEnvelope {
  const value = goJsonDecode(input);
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw invalid("the envelope is no object");
  const out: BrokerEnvelope = { header: Object.create(null) as Record<string, string>, body: Buffer.alloc(0) };
  for (const [key, member] of Object.entries(value)) {
    if (member === null) continue;
    const name = key.toLowerCase();
    if (name === "header") readHeader(member, out.header);
    else if (name === "body") out.body = readBody(member);
  }
  return out;
}

// No group that repeats: on a body of megabytes it would exhaust the stack.
const base64 = /^[A-Za-z0-9+/]*={0,2}$/;

function readHeader(value: unknown, out: Record<string, string>): void {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw invalid("Header is no object");
  for (const [name, text] of Object.entries(value)) {
    if (text !== null && typeof text !== "string")
      throw invalid(`Header ${JSON.stringify(name.slice(0, 100))} is no text`);
    out[name] = text ?? "";
  }
}

function readBody(value: unknown): Buffer {
  if (typeof value !== "string") throw invalid("Body is no text");
  const text = /[\r\n]/.test(value) ? value.replace(/[\r\n]/g, "") : value;
  if (text.length % 4 !== 0 || !base64.test(text)) throw invalid("Body is no base64");
  return Buffer.from(text, "base64");
}

// Go sorts by the bytes of UTF-8, which is the order of code points, not of UTF-16 units.
function byBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

function invalid(detail: string): MicroError {
  return errors.badRequest("ts.micro.broker", detail);
}
