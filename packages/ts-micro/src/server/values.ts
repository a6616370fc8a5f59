import type { MessageDescriptor } from "../codec.ts";
import type { Value } from "../registry.ts";
import type { RoutedEndpoint } from "../server.ts";
import { isSchema } from "./validate.ts";

const depth = 3;

/** Registry `Value` trees of an endpoint: from JSON Schema where the schema library gives one, from protobuf descriptors, else `any`. */
export function valuesOf(endpoint: RoutedEndpoint): { request: Value; response: Value } {
  const method = endpoint.name.slice(endpoint.name.indexOf(".") + 1);
  if (endpoint.descriptors !== undefined) {
    return {
      request: ofDescriptor(endpoint.descriptors.request),
      response: ofDescriptor(endpoint.descriptors.response),
    };
  }
  return {
    request: ofSchema(endpoint.definition.request, `${method}Request`, "input"),
    response: ofSchema(endpoint.definition.response, `${method}Response`, "output"),
  };
}

interface JsonSchema {
  type?: string | string[];
  format?: string;
  title?: string;
  properties?: Record<string, JsonSchema>;
  items?: JsonSchema;
  anyOf?: JsonSchema[];
  oneOf?: JsonSchema[];
  $ref?: string;
  $defs?: Record<string, JsonSchema>;
}

function ofSchema(schema: unknown, name: string, side: "input" | "output"): Value {
  const json = jsonSchema(schema, side);
  if (json === undefined) return { name, type: "any", values: [] };
  return { ...tree(name, json, json, 0, name), name };
}

function jsonSchema(schema: unknown, side: "input" | "output"): JsonSchema | undefined {
  if (!isSchema(schema)) return undefined;
  try {
    return schema["~standard"].jsonSchema?.[side]({ target: "draft-2020-12" }) as JsonSchema | undefined;
  } catch {
    // a schema that has no JSON form (a transform, a function): its fields are unknown, the endpoint is not
    return undefined;
  }
}

function tree(name: string, schema: JsonSchema, root: JsonSchema, level: number, typeName?: string): Value {
  const at = resolve(schema, root);
  const type = typeOf(at, root, typeName ?? at.title ?? pascal(name));
  if (level >= depth) return { name, type, values: [] };
  const object = at.type === "array" && at.items !== undefined ? resolve(at.items, root) : at;
  const values = Object.entries(object.properties ?? {}).map(([field, value]) => tree(field, value, root, level + 1));
  return { name, type, values };
}

function typeOf(schema: JsonSchema, root: JsonSchema, objectName: string, level = 0): string {
  const type = Array.isArray(schema.type) ? schema.type.find((each) => each !== "null") : schema.type;
  switch (type) {
    case "string":
      return schema.format === "date-time" ? "Time" : "string";
    case "integer":
      return "int64";
    case "number":
      return "float64";
    case "boolean":
      return "bool";
    case "array":
      // An array may be its own item.
      if (schema.items === undefined || level === depth) return "[]any";
      return `[]${typeOf(resolve(schema.items, root), root, objectName, level + 1)}`;
    case "object":
      return schema.properties === undefined ? "map" : objectName;
    default:
      return "any";
  }
}

function resolve(schema: JsonSchema, root: JsonSchema): JsonSchema {
  const ref = schema.$ref?.match(/^#\/\$defs\/(.+)$/)?.[1];
  if (ref !== undefined) return root.$defs?.[ref] ?? {};
  const choice = (schema.anyOf ?? schema.oneOf)?.find((each) => each.type !== "null");
  return choice ?? schema;
}

function pascal(name: string): string {
  return name.replace(/(?:^|[_-])([A-Za-z])/g, (_, c: string) => c.toUpperCase());
}

interface Field {
  name: string;
  fieldKind: "scalar" | "enum" | "message" | "list" | "map";
  listKind?: "scalar" | "enum" | "message";
  scalar?: number;
  message?: Described;
  enum?: { name: string };
}
type Described = MessageDescriptor & { name: string; fields: readonly Field[] };

// FieldDescriptorProto.Type → Go type.
const scalars: Record<number, string> = {
  1: "float64",
  2: "float32",
  3: "int64",
  4: "uint64",
  5: "int32",
  6: "uint64",
  7: "uint32",
  8: "bool",
  9: "string",
  12: "[]uint8",
  13: "uint32",
  15: "int32",
  16: "int64",
  17: "int32",
  18: "int64",
};

function ofDescriptor(descriptor: MessageDescriptor): Value {
  const { name } = descriptor as Described;
  return message(name, descriptor as Described, 0);
}

function message(name: string, descriptor: Described, level: number): Value {
  if (level >= depth) return { name, type: descriptor.name, values: [] };
  return { name, type: descriptor.name, values: descriptor.fields.map((field) => fieldValue(field, level + 1)) };
}

function fieldValue(field: Field, level: number): Value {
  const { name } = field;
  const kind = field.fieldKind === "list" ? field.listKind : field.fieldKind;
  const list = field.fieldKind === "list" ? "[]" : "";
  // As Go's extractor writes them: maps without a type, repeated messages without values.
  if (kind === "map") return { name, type: "", values: [] };
  if (kind === "message" && field.message !== undefined) {
    return list === "" ? message(name, field.message, level) : { name, type: `[]${field.message.name}`, values: [] };
  }
  const type = kind === "enum" ? (field.enum?.name ?? "int32") : (scalars[field.scalar ?? 0] ?? "any");
  return { name, type: `${list}${type}`, values: [] };
}
