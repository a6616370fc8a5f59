import { ProtoWriter, protoFields, protoText } from "./proto.ts";

/** What `grpc.reflection.v1.ServerReflectionRequest` asks, the same in v1alpha. */
export type ReflectionQuestion =
  | { readonly ask: "file" | "symbol" | "extensions"; readonly name: string }
  | { readonly ask: "extension"; readonly name: string; readonly number: number }
  | { readonly ask: "services" | "nothing" };

export type ReflectionAnswer =
  | { readonly files: readonly Uint8Array[] }
  | { readonly services: readonly string[] }
  | { readonly type: string; readonly numbers: readonly number[] }
  | { readonly code: number; readonly message: string };

const asks: Readonly<Record<number, "file" | "symbol" | "extensions">> = { 3: "file", 4: "symbol", 6: "extensions" };

/** Throws BAD_REQUEST. */
export function decodeReflectionRequest(body: Uint8Array): ReflectionQuestion {
  let question: ReflectionQuestion = { ask: "nothing" };
  for (const { field, value } of protoFields(body)) {
    const ask = asks[field];
    if (ask !== undefined) question = { ask, name: protoText(value) };
    else if (field === 7) question = { ask: "services" };
    else if (field === 5 && value instanceof Uint8Array) {
      const fields = new Map(protoFields(value).map((each) => [each.field, each.value]));
      question = { ask: "extension", name: protoText(fields.get(1)), number: Number(fields.get(2) ?? 0) };
    }
  }
  return question;
}

/** A `ServerReflectionResponse` to `request`. */
export function encodeReflectionResponse(request: Uint8Array, answer: ReflectionAnswer): Buffer {
  const out = new ProtoWriter().bytes(2, request);
  if ("files" in answer) out.bytes(4, repeated(answer.files));
  else if ("services" in answer)
    out.bytes(6, repeated(answer.services.map((name) => new ProtoWriter().text(1, name).done())));
  else if ("numbers" in answer) {
    const numbers = new ProtoWriter().text(1, answer.type);
    for (const number of answer.numbers) numbers.int(2, number);
    out.bytes(5, numbers.done());
  } else out.bytes(7, new ProtoWriter().int(1, answer.code).text(2, answer.message).done());
  return out.done();
}

function repeated(values: readonly Uint8Array[]): Buffer {
  const out = new ProtoWriter();
  for (const value of values) out.bytes(1, value);
  return out.done();
}
