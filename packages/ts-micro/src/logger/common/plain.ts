import { isMicroError } from "../../errors.ts";

const maxDepth = 8;
const maxItems = 1000;
const maxText = 64 * 1024;
const maxBytes = 256;

/**
 * A value as something that JSON.stringify takes without throwing: errors with name, message, code, stack and cause, Map, Set, bigint,
 * bytes, invalid dates; circles, depth, length cut off and marked. A getter or `toJSON` that throws becomes its message.
 */
export function toPlain(value: unknown): unknown {
  return plain(value, [], 0);
}

function plain(value: unknown, above: readonly object[], depth: number): unknown {
  switch (typeof value) {
    case "string":
      return value.length > maxText ? `${value.slice(0, maxText)}… (${value.length} characters)` : value;
    case "number":
      return Number.isFinite(value) ? value : String(value);
    case "boolean":
    case "undefined":
      return value;
    case "object":
      break;
    case "function":
      return `[function ${value.name}]`;
    default:
      return String(value);
  }
  if (value === null) return null;
  if (above.includes(value)) return "[circular]";
  if (depth >= maxDepth) return "[…]";
  try {
    return plainObject(value, [...above, value], depth + 1);
  } catch (error) {
    return `[unreadable: ${error instanceof Error ? error.message : typeof error}]`;
  }
}

function plainObject(value: object, above: readonly object[], depth: number): unknown {
  if (value instanceof Error || isMicroError(value)) return plainError(value, above, depth);
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? "Invalid Date" : value.toISOString();
  if (ArrayBuffer.isView(value)) return plainBytes(value);
  if (value instanceof RegExp || value instanceof URL) return String(value);
  if (value instanceof Map) return plainEntries(value, above, depth);
  if (value instanceof Set) return plainList(value, above, depth);
  if (Array.isArray(value)) return plainList(value, above, depth);
  const json = (value as { toJSON?: unknown }).toJSON;
  if (typeof json === "function") return plain(json.call(value), above, depth);
  return plainEntries(
    Object.keys(value).map((key) => [key, (value as Record<string, unknown>)[key]] as const),
    above,
    depth,
  );
}

function plainError(error: Error, above: readonly object[], depth: number): Record<string, unknown> {
  const out: Record<string, unknown> = { name: error.name, message: error.message };
  // Own enumerable fields carry what makes an error specific: code, errno, status, id, detail, attempts …
  for (const [key, field] of Object.entries(error)) if (key !== "cause") out[key] = plain(field, above, depth);
  if (typeof error.stack === "string") out["stack"] = plain(error.stack, above, depth);
  if (error.cause !== undefined) out["cause"] = plain(error.cause, above, depth);
  if (error instanceof AggregateError) out["errors"] = plain(error.errors, above, depth);
  return out;
}

function plainBytes(view: ArrayBufferView): string {
  const bytes = Buffer.from(view.buffer, view.byteOffset, view.byteLength);
  const hex = bytes.subarray(0, maxBytes).toString("hex");
  return bytes.length > maxBytes ? `${hex}… (${bytes.length} bytes)` : hex;
}

function plainList(items: Iterable<unknown>, above: readonly object[], depth: number): unknown[] {
  const out: unknown[] = [];
  for (const item of items) {
    if (out.length >= maxItems) {
      out.push("[…]");
      break;
    }
    out.push(plain(item, above, depth) ?? null);
  }
  return out;
}

function plainEntries(
  entries: Iterable<readonly [unknown, unknown]>,
  above: readonly object[],
  depth: number,
): Record<string, unknown> {
  const out: Record<string, unknown> = Object.create(null) as Record<string, unknown>;
  let count = 0;
  for (const [key, value] of entries) {
    if (count++ >= maxItems) {
      out["…"] = "[…]";
      break;
    }
    out[typeof key === "object" && key !== null ? JSON.stringify(plain(key, above, depth)) : String(key)] = plain(
      value,
      above,
      depth,
    );
  }
  return out;
}
