import type { FileDescriptorProto } from "@bufbuild/protobuf/wkt";
import { check } from "./compiler/check.ts";
import { encodeOptions } from "./compiler/encode.ts";
import type { Declared, Parsed } from "./compiler/parsed.ts";
import { parseFile } from "./compiler/parser.ts";
import { Symbols } from "./compiler/symbols.ts";
import { fault, type Place } from "./fault.ts";
import { bundled, wellKnown } from "./known.ts";

/**
 * Compiles `.proto` files as protoc does, without it: proto2, proto3, editions 2023 and 2024, options of any kind, comments. `read` gives the text of a
 * file by the name that imports it, or undefined; google/protobuf/*.proto and google/api/annotations.proto need not be there.
 * Resolves names, encodes options and checks what protoc would refuse most often. Returns the files with all that they import, each after what it imports.
 * @throws ProtoFault with file, line and column
 */
export function compile(files: readonly string[], read: (name: string) => string | undefined): FileDescriptorProto[] {
  const loaded = new Map<string, Parsed>();
  const order: Parsed[] = [];
  const load = (name: string, from: Place | undefined, above: readonly string[]): void => {
    if (above.includes(name))
      throw fault(from ?? start(name), `${[...above.slice(above.indexOf(name)), name].join(" imports ")}: a circle`);
    if (loaded.has(name)) return;
    const text = read(name) ?? bundled.get(name);
    const known = text === undefined ? wellKnown.get(name) : undefined;
    if (text === undefined && known === undefined) throw fault(from ?? start(name), `${name} is not found`);
    const parsed = known === undefined ? parseFile(name, text as string) : parsedOf(known);
    loaded.set(name, parsed);
    for (const dependency of [...parsed.proto.dependency, ...parsed.proto.optionDependency])
      load(dependency, parsed.imports.get(dependency), [...above, name]);
    order.push(parsed);
  };
  for (const name of files) load(name, undefined, []);

  const used = order.some(({ written }) => written.length > 0) && !loaded.has(descriptor);
  const all = used ? [parsedOf(wellKnown.get(descriptor) as FileDescriptorProto), ...order] : order;
  const symbols = new Symbols();
  const protos = new Map(all.map(({ proto }) => [proto.name, proto]));
  for (const parsed of all) symbols.add(parsed);
  for (const { proto } of all) symbols.link(proto, protos);
  for (const { proto, references } of order) for (const each of references) symbols.resolve(each, proto.name);
  for (const { proto, written } of order)
    for (const each of written) each.set(encodeOptions(each, proto.name, symbols));
  for (const parsed of order) check(parsed, symbols);
  return order.map(({ proto }) => proto);
}

const descriptor = "google/protobuf/descriptor.proto";

function start(file: string): Place {
  return { file, line: 1, column: 1 };
}

/** A descriptor that is complete already. */
function parsedOf(proto: FileDescriptorProto): Parsed {
  const declared: Declared[] = [];
  const place = start(proto.name);
  const add = (scope: string, { messages, enums }: Pick<Nested, "messages" | "enums">): void => {
    for (const each of enums)
      declared.push({ name: `${scope}.${each.name}`, place, what: { kind: "enum", proto: each } });
    for (const each of messages) {
      declared.push({ name: `${scope}.${each.name}`, place, what: { kind: "message", proto: each } });
      add(`${scope}.${each.name}`, { messages: each.nestedType, enums: each.enumType });
    }
  };
  add(proto.package, { messages: proto.messageType, enums: proto.enumType });
  for (const each of proto.extension)
    declared.push({ name: `${proto.package}.${each.name}`, place, what: { kind: "extension", proto: each } });
  return { proto, imports: new Map(), declared, references: [], written: [], places: new Map() };
}

interface Nested {
  readonly messages: FileDescriptorProto["messageType"];
  readonly enums: FileDescriptorProto["enumType"];
}
