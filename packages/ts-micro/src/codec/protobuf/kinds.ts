import type { DescMessage } from "@bufbuild/protobuf";

/** The numbers of ScalarType for int64, uint64, fixed64, sfixed64, sint64. */
export const wide: ReadonlySet<number | undefined> = new Set([3, 4, 6, 16, 18]);

/** google.protobuf.StringValue and its like. */
export function isWrapper({ typeName, fields }: DescMessage): boolean {
  const [field] = fields;
  return typeName.startsWith("google.protobuf.") && fields.length === 1 && field?.name === "value";
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
