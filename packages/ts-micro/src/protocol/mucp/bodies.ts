import type { CallHead } from "../../protocol.ts";
import { encodeProtoRpcError, encodeProtoRpcRequest } from "../../wire/protorpc.ts";

const none = new Uint8Array(0);
const emptyObject: Uint8Array = Buffer.from("{}\n");

function isJson(contentType: string): boolean {
  return contentType === "application/json" || contentType.endsWith("+json");
}

/** Body of the message that opens a stream: an empty request. Servers drop it, but Go's reads envelopes first (wire spec §3.2). */
export function openBody(head: CallHead): Uint8Array {
  if (isJson(head.contentType)) return emptyObject;
  if (head.contentType === "application/json-rpc") return jsonRpc({ params: [{}], id: head.id, method: head.endpoint });
  if (head.contentType === "application/proto-rpc") return encodeProtoRpcRequest(head.id, head.endpoint, none);
  return none;
}

/** Body of a reply: never empty for JSON, which Go's client cannot read (wire spec §1.6). */
export function replyBody(contentType: string, body: Uint8Array): Uint8Array {
  return body.length === 0 && isJson(contentType) ? emptyObject : body;
}

/** Body of a message that carries an error or EOS: empty, but enveloped content types say it there as well (wire spec §1.6). */
export function errorBody(contentType: string, text: string): Uint8Array {
  if (contentType === "application/json-rpc") return jsonRpc({ id: "", result: null, error: text });
  return contentType === "application/proto-rpc" ? encodeProtoRpcError(text) : none;
}

function jsonRpc(envelope: object): Uint8Array {
  return Buffer.from(`${JSON.stringify(envelope)}\n`);
}
