import { FieldDescriptorProto_Type as Type } from "@bufbuild/protobuf/wkt";
import { fault } from "../fault.ts";
import { bigintOf } from "./cursor.ts";
import type { Value } from "./option.ts";

const signed32 = [-(2n ** 31n), 2n ** 31n - 1n] as const;
const signed64 = [-(2n ** 63n), 2n ** 63n - 1n] as const;

/** Least and greatest value of the whole-number types. */
const bounds: Partial<Record<Type, readonly [bigint, bigint]>> = {
  [Type.INT32]: signed32,
  [Type.SINT32]: signed32,
  [Type.SFIXED32]: signed32,
  [Type.INT64]: signed64,
  [Type.SINT64]: signed64,
  [Type.SFIXED64]: signed64,
  [Type.UINT32]: [0n, 2n ** 32n - 1n],
  [Type.FIXED32]: [0n, 2n ** 32n - 1n],
  [Type.UINT64]: [0n, 2n ** 64n - 1n],
  [Type.FIXED64]: [0n, 2n ** 64n - 1n],
};

/** A whole number that fits into `type`. */
export function wholeOf(type: Type, value: Value): bigint {
  const range = bounds[type];
  if (range === undefined || value.kind !== "int") throw fault(value.place, "a whole number is expected");
  const size = bigintOf(value.text);
  const number = value.negative ? -size : size;
  if (number < range[0] || number > range[1])
    throw fault(value.place, `${number} is not between ${range[0]} and ${range[1]}`);
  return number;
}

export function floatOf(value: Value): number {
  if (value.kind === "word" && (value.text === "inf" || value.text === "nan"))
    return value.text === "nan" ? NaN : value.negative ? -Infinity : Infinity;
  if (value.kind !== "int" && value.kind !== "float") throw fault(value.place, "a number is expected");
  const size = value.kind === "int" ? Number(bigintOf(value.text)) : Number(value.text.replace(/[fF]$/, ""));
  return value.negative ? -size : size;
}

export function boolOf(value: Value): boolean {
  if (value.kind !== "word" || value.negative || !["true", "false"].includes(value.text))
    throw fault(value.place, "true or false is expected");
  return value.text === "true";
}

export function bytesOf(value: Value): readonly number[] {
  if (value.kind !== "string") throw fault(value.place, "a string is expected");
  return value.bytes;
}

/** The default of a field as descriptors write it. `type` is undefined for names, which are those of enums. */
export function defaultOf(type: Type | undefined, value: Value): string {
  switch (type) {
    case Type.BOOL:
      return String(boolOf(value));
    case Type.STRING:
      return Buffer.from(bytesOf(value)).toString("utf8");
    case Type.BYTES:
      return bytesOf(value).map(escaped).join("");
    case Type.DOUBLE:
    case Type.FLOAT:
      return floatText(type === Type.FLOAT ? Math.fround(floatOf(value)) : floatOf(value), type === Type.FLOAT);
    case undefined:
      break;
    default:
      return String(wholeOf(type, value));
  }
  if (value.kind !== "word" || value.negative) throw fault(value.place, "the name of a value is expected");
  return value.text;
}

/** The shortest text that means this number. */
function floatText(value: number, single: boolean): string {
  if (Number.isNaN(value)) return "nan";
  if (!Number.isFinite(value)) return value < 0 ? "-inf" : "inf";
  if (Object.is(value, -0)) return "-0";
  let text = String(value);
  if (single) {
    for (let digits = 1; digits <= 9; digits++) {
      text = String(Number(value.toPrecision(digits)));
      if (Math.fround(Number(text)) === value) break;
    }
  }
  return text.replace(/e([+-])(\d)$/, "e$10$2");
}

const escapes: Readonly<Record<number, string>> = {
  9: "\\t",
  10: "\\n",
  13: "\\r",
  34: '\\"',
  39: "\\'",
  92: "\\\\",
};

function escaped(byte: number): string {
  if (escapes[byte] !== undefined) return escapes[byte];
  return byte >= 32 && byte < 127 ? String.fromCharCode(byte) : `\\${byte.toString(8).padStart(3, "0")}`;
}
