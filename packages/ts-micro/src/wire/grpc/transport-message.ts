import { canonicalName } from "../headers.ts";
import { ProtoWriter, protoFields, protoText } from "./proto.ts";

/** Path of the grpc transport's one method (wire spec §4.9). */
export const transportPath = "/go.micro.transport.grpc.Transport/Stream";

/**
 * `Message { map<string,string> header = 1; bytes body = 2; }`. Header names keep their case here, and Go reads `Micro-ID`, newer servers
 * `Micro-Id`: both are written.
 */
export function encodeTransportMessage(header: Readonly<Record<string, string>>, body: Uint8Array): Buffer {
  const out = new ProtoWriter();
  for (const name of Object.keys(header)) entry(out, name, header[name] as string);
  const id = header["Micro-Id"];
  if (id !== undefined && header["Micro-ID"] === undefined) entry(out, "Micro-ID", id);
  return body.length === 0 ? out.done() : out.bytes(2, body).done();
}

/** Names come in canonical form, whatever their case on the wire; the last one of a name counts. Throws BAD_REQUEST. */
export function decodeTransportMessage(bytes: Uint8Array): { header: Record<string, string>; body: Uint8Array } {
  const header = Object.create(null) as Record<string, string>;
  let body: Uint8Array = none;
  for (const { field, value } of protoFields(bytes)) {
    if (!(value instanceof Uint8Array)) continue;
    if (field === 2) body = value;
    else if (field === 1) {
      const pair = new Map(protoFields(value).map((each) => [each.field, each.value]));
      header[canonicalName(protoText(pair.get(1)))] = protoText(pair.get(2));
    }
  }
  return { header, body };
}

const none = new Uint8Array(0);

function entry(out: ProtoWriter, name: string, value: string): void {
  out.bytes(1, new ProtoWriter().text(1, name).text(2, value).done());
}
