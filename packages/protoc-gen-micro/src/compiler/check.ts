import { FieldDescriptorProto_Label as Label, FieldDescriptorProto_Type as Type } from "@bufbuild/protobuf/wkt";
import type { DescriptorProto, EnumDescriptorProto, FieldDescriptorProto } from "@bufbuild/protobuf/wkt";
import { fault, type Place } from "../fault.ts";
import type { Parsed } from "./parsed.ts";
import type { Symbols } from "./symbols.ts";

/** What can be said only when all names are resolved. @throws ProtoFault */
export function check({ proto, declared, places }: Parsed, symbols: Symbols): void {
  const placeOf = (of: object): Place => places.get(of) ?? { file: proto.name, line: 1, column: 1 };
  for (const { what } of declared) {
    if (what.kind === "message") checkMessage(what.proto, symbols, placeOf);
    else if (what.kind === "enum") checkEnum(what.proto, proto.syntax, placeOf);
    else if (what.kind === "extension") checkExtension(what.proto, symbols, placeOf(what.proto));
  }
}

function checkMessage(message: DescriptorProto, symbols: Symbols, placeOf: (of: object) => Place): void {
  const numbers = new Map<number, string>();
  const json = new Map<string, string>();
  for (const field of message.field) {
    const place = placeOf(field);
    const { number, name } = field;
    const other = numbers.get(number);
    if (other !== undefined) throw fault(place, `number ${number} of ${name} is that of ${other}`);
    numbers.set(number, name);
    if (message.reservedRange.some(({ start, end }) => number >= start && number < end))
      throw fault(place, `number ${number} of ${name} is reserved`);
    if (message.extensionRange.some(({ start, end }) => number >= start && number < end))
      throw fault(place, `number ${number} of ${name} is in the extension range`);
    if (message.reservedName.includes(name)) throw fault(place, `the name ${name} is reserved`);
    const twin = json.get(field.jsonName);
    if (twin !== undefined) throw fault(place, `${name} and ${twin} are both ${field.jsonName} in JSON`);
    json.set(field.jsonName, name);
    checkDefault(field, symbols, place);
  }
}

function checkDefault(field: FieldDescriptorProto, symbols: Symbols, place: Place): void {
  if (field.defaultValue === "") return;
  if (field.type === Type.MESSAGE || field.type === Type.GROUP)
    throw fault(place, `${field.name} is a message and has no default value`);
  if (field.type !== Type.ENUM) return;
  const what = symbols.get(field.typeName.slice(1));
  if (what?.kind === "enum" && !what.proto.value.some(({ name }) => name === field.defaultValue))
    throw fault(place, `${field.typeName.slice(1)} has no value ${field.defaultValue}`);
}

function checkEnum(proto: EnumDescriptorProto, syntax: string, placeOf: (of: object) => Place): void {
  const [first] = proto.value;
  if (first === undefined) throw fault(placeOf(proto), `enum ${proto.name} has no value`);
  if (syntax === "proto3" && first.number !== 0)
    throw fault(placeOf(first), `the first value of an enum is 0 in proto3`);
  const numbers = new Map<number, string>();
  for (const value of proto.value) {
    const { name, number } = value;
    const other = numbers.get(number);
    if (other !== undefined && proto.options?.allowAlias !== true)
      throw fault(placeOf(value), `number ${number} of ${name} is that of ${other}; option allow_alias would allow it`);
    numbers.set(number, name);
    if (proto.reservedRange.some(({ start, end }) => number >= start && number <= end))
      throw fault(placeOf(value), `number ${number} of ${name} is reserved`);
    if (proto.reservedName.includes(name)) throw fault(placeOf(value), `the name ${name} is reserved`);
  }
}

function checkExtension(field: FieldDescriptorProto, symbols: Symbols, place: Place): void {
  const what = symbols.get(field.extendee.slice(1));
  if (what?.kind !== "message") return;
  if (field.label === Label.REQUIRED) throw fault(place, `an extension is not required`);
  if (!what.proto.extensionRange.some(({ start, end }) => field.number >= start && field.number < end))
    throw fault(place, `${what.proto.name} has no extension range with ${field.number}`);
  checkDefault(field, symbols, place);
}
