import type { DescMethod } from "@bufbuild/protobuf";
import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";

/** One way to an endpoint over HTTP. */
export interface Binding {
  readonly method: string;
  readonly path: string;
  /** `*`, a field, or empty. */
  readonly body: string;
}

/** Field of google.protobuf.MethodOptions that google/api/annotations.proto adds. */
const httpField = 72295728;
const verbs: Readonly<Record<number, string>> = { 2: "GET", 3: "PUT", 4: "POST", 5: "DELETE", 6: "PATCH" };
const [body, custom, additional] = [7, 8, 11];

/** What `option (google.api.http)` says of a method: the rule itself first, then its additional bindings. Rules without a path count for nothing. */
export function bindingsOf({ proto }: DescMethod): Binding[] {
  const found =
    proto.options?.$unknown?.filter(({ no, wireType }) => no === httpField && wireType === WireType.LengthDelimited) ??
    [];
  // protoc writes a rule whose fields were set one by one as several records, which are one message.
  return read(Buffer.concat(found.map(({ data }) => new BinaryReader(data).bytes())));
}

/** google.api.HttpRule, by its field numbers: the descriptor of that file need not be there. */
function read(rule: Uint8Array): Binding[] {
  const reader = new BinaryReader(rule);
  const binding = { method: "", path: "", body: "" };
  const more: Binding[] = [];
  while (reader.pos < reader.len) {
    const [field, type] = reader.tag();
    const verb = verbs[field];
    if (type !== WireType.LengthDelimited) reader.skip(type, field);
    else if (verb !== undefined) Object.assign(binding, { method: verb, path: reader.string() });
    else if (field === body) binding.body = reader.string();
    else if (field === custom) Object.assign(binding, pattern(reader.bytes()));
    else if (field === additional) more.push(...read(reader.bytes()));
    else reader.skip(type, field);
  }
  return binding.method === "" || binding.path === "" ? more : [binding, ...more];
}

/** google.api.CustomHttpPattern */
function pattern(bytes: Uint8Array): { method: string; path: string } {
  const reader = new BinaryReader(bytes);
  const found = { method: "", path: "" };
  while (reader.pos < reader.len) {
    const [field, type] = reader.tag();
    if (type === WireType.LengthDelimited && field === 1) found.method = reader.string();
    else if (type === WireType.LengthDelimited && field === 2) found.path = reader.string();
    else reader.skip(type, field);
  }
  return found;
}
