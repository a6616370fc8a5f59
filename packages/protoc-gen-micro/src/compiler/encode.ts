import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import {
  FieldDescriptorProto_Label as Label,
  FieldDescriptorProto_Type as Type,
  type FieldDescriptorProto,
} from "@bufbuild/protobuf/wkt";
import { fault } from "../fault.ts";
import { boolOf, bytesOf, floatOf, wholeOf } from "./default.ts";
import type { Setting, Step, Value } from "./option.ts";
import type { Written } from "./parsed.ts";
import type { Symbols } from "./symbols.ts";

/** A field of a message under construction: a message of its own, or its values. */
type Node = { readonly field: FieldDescriptorProto; readonly values: Value[]; readonly inner: Tree };
type Tree = Map<number, Node>;

const box = "google.protobuf.Any";

/** Encodes options as a message of google.protobuf. `file`: where they stand. @throws ProtoFault */
export function encodeOptions({ type, scope, options }: Written, file: string, symbols: Symbols): Uint8Array {
  return new Encoder(file, scope, symbols).options(`google.protobuf.${type}`, options);
}

class Encoder {
  readonly #file: string;
  readonly #scope: string;
  readonly #symbols: Symbols;

  constructor(file: string, scope: string, symbols: Symbols) {
    this.#file = file;
    this.#scope = scope;
    this.#symbols = symbols;
  }

  /** `(a).b = 1` and `(a).c = 2` are one message (a). */
  options(message: string, options: Written["options"]): Uint8Array {
    const tree: Tree = new Map();
    for (const { steps, value } of options) {
      let [at, type] = [tree, message];
      for (const [index, step] of steps.entries()) {
        const node = this.#node(at, type, step);
        const { field, values, inner } = node;
        if (index === steps.length - 1) {
          if (field.label !== Label.REPEATED && (values.length > 0 || inner.size > 0))
            throw fault(step.place, `option ${step.name} is set twice`);
          values.push(value);
        } else {
          if (field.type !== Type.MESSAGE && field.type !== Type.GROUP)
            throw fault(step.place, `${step.name} is no message`);
          if (values.length > 0) throw fault(step.place, `option ${step.name} is set twice`);
          [at, type] = [inner, field.typeName.slice(1)];
        }
      }
    }
    return this.#write(tree);
  }

