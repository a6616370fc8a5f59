import type { DescField } from "@bufbuild/protobuf";

/** Whether a field has the value of a wrapper (google.protobuf.StringValue …) in place of the message. */
export function isWrapped(field: DescField & { fieldKind: "message" }): boolean {
  const { typeName, fields } = field.message;
  const [value] = fields;
  return (
    field.oneof === undefined &&
    /^google\.protobuf\.(Double|Float|U?Int(64|32)|Bool|String|Bytes)Value$/.test(typeName) &&
    value?.fieldKind === "scalar" &&
    value.name === "value" &&
    value.number === 1
  );
}
