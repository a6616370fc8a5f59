import { create, fromBinary, type DescMessage, type MessageShape } from "@bufbuild/protobuf";
import {
  DescriptorProto_ExtensionRangeSchema,
  DescriptorProtoSchema,
  Edition,
  EnumDescriptorProtoSchema,
  EnumOptionsSchema,
  EnumValueDescriptorProtoSchema,
  EnumValueOptionsSchema,
  ExtensionRangeOptionsSchema,
  FieldDescriptorProto_Label as Label,
  FieldDescriptorProto_Type as Type,
  FieldDescriptorProtoSchema,
  FieldOptionsSchema,
  FileDescriptorProtoSchema,
  FileOptionsSchema,
  MessageOptionsSchema,
  MethodDescriptorProtoSchema,
  MethodOptionsSchema,
  OneofDescriptorProtoSchema,
  OneofOptionsSchema,
  ServiceDescriptorProtoSchema,
  ServiceOptionsSchema,
  SourceCodeInfo_LocationSchema,
  SourceCodeInfoSchema,
  SymbolVisibility,
  type DescriptorProto,
  type EnumDescriptorProto,
  type FieldDescriptorProto,
  type FileDescriptorProto,
  type SourceCodeInfo_Location,
} from "@bufbuild/protobuf/wkt";
import { fault, type Place } from "../fault.ts";
import { Cursor } from "./cursor.ts";
import { defaultOf } from "./default.ts";
import { tokensOf, type Token } from "./lexer.ts";
import { readOption, readOptions, type Option } from "./option.ts";
import { maxEnum, maxNumber, readRanges, readReserved } from "./ranges.ts";
import type { Declared, Parsed, Reference, Written } from "./parsed.ts";

const scalars: Readonly<Record<string, Type>> = {
  double: Type.DOUBLE,
  float: Type.FLOAT,
  int64: Type.INT64,
  uint64: Type.UINT64,
  int32: Type.INT32,
  fixed64: Type.FIXED64,
  fixed32: Type.FIXED32,
  bool: Type.BOOL,
  string: Type.STRING,
  bytes: Type.BYTES,
  uint32: Type.UINT32,
  sfixed32: Type.SFIXED32,
  sfixed64: Type.SFIXED64,
  sint32: Type.SINT32,
  sint64: Type.SINT64,
};
const notForKeys = new Set([Type.DOUBLE, Type.FLOAT, Type.BYTES]);
/** Messages in messages; protoc has a limit as well. */
const deepest = 64;

/** Reads a `.proto` of proto2, proto3 or an edition. Names are not resolved yet. @throws ProtoFault */
export function parseFile(name: string, text: string): Parsed {
  return new Parser(name, text).file();
}

/** A declaration that others stand in. */
interface Scope {
  /** Full name; empty at the top of a file without a package. */
  readonly name: string;
  readonly path: readonly number[];
}

class Parser {
  readonly #at: Cursor;
  readonly #proto: FileDescriptorProto;
  readonly #imports = new Map<string, Place>();
  readonly #declared: Declared[] = [];
  readonly #references: Reference[] = [];
  readonly #written: Written[] = [];
  readonly #places = new Map<object, Place>();
  readonly #locations: SourceCodeInfo_Location[] = [];

  constructor(name: string, text: string) {
    this.#at = new Cursor(tokensOf(name, text));
    this.#proto = create(FileDescriptorProtoSchema, { name });
  }

