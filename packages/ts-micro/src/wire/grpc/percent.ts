// `grpc-message` is percent-encoded UTF-8: what is not printable ASCII, and `%` itself (gRPC over HTTP/2, "Responses").
const plain = /^[\x20-\x24\x26-\x7e]*$/;
const other = /[^\x20-\x24\x26-\x7e]+/g;

/** Text as `grpc-message`. */
export function encodeMessage(text: string): string {
  return plain.test(text) ? text : text.replace(other, encodeRun);
}

/** Text of a `grpc-message`. Never fails: what is no escape stays as it is, as the specification wants. */
export function decodeMessage(value: string): string {
  if (!value.includes("%")) return value;
  return value.replace(/(?:%[0-9A-Fa-f]{2})+/g, (run) => Buffer.from(run.replaceAll("%", ""), "hex").toString());
}

function encodeRun(run: string): string {
  let out = "";
  for (const byte of Buffer.from(run)) out += `%${byte < 16 ? "0" : ""}${byte.toString(16).toUpperCase()}`;
  return out;
}