  #node(tree: Tree, message: string, step: Step): Node {
    const field = this.#field(message, step);
    const node = tree.get(field.number) ?? { field, values: [], inner: new Map() };
    tree.set(field.number, node);
    return node;
  }

  #field(message: string, { name, extension, place }: Step): FieldDescriptorProto {
    if (name.includes("/")) throw fault(place, `[${name}] stands in a ${box}, alone`);
    if (extension) return this.#symbols.extension(name, message, this.#scope, this.#file, place);
    const what = this.#symbols.get(message);
    const fields = what?.kind === "message" ? what.proto.field : [];
    // A group is called by its type in text.
    const found =
      fields.find((field) => field.name === name) ??
      fields.find((field) => field.type === Type.GROUP && field.typeName.endsWith(`.${name}`));
    if (found === undefined) throw fault(place, `${message} has no ${name}`);
    return found;
  }

  #write(tree: Tree): Uint8Array {
    const writer = new BinaryWriter();
    for (const { field, values, inner } of tree.values()) {
      if (inner.size > 0) writer.raw(this.#message(field, this.#write(inner)));
      for (const value of values) {
        const items = value.kind === "list" && field.label === Label.REPEATED ? value.items : [value];
        for (const item of items) this.#value(writer, field, item);
      }
    }
    return writer.finish();
  }

  #message(field: FieldDescriptorProto, body: Uint8Array): Uint8Array {
    const writer = new BinaryWriter();
    if (field.type === Type.GROUP)
      return writer.tag(field.number, WireType.StartGroup).raw(body).tag(field.number, WireType.EndGroup).finish();
    return writer.tag(field.number, WireType.LengthDelimited).bytes(body).finish();
  }

  #value(writer: BinaryWriter, field: FieldDescriptorProto, value: Value): void {
    const { number, type } = field;
    switch (type) {
      case Type.MESSAGE:
      case Type.GROUP:
        if (value.kind !== "message") throw fault(value.place, `${field.name} is a message: { … }`);
        writer.raw(this.#message(field, this.#literal(field.typeName.slice(1), value.fields)));
        return;
      case Type.ENUM:
        writer.tag(number, WireType.Varint).int32(this.#enum(field, value));
        return;
      case Type.BOOL:
        writer.tag(number, WireType.Varint).bool(boolOf(value));
        return;
      case Type.STRING:
      case Type.BYTES:
        writer.tag(number, WireType.LengthDelimited).bytes(Uint8Array.from(bytesOf(value)));
        return;
      case Type.DOUBLE:
        writer.tag(number, WireType.Bit64).double(floatOf(value));
        return;
      case Type.FLOAT:
        writer.tag(number, WireType.Bit32).float(floatOf(value));
        return;
      default:
        whole(writer, number, type, wholeOf(type, value));
    }
  }

  #literal(message: string, fields: readonly Setting[]): Uint8Array {
    const [first] = fields;
    if (first?.step.name.includes("/") && fields.length === 1 && message === box) return this.#boxed(first);
    const tree: Tree = new Map();
    for (const { step, value } of fields) {
      const { field, values } = this.#node(tree, message, step);
      if (field.label !== Label.REPEATED && values.length > 0) throw fault(step.place, `${step.name} is set twice`);
      values.push(value);
    }
    return this.#write(tree);
  }

  /** `{ [type.googleapis.com/a.B] { … } }` */
  #boxed({ step: { name: url, place }, value }: Setting): Uint8Array {
    const { name, what } = this.#symbols.find(url.replace(/^.*\//, "."), this.#scope, this.#file, place);
    if (what.kind !== "message" || value.kind !== "message") throw fault(place, `${name} is a message: { … }`);
    const writer = new BinaryWriter().tag(1, WireType.LengthDelimited).string(url);
    return writer.tag(2, WireType.LengthDelimited).bytes(this.#literal(name, value.fields)).finish();
  }

  #enum(field: FieldDescriptorProto, value: Value): number {
    const what = this.#symbols.get(field.typeName.slice(1));
    const values = what?.kind === "enum" ? what.proto.value : [];
    const found = value.kind === "word" && !value.negative ? values.find(({ name }) => name === value.text) : undefined;
    if (found === undefined)
      throw fault(value.place, `${field.name} is one of ${values.map(({ name }) => name).join(", ")}`);
    return found.number;
  }
}

function whole(writer: BinaryWriter, number: number, type: Type, value: bigint): void {
  switch (type) {
    case Type.INT32:
      writer.tag(number, WireType.Varint).int32(Number(value));
      return;
    case Type.SINT32:
      writer.tag(number, WireType.Varint).sint32(Number(value));
      return;
    case Type.UINT32:
      writer.tag(number, WireType.Varint).uint32(Number(value));
      return;
    case Type.INT64:
      writer.tag(number, WireType.Varint).int64(value);
      return;
    case Type.SINT64:
      writer.tag(number, WireType.Varint).sint64(value);
      return;
    case Type.UINT64:
      writer.tag(number, WireType.Varint).uint64(value);
      return;
    case Type.FIXED32:
      writer.tag(number, WireType.Bit32).fixed32(Number(value));
      return;
    case Type.SFIXED32:
      writer.tag(number, WireType.Bit32).sfixed32(Number(value));
      return;
    case Type.FIXED64:
      writer.tag(number, WireType.Bit64).fixed64(value);
      return;
    default:
      writer.tag(number, WireType.Bit64).sfixed64(value);
  }
}