  get #proto3(): boolean {
    return this.#proto.syntax === "proto3";
  }

  get #editions(): boolean {
    return this.#proto.syntax === "editions";
  }

  get #in2024(): boolean {
    return this.#proto.edition === Edition.EDITION_2024;
  }

  file(): Parsed {
    const at = this.#at;
    const options: Option[] = [];
    if (at.sees("syntax") || at.sees("edition")) this.#syntax();
    while (at.token.kind !== "end") {
      if (at.take(";")) continue;
      if (at.sees("import")) this.#import();
      else if (at.sees("package")) this.#package();
      else if (at.take("option")) options.push(this.#option());
      else this.#topLevel({ name: this.#proto.package, path: [] });
    }
    this.#keep("FileOptions", this.#proto.package, options, FileOptionsSchema, (set) => (this.#proto.options = set));
    this.#proto.sourceCodeInfo = create(SourceCodeInfoSchema, { location: this.#locations });
    return {
      proto: this.#proto,
      imports: this.#imports,
      declared: this.#declared,
      references: this.#references,
      written: this.#written,
      places: this.#places,
    };
  }

  #syntax(): void {
    const at = this.#at;
    const end = this.#begin();
    const word = at.next().text;
    at.need("=");
    const { place } = at;
    const { text } = at.string(`the ${word} in quotes`);
    at.need(";");
    end([word === "syntax" ? 12 : 14]);
    if (word === "edition") {
      const edition = { "2023": Edition.EDITION_2023, "2024": Edition.EDITION_2024 }[text];
      if (edition === undefined) throw fault(place, `edition ${JSON.stringify(text)} is not known: 2023 or 2024`);
      this.#proto.syntax = "editions";
      this.#proto.edition = edition;
    } else if (text === "proto3") this.#proto.syntax = "proto3";
    else if (text !== "proto2") throw fault(place, `syntax ${JSON.stringify(text)} is not known: proto2 or proto3`);
  }

  #import(): void {
    const at = this.#at;
    at.next();
    const index = this.#proto.dependency.length;
    const forOptions = this.#in2024 && at.take("option");
    if (!forOptions && at.take("public")) this.#proto.publicDependency.push(index);
    else if (!forOptions && at.take("weak")) this.#proto.weakDependency.push(index);
    const { place } = at;
    const { text } = at.string("a file in quotes");
    at.need(";");
    if (text.includes("\\") || text.split("/").some((part) => ["", ".", ".."].includes(part)))
      throw fault(place, `${JSON.stringify(text)} is no path below the proto path: without \\, //, . and ..`);
    if (this.#imports.has(text)) throw fault(place, `${text} is imported twice`);
    this.#imports.set(text, place);
    (forOptions ? this.#proto.optionDependency : this.#proto.dependency).push(text);
  }

  #package(): void {
    const at = this.#at;
    const end = this.#begin();
    const { place } = at.next();
    if (this.#proto.package !== "") throw fault(place, "a file has one package");
    if (this.#declared.length > 0) throw fault(place, "the package stands before what is in it");
    this.#proto.package = at.name("a package");
    at.need(";");
    end([2]);
  }

  #topLevel(scope: Scope): void {
    const at = this.#at;
    const proto = this.#proto;
    if (this.#sees("message")) proto.messageType.push(this.#message(scope, [4, proto.messageType.length]));
    else if (this.#sees("enum")) proto.enumType.push(this.#enum(scope, [5, proto.enumType.length]));
    else if (at.sees("service")) this.#service(scope);
    else if (at.sees("extend")) this.#extend(scope, 7, proto.extension, [4], proto.messageType);
    else throw at.unexpected("message, enum, service, extend, import, package or option");
  }

  /** A declaration, with `export` or `local` before it in edition 2024; no field of such a type. */
  #sees(word: "message" | "enum"): boolean {
    const at = this.#at;
    const modified = this.#in2024 && (at.sees("export") || at.sees("local"));
    return at.sees(word, modified ? 1 : 0) && !at.sees("=", modified ? 3 : 2);
  }

  #visibility(): { visibility?: SymbolVisibility } {
    const at = this.#at;
    if (!this.#in2024) return {};
    if (at.take("export")) return { visibility: SymbolVisibility.VISIBILITY_EXPORT };
    return at.take("local") ? { visibility: SymbolVisibility.VISIBILITY_LOCAL } : {};
  }

  #message(scope: Scope, path: readonly number[]): DescriptorProto {
    const at = this.#at;
    const end = this.#begin();
    const visibility = this.#visibility();
    at.next();
    const name = at.word("the name of a message");
    const proto = create(DescriptorProtoSchema, { name: name.text, ...visibility });
    const own = this.#declare(scope, name, { kind: "message", proto }, path);
    this.#body(proto, own, end);
    return proto;
  }

  /** From the brace on. */
  #body(proto: DescriptorProto, own: Scope, end: (path: readonly number[]) => void): void {
    const at = this.#at;
    const options: Option[] = [];
    if (own.path.length > deepest * 2) throw fault(at.place, `messages are nested at most ${deepest} deep`);
    at.need("{");
    end(own.path);
    while (!at.take("}")) {
      if (at.take(";")) continue;
      if (this.#sees("message")) proto.nestedType.push(this.#message(own, [...own.path, 3, proto.nestedType.length]));
      else if (this.#sees("enum")) proto.enumType.push(this.#enum(own, [...own.path, 4, proto.enumType.length]));
      else if (at.sees("extend") && !at.sees("=", 2))
        this.#extend(own, 6, proto.extension, [...own.path, 3], proto.nestedType);
      else if (at.sees("extensions")) this.#extensionRanges(proto, own);
      else if (at.sees("reserved")) readReserved(at, proto, this.#editions);
      else if (at.sees("option")) {
        at.next();
        options.push(this.#option());
      } else if (at.sees("oneof")) this.#oneof(proto, own);
      else {
        const path = [...own.path, 2, proto.field.length];
        proto.field.push(this.#field(own, path, [...own.path, 3], proto.nestedType));
      }
    }
    // Each optional field of proto3 has a oneof of its own, after the written ones.
    for (const field of proto.field.filter(({ proto3Optional }) => proto3Optional)) {
      field.oneofIndex = proto.oneofDecl.length;
      let name = `_${field.name}`;
      while (proto.field.some((other) => other.name === name)) name = `X${name}`;
      proto.oneofDecl.push(create(OneofDescriptorProtoSchema, { name }));
    }
    this.#keep("MessageOptions", own.name, options, MessageOptionsSchema, (set) => (proto.options = set));
  }

  #field(
    scope: Scope,
    path: readonly number[],
    nestedPath: readonly number[],
    nested: DescriptorProto[],
    oneof?: number,
    extendee?: { name: string; place: Place },
  ): FieldDescriptorProto {
    const at = this.#at;
    const end = this.#begin();
    const { place } = at;
    const proto = create(FieldDescriptorProtoSchema, { label: Label.OPTIONAL });
    const label = oneof === undefined ? this.#label() : undefined;
    if (label === "repeated") proto.label = Label.REPEATED;
    if (label === "required") proto.label = Label.REQUIRED;
    if (label === "optional" && this.#proto3) proto.proto3Optional = true;
    const isMap = label === undefined && at.sees("map") && at.sees("<", 1);
    const isGroup = at.sees("group") && !at.sees(".", 1);
    if (isMap && oneof !== undefined) throw fault(place, "a map cannot be in a oneof");
    if (isMap && extendee !== undefined) throw fault(place, "an extension cannot be a map");
    if (label === undefined && !isMap && oneof === undefined && !this.#proto3 && !this.#editions)
      throw at.unexpected("optional, required or repeated");
    if (isGroup && (this.#proto3 || this.#editions))
      throw fault(at.place, `${this.#proto.syntax} has no groups: use a message field`);
    const type = at.place;
    const map = isMap ? this.#mapTypes() : undefined;
    if (isGroup) at.next();
    else if (map === undefined) this.#type(proto, at.name("a type"), scope.name, type);
    const name = at.word("the name of a field");
    at.need("=");
    const numberAt = at.place;
    proto.number = at.integer("a field number", 1, maxNumber);
    if (proto.number >= 19_000 && proto.number <= 19_999)
      throw fault(numberAt, "field numbers 19000 to 19999 belong to protobuf itself");
    proto.name = isGroup ? name.text.toLowerCase() : name.text;
    proto.jsonName = jsonName(proto.name);
    if (oneof !== undefined) proto.oneofIndex = oneof;
    this.#places.set(proto, numberAt);
    this.#fieldOptions(proto, scope, readOptions(at));
    const declared = extendee === undefined ? ({ kind: "field" } as const) : ({ kind: "extension", proto } as const);
    this.#declared.push({ name: full(scope.name, proto.name), place: name.place, what: declared });
    if (extendee !== undefined) {
      const set = (found: string): void => void (proto.extendee = found);
      this.#references.push({ ...extendee, scope: scope.name, wants: "message", set });
    }
    if (map !== undefined) nested.push(this.#mapEntry(proto, scope, name, map, path));
    if (isGroup) {
      if (!/^[A-Z]/.test(name.text)) throw fault(name.place, "the name of a group begins with an upper-case letter");
      const message = create(DescriptorProtoSchema, { name: name.text });
      const own = this.#declare(scope, name, { kind: "message", proto: message }, [...nestedPath, nested.length]);
      nested.push(message);
      proto.type = Type.GROUP;
      proto.typeName = `.${own.name}`;
      this.#body(message, own, () => end(path));
    } else {
      at.need(";");
      end(path);
    }
    return proto;
  }

  #label(): string | undefined {
    const at = this.#at;
    const { text, place } = at.token;
    if (!["optional", "required", "repeated"].includes(text) || at.sees("=", 2)) return undefined;
    if (text === "required" && this.#proto3) throw fault(place, "proto3 has no required fields");
    if (text !== "repeated" && this.#editions)
      throw fault(place, `editions have no ${text}: use option features.field_presence`);
    return at.next().text;
  }

  #type(proto: FieldDescriptorProto, name: string, scope: string, place: Place): void {
    const scalar = Object.hasOwn(scalars, name) ? scalars[name] : undefined;
    if (scalar !== undefined) proto.type = scalar;
    else {
      proto.typeName = name;
      const set = (found: string, kind: "message" | "enum"): void => {
        proto.typeName = found;
        proto.type = kind === "enum" ? Type.ENUM : Type.MESSAGE;
      };
      this.#references.push({ name, scope, place, wants: "type", set });
    }
  }

  #mapTypes(): { key: Type; value: string; valueAt: Place } {
    const at = this.#at;
    at.next();
    at.need("<");
    const key = at.word("the type of a key");
    const type = Object.hasOwn(scalars, key.text) ? scalars[key.text] : undefined;
    if (type === undefined || notForKeys.has(type))
      throw fault(key.place, `${key.text} cannot be the key of a map: whole numbers, bool and string can`);
    at.need(",");
    const { place } = at;
    const value = at.name("the type of a value");
    at.need(">");
    return { key: type, value, valueAt: place };
  }

  #mapEntry(
    proto: FieldDescriptorProto,
    scope: Scope,
    name: Token,
    { key, value, valueAt }: { key: Type; value: string; valueAt: Place },
    path: readonly number[],
  ): DescriptorProto {
    const camel = jsonName(proto.name);
    const text = `${camel.charAt(0).toUpperCase()}${camel.slice(1)}Entry`;
    const field = (fieldName: string, number: number): FieldDescriptorProto =>
      create(FieldDescriptorProtoSchema, { name: fieldName, number, label: Label.OPTIONAL, jsonName: fieldName });
    const [keyField, valueField] = [field("key", 1), field("value", 2)];
    keyField.type = key;
    const entry = create(DescriptorProtoSchema, {
      name: text,
      field: [keyField, valueField],
      options: { mapEntry: true },
    });
    const own = this.#declare(scope, { ...name, text }, { kind: "message", proto: entry }, path);
    this.#type(valueField, value, scope.name, valueAt);
    proto.label = Label.REPEATED;
    proto.type = Type.MESSAGE;
    proto.typeName = `.${own.name}`;
    return entry;
  }

  /** `default` and `json_name` are no options in the descriptor. */
  #fieldOptions(proto: FieldDescriptorProto, scope: Scope, options: readonly Option[]): void {
    const rest = options.filter(({ steps: [step, ...more], value }) => {
      if (step === undefined || step.extension || more.length > 0) return true;
      if (step.name === "json_name") {
        if (value.kind !== "string") throw fault(value.place, "json_name is a string");
        proto.jsonName = value.text;
        return false;
      }
      if (step.name !== "default") return true;
      if (this.#proto3) throw fault(step.place, "proto3 has no default values");
      if (proto.label === Label.REPEATED) throw fault(step.place, "a repeated field has no default value");
      proto.defaultValue = defaultOf(proto.typeName === "" ? proto.type : undefined, value);
      return false;
    });
    this.#keep("FieldOptions", scope.name, rest, FieldOptionsSchema, (set) => (proto.options = set));
  }

  #oneof(message: DescriptorProto, scope: Scope): void {
    const at = this.#at;
    const end = this.#begin();
    at.next();
    const index = message.oneofDecl.length;
    const name = at.word("the name of a oneof");
    const proto = create(OneofDescriptorProtoSchema, { name: name.text });
    message.oneofDecl.push(proto);
    this.#declare(scope, name, { kind: "oneof" }, []);
    at.need("{");
    end([...scope.path, 8, index]);
    const options: Option[] = [];
    const before = message.field.length;
    while (!at.take("}")) {
      if (at.take(";")) continue;
      if (at.sees("option")) {
        at.next();
        options.push(this.#option());
        continue;
      }
      if (["optional", "required", "repeated"].includes(at.token.text) && !at.sees("=", 2))
        throw fault(at.place, `a field of a oneof is not ${at.token.text}`);
      const path = [...scope.path, 2, message.field.length];
      message.field.push(this.#field(scope, path, [...scope.path, 3], message.nestedType, index));
    }
    if (message.field.length === before) throw fault(name.place, `oneof ${name.text} has no field`);
    this.#keep("OneofOptions", scope.name, options, OneofOptionsSchema, (set) => (proto.options = set));
  }

  #extend(
    scope: Scope,
    field: number,
    into: FieldDescriptorProto[],
    nestedPath: readonly number[],
    nested: DescriptorProto[],
  ): void {
    const at = this.#at;
    at.next();
    const { place } = at;
    const name = at.name("the message that is extended");
    at.need("{");
    while (!at.take("}")) {
      if (at.take(";")) continue;
      const path = [...scope.path, field, into.length];
      into.push(this.#field(scope, path, nestedPath, nested, undefined, { name, place }));
    }
  }

  #extensionRanges(message: DescriptorProto, scope: Scope): void {
    const at = this.#at;
    if (this.#proto3) throw fault(at.place, "proto3 has no extension ranges");
    at.next();
    const ranges = readRanges(at, 1, maxNumber).map((range) => create(DescriptorProto_ExtensionRangeSchema, range));
    message.extensionRange.push(...ranges);
    const options = readOptions(at);
    for (const range of ranges) {
      const keep = (set: MessageShape<typeof ExtensionRangeOptionsSchema>): void => void (range.options = set);
      this.#keep("ExtensionRangeOptions", scope.name, options, ExtensionRangeOptionsSchema, keep);
    }
    at.need(";");
  }

  #enum(scope: Scope, path: readonly number[]): EnumDescriptorProto {
    const at = this.#at;
    const end = this.#begin();
    const visibility = this.#visibility();
    at.next();
    const name = at.word("the name of an enum");
    const proto = create(EnumDescriptorProtoSchema, { name: name.text, ...visibility });
    const own = this.#declare(scope, name, { kind: "enum", proto }, path);
    this.#places.set(proto, name.place);
    at.need("{");
    end(path);
    const options: Option[] = [];
    while (!at.take("}")) {
      if (at.take(";")) continue;
      if (at.sees("option") && !at.sees("=", 1)) {
        at.next();
        options.push(this.#option());
      } else if (at.sees("reserved") && !at.sees("=", 1)) readReserved(at, proto, this.#editions);
      else this.#enumValue(proto, scope, own);
    }
    this.#keep("EnumOptions", own.name, options, EnumOptionsSchema, (set) => (proto.options = set));
    return proto;
  }

  #enumValue(parent: EnumDescriptorProto, scope: Scope, own: Scope): void {
    const at = this.#at;
    const end = this.#begin();
    const name = at.word("the name of a value");
    at.need("=");
    const { place } = at;
    const number = at.integer("a value", -maxEnum - 1, maxEnum);
    const proto = create(EnumValueDescriptorProtoSchema, { name: name.text, number });
    this.#places.set(proto, place);
    // Values are siblings of their enum, as in C++.
    this.#declare(scope, name, { kind: "value" }, []);
    this.#keep("EnumValueOptions", own.name, readOptions(at), EnumValueOptionsSchema, (set) => (proto.options = set));
    at.need(";");
    end([...own.path, 2, parent.value.length]);
    parent.value.push(proto);
  }

  #service(scope: Scope): void {
    const at = this.#at;
    const end = this.#begin();
    at.next();
    const name = at.word("the name of a service");
    const proto = create(ServiceDescriptorProtoSchema, { name: name.text });
    const own = this.#declare(scope, name, { kind: "service" }, [6, this.#proto.service.length]);
    at.need("{");
    end(own.path);
    const options: Option[] = [];
    while (!at.take("}")) {
      if (at.take(";")) continue;
      if (at.take("option")) options.push(this.#option());
      else if (at.sees("rpc")) proto.method.push(this.#method(own, [...own.path, 2, proto.method.length]));
      else throw at.unexpected("rpc or option");
    }
    this.#keep("ServiceOptions", own.name, options, ServiceOptionsSchema, (set) => (proto.options = set));
    this.#proto.service.push(proto);
  }

  #method(scope: Scope, path: readonly number[]): MessageShape<typeof MethodDescriptorProtoSchema> {
    const at = this.#at;
    const end = this.#begin();
    at.next();
    const name = at.word("the name of a method");
    const proto = create(MethodDescriptorProtoSchema, { name: name.text });
    const own = this.#declare(scope, name, { kind: "method" }, path);
    const side = (set: (found: string) => void): boolean => {
      at.need("(");
      const streams = at.sees("stream") && !at.sees(")", 1) && at.take("stream");
      const { place } = at;
      this.#references.push({ name: at.name("a message"), scope: own.name, place, wants: "message", set });
      at.need(")");
      return streams;
    };
    if (side((found) => (proto.inputType = found))) proto.clientStreaming = true;
    at.need("returns");
    if (side((found) => (proto.outputType = found))) proto.serverStreaming = true;
    const options: Option[] = [];
    if (at.take("{")) {
      proto.options = create(MethodOptionsSchema);
      end(path);
      while (!at.take("}")) {
        if (at.take(";")) continue;
        if (!at.take("option")) throw at.unexpected("option");
        options.push(this.#option());
      }
    } else {
      at.need(";");
      end(path);
    }
    this.#keep("MethodOptions", own.name, options, MethodOptionsSchema, (set) => (proto.options = set));
    return proto;
  }

  #option(): Option {
    const option = readOption(this.#at);
    this.#at.need(";");
    return option;
  }

  #declare(scope: Scope, { text, place }: Token, what: Declared["what"], path: readonly number[]): Scope {
    const name = full(scope.name, text);
    this.#declared.push({ name, place, what });
    return { name, path };
  }

  #keep<D extends DescMessage>(
    type: string,
    scope: string,
    options: readonly Option[],
    schema: D,
    set: (message: MessageShape<D>) => void,
  ): void {
    if (options.length > 0)
      this.#written.push({ type, scope, options, set: (bytes) => set(fromBinary(schema, bytes)) });
  }

  /** Remembers the comments before a declaration; what it returns notes its place with them, after its `;` or `{`. */
  #begin(): (path: readonly number[]) => void {
    const { between, place } = this.#at.token;
    return (path) => {
      const { last } = this.#at;
      const { trailing } = this.#at.token.between ?? {};
      const [line, column] = [place.line - 1, place.column - 1];
      this.#locations.push(
        create(SourceCodeInfo_LocationSchema, {
          path: [...path],
          span: [line, column, ...(last.endLine - 1 === line ? [] : [last.endLine - 1]), last.endColumn - 1],
          ...(between?.leading === undefined ? {} : { leadingComments: between.leading }),
          ...(trailing === undefined ? {} : { trailingComments: trailing }),
          leadingDetachedComments: [...(between?.detached ?? [])],
        }),
      );
    };
  }
}

function full(scope: string, name: string): string {
  return scope === "" ? name : `${scope}.${name}`;
}

/** `first_name` → `firstName` */
function jsonName(name: string): string {
  return name.replaceAll(/_+([a-zA-Z0-9]?)/g, (_, letter: string) => letter.toUpperCase());
}
