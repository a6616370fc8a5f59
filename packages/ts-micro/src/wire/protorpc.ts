import { errors, type MicroError } from "../errors.ts";

/**
 * The envelope of `application/proto-rpc`: two blocks, each a big-endian uint32 length and bytes. The first is a protobuf header
 * `{ 1: string service_method, 2: fixed64 seq, 3: string error }`, the second the body (wire spec §1.6, v4:codec/protorpc). Events have no
 * envelope: their body is the bare message.
 */

export interface ProtoRpcRequest {
  /** `seq` in decimal. */
  id: string;
  /** `Greeter.Hello`; `""` if there was none. */
  method: string;
  body: Uint8Array;
}

export interface ProtoRpcResponse {
  id: string;
  /** The error's text, or `undefined` for success. */
  error: string | undefined;
  body: Uint8Array;
}

/** `id` that is no decimal int64 becomes seq 0, as in Go. */
export function encodeProtoRpcRequest(id: string, method: string, body: Uint8Array): Buffer {
  return frame([text(1, method), seq(id)], body);
}

/** On success Go's header holds the seq alone. */
export function encodeProtoRpcResponse(id: string, body: Uint8Array): Buffer {
  return frame([seq(id)], body);
}

/** On failure Go's header holds the error alone, and the body is empty. */
export function encodeProtoRpcError(error: string): Buffer {
  return frame([text(3, error)], none);
}

/** Throws BAD_REQUEST for bytes that are no such envelope. The body is a view of `bytes`. */
export function decodeProtoRpcRequest(bytes: Uint8Array): ProtoRpcRequest {
  const { header, body } = blocks(bytes);
  const fields = read(header);
  return { id: fields.seq.toString(), method: fields.method, body };
}

/** Throws BAD_REQUEST for bytes that are no such envelope. The body is a view of `bytes`. */
export function decodeProtoRpcResponse(bytes: Uint8Array): ProtoRpcResponse {
  const { header, body } = blocks(bytes);
  const fields = read(header);
  return { id: fields.seq.toString(), error: fields.error === "" ? undefined : fields.error, body };
}

const none: Buffer = Buffer.alloc(0);
const maxField = 2 ** 29 - 1;
const int64 = /^[+-]?[0-9]{1,19}$/;

function frame(fields: Buffer[], body: Uint8Array): Buffer {
  const headerBytes = fields.reduce((sum, field) => sum + field.length, 0);
  const out = Buffer.allocUnsafe(8 + headerBytes + body.length);
  let at = out.writeUInt32BE(headerBytes, 0);
  for (const field of fields) at += field.copy(out, at);
  out.set(body, out.writeUInt32BE(body.length, at));
  return out;
}

// proto3: a field with its default value is not written.
function text(field: number, value: string): Buffer {
  if (value === "") return none;
  const bytes = Buffer.from(value);
  const head = [(field << 3) | 2];
  for (let n = bytes.length; ; n >>>= 7) {
    if (n < 128) {
      head.push(n);
      break;
    }
    head.push((n & 127) | 128);
  }
  return Buffer.concat([Buffer.from(head), bytes]);
}

function seq(id: string): Buffer {
  const value = int64.test(id) ? BigInt(id.replace("+", "")) : 0n;
  if (value === 0n || value !== BigInt.asIntN(64, value)) return none;
  const out = Buffer.allocUnsafe(9);
  out[0] = (2 << 3) | 1;
  out.writeBigUInt64LE(BigInt.asUintN(64, value), 1);
  return out;
}

function blocks(bytes: Uint8Array): { header: Buffer; body: Buffer } {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const headerEnd = endOfBlock(buffer, 0);
  const bodyEnd = endOfBlock(buffer, headerEnd);
  if (bodyEnd !== buffer.length) throw invalid("bytes after the body");
  return { header: buffer.subarray(4, headerEnd), body: buffer.subarray(headerEnd + 4, bodyEnd) };
}

function endOfBlock(buffer: Buffer, at: number): number {
  if (at + 4 > buffer.length) throw invalid("block without a length");
  const end = at + 4 + buffer.readUInt32BE(at);
  if (end > buffer.length) throw invalid("block longer than the message");
  return end;
}

function read(header: Buffer): { method: string; seq: bigint; error: string } {
  const out = { method: "", seq: 0n, error: "" };
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let i = 0; i < 10; i++) {
      const byte = header[at++];
      if (byte === undefined) break;
      // beyond 2^53 the value is wrong, but then it is longer than any header anyway
      value += (byte & 127) * 2 ** (7 * i);
      if (byte < 128) return value;
    }
    throw invalid("illegal varint in the header");
  };
  const skip = (bytes: number): Buffer => {
    if (bytes > header.length - at) throw invalid("field longer than the header");
    at += bytes;
    return header.subarray(at - bytes, at);
  };
  while (at < header.length) {
    const tag = varint();
    const field = Math.floor(tag / 8);
    if (field === 0 || field > maxField) throw invalid("illegal field number in the header");
    switch (tag % 8) {
      case 0:
        varint();
        break;
      case 1: {
        const bytes = skip(8);
        if (field === 2) out.seq = bytes.readBigUInt64LE(0);
        break;
      }
      case 2: {
        const bytes = skip(varint());
        if (field === 1) out.method = bytes.toString("utf8");
        else if (field === 3) out.error = bytes.toString("utf8");
        break;
      }
      case 5:
        skip(4);
        break;
      default:
        throw invalid("illegal wire type in the header");
    }
  }
  return out;
}

function invalid(detail: string): MicroError {
  return errors.badRequest("ts.micro.proto-rpc", detail);
}
