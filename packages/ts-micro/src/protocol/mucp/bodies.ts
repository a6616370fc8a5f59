import type { CallHead } from "../../protocol.ts";

const none = new Uint8Array(0);
const emptyObject: Uint8Array = Buffer.from("{}\n");

function isJson(contentType: string): boolean {
  return contentType === "application/json" || contentType.endsWith("+json");
}

/** Body of the message that opens a stream: an empty request. Servers drop it, but Go's reads envelopes first (wire spec §3.2). */
export function openBody(head: CallHead): Uint8Array {
  if (isJson(head.contentType)) return emptyObject;
  if (head.contentType === "application/json-rpc") {
    const { id, endpoint } = head;
    return Buffer.from(`{"params":[{}],"id":${JSON.stringify(id)},"method":${JSON.stringify(endpoint)}}\n`);
  }
  if (head.contentType === "application/proto-rpc") return protoRpc(0x0a, head.endpoint);
  return none;
}

/** Body of a reply: never empty for JSON, which Go's client cannot read (wire spec §1.6). */
export function replyBody(contentType: string, body: Uint8Array): Uint8Array {
  return body.length === 0 && isJson(contentType) ? emptyObject : body;
}

/** Body of a message that carries an error or EOS: empty, but enveloped content types say it there as well (wire spec §1.6). */
export function errorBody(contentType: string, text: string): Uint8Array {
  if (contentType === "application/json-rpc")
    return Buffer.from(`{"id":"","result":null,"error":${JSON.stringify(text)}}\n`);
  if (contentType === "application/proto-rpc") return protoRpc(0x1a, text);
  return none;
}

/** A proto-rpc header block with one text field, and an empty body block. */
function protoRpc(tag: number, text: string): Uint8Array {
  const value = Buffer.from(text);
  const length: number[] = [];
  for (let rest = value.length; ; rest >>>= 7) {
    if (rest < 128) {
      length.push(rest);
      break;
    }
    length.push((rest & 127) | 128);
  }
  const size = Buffer.alloc(4);
  size.writeUInt32BE(1 + length.length + value.length);
  return Buffer.concat([size, Buffer.from([tag, ...length]), value, Buffer.alloc(4)]);
}
