import type { EndpointRecord, Node, ServiceRecord, Value } from "ts-micro";
import { byBytes, type Doc } from "./json.ts";

/** What differs between the formats of the reference. */
export interface Style {
  /** An empty map and an empty list: Go's nil. */
  readonly noMap: Doc;
  readonly noList: Doc;
  /** Order of a user's keys. */
  order(a: string, b: string): number;
}

/** A registry record in the key order of the reference. */
export function recordDoc(record: ServiceRecord, style: Style): ReadonlyMap<string, Doc> {
  const { name, version, metadata, endpoints, nodes } = record;
  return doc({
    name,
    version,
    metadata: pairs(metadata, style, style.noMap),
    endpoints: list(endpoints, (endpoint) => endpointDoc(endpoint, style), style),
    nodes: list(
      [...nodes].sort((a, b) => byBytes(a.id, b.id)),
      (node) => nodeDoc(node, style),
      style,
    ),
  });
}

function endpointDoc({ name, request, response, metadata }: EndpointRecord, style: Style): Doc {
  // Go always makes this map.
  return doc({
    name,
    request: valueDoc(request, style),
    response: valueDoc(response, style),
    metadata: pairs(metadata, style, new Map()),
  });
}

function nodeDoc({ id, address, metadata }: Node, style: Style): Doc {
  return doc({ id, address, metadata: pairs(metadata, style, style.noMap) });
}

function valueDoc(value: Value | undefined, style: Style): Doc {
  if (value === undefined) return null;
  const { name, type, values } = value;
  return doc({ name, type, values: list(values, (each) => valueDoc(each, style), style) });
}

function list<T>(items: readonly T[], each: (item: T) => Doc, style: Style): Doc {
  return items.length === 0 ? style.noList : items.map(each);
}

function pairs(metadata: Readonly<Record<string, string>>, style: Style, empty: Doc): Doc {
  const entries = Object.entries(metadata).sort(([a], [b]) => style.order(a, b));
  return entries.length === 0 ? empty : new Map(entries);
}

function doc(members: Readonly<Record<string, Doc>>): ReadonlyMap<string, Doc> {
  return new Map(Object.entries(members));
}
