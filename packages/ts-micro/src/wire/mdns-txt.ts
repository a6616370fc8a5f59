import { deflateSync, inflateSync } from "node:zlib";
import { errors, type MicroError } from "../errors.ts";
import { goJsonDecode, goJsonText } from "./go-json.ts";
import type { EndpointRecord, Value } from "./registry-record.ts";

/** What the TXT record of one mDNS instance carries (wire spec §5.2, v4:registry/mdns_registry.go). */
export interface MdnsTxt {
  /** Metadata of the node; the service's own does not travel. */
  metadata: Record<string, string>;
  service: string;
  version: string;
  endpoints: EndpointRecord[];
}

/** Above this the decompressed JSON of a record is refused. */
export const maxTxtBytes: number = 1 << 20;
const maxDepth = 16;

/** JSON in Go's key order → zlib → lower-case hex → strings of at most 255 bytes. */
export function encodeTxt(txt: MdnsTxt): string[] {
  const json = goJsonText({
    Metadata: sorted(txt.metadata),
    Service: txt.service,
    Version: txt.version,
    Endpoints: txt.endpoints.map((endpoint) => ({
      request: goValue(endpoint.request),
      response: goValue(endpoint.response),
      metadata: sorted(endpoint.metadata),
      name: endpoint.name,
    })),
  });
  return (
    deflateSync(json)
      .toString("hex")
      .match(/.{1,255}/g) ?? []
  );
}

/**
 * The reverse. Keys in any case, missing and null members are empty, unknown ones ignored. Throws PROTOCOL for what is no such payload, and for
 * one that grows beyond {@link maxTxtBytes}. No strings at all (Go's `_services` entries) is an error too: ask for the length first.
 */
export function decodeTxt(strings: readonly string[]): MdnsTxt {
  const hex = strings.join("");
  if (hex === "" || hex.length % 2 !== 0 || !/^[0-9a-fA-F]+$/.test(hex)) throw malformed("TXT is no hex text");
  let value: unknown;
  try {
    value = goJsonDecode(inflateSync(Buffer.from(hex, "hex"), { maxOutputLength: maxTxtBytes }));
  } catch (error) {
    throw malformed(`TXT payload: ${error instanceof Error ? error.message : String(error)}`, error);
  }
  const txt = members(value, "TXT payload");
  return {
    metadata: textMap(txt.get("metadata"), "Metadata"),
    service: text(txt.get("service"), "Service"),
    version: text(txt.get("version"), "Version"),
    endpoints: array(txt.get("endpoints"), "Endpoints").map(endpointOf),
  };
}

function endpointOf(value: unknown): EndpointRecord {
  const endpoint = members(value, "endpoint");
  return {
    name: text(endpoint.get("name"), "endpoint name"),
    request: valueOf(endpoint.get("request"), 1),
    response: valueOf(endpoint.get("response"), 1),
    metadata: textMap(endpoint.get("metadata"), "endpoint metadata"),
  };
}

function valueOf(value: unknown, depth: number): Value | undefined {
  if (value === undefined || value === null) return undefined;
  if (depth > maxDepth) throw malformed(`values nested deeper than ${maxDepth} levels`);
  const fields = members(value, "value");
  return {
    name: text(fields.get("name"), "value name"),
    type: text(fields.get("type"), "value type"),
    values: array(fields.get("values"), "values").flatMap((each) => valueOf(each, depth + 1) ?? []),
  };
}

// Go writes null for what is empty here, and sorts the keys of maps.
function goValue(value: Value | undefined): unknown {
  if (value === undefined) return null;
  const { name, type, values } = value;
  return { name, type, values: values.length === 0 ? null : values.map(goValue) };
}

function sorted(map: Record<string, string>): Record<string, string> {
  const names = Object.keys(map).sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  return Object.fromEntries(names.map((name) => [name, map[name] as string]));
}

function members(value: unknown, what: string): Map<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw malformed(`${what} is no object`);
  return new Map(Object.entries(value).map(([key, member]) => [key.toLowerCase(), member]));
}

function text(value: unknown, what: string): string {
  if (value === undefined || value === null) return "";
  if (typeof value !== "string") throw malformed(`${what} is no text`);
  return value;
}

function array(value: unknown, what: string): unknown[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) throw malformed(`${what} is no list`);
  return value as unknown[];
}

function textMap(value: unknown, what: string): Record<string, string> {
  if (value === undefined || value === null) return {};
  if (typeof value !== "object" || Array.isArray(value)) throw malformed(`${what} is no map`);
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, text(member, what)]));
}

function malformed(detail: string, cause?: unknown): MicroError {
  return errors.protocol("ts.micro.mdns", detail, cause);
}
