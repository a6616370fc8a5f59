import type { EndpointRecord, Node, ServiceRecord, Value } from "ts-micro";
import { byBytes, type Doc } from "./json.ts";

/** How a format writes what Go calls nil. */
export interface Nothing {
  readonly map: Doc;
  readonly list: Doc;
}

/** A registry record in the key order of the reference. */
export function recordDoc(record: ServiceRecord, nothing: Nothing): Doc {
  const { name, version, metadata, endpoints, nodes } = record;
  return doc({
    name,
    version,
    metadata: pairs(metadata, nothing.map),
    endpoints: list(endpoints, (endpoint) => endpointDoc(endpoint, nothing), nothing),
    nodes: list(
      [...nodes].sort((a, b) => byBytes(a.id, b.id)),
      (node) => nodeDoc(node, nothing),
      nothing,
    ),
  });
}

function endpointDoc({ name, request, response, metadata }: EndpointRecord, nothing: Nothing): Doc {
  // Go always makes this map.
  return doc({
    name,
    request: valueDoc(request, nothing),
    response: valueDoc(response, nothing),
    metadata: pairs(metadata, new Map()),
  });
}

function nodeDoc({ id, address, metadata }: Node, nothing: Nothing): Doc {
  return doc({ id, address, metadata: pairs(metadata, nothing.map) });
}

function valueDoc(value: Value | undefined, nothing: Nothing): Doc {
  if (value === undefined) return null;
  const { name, type, values } = value;
  return doc({ name, type, values: list(values, (each) => valueDoc(each, nothing), nothing) });
}

function list<T>(items: readonly T[], each: (item: T) => Doc, nothing: Nothing): Doc {
  return items.length === 0 ? nothing.list : items.map(each);
}

function pairs(metadata: Readonly<Record<string, string>>, empty: Doc): Doc {
  const entries = Object.entries(metadata).sort(([a], [b]) => byBytes(a, b));
  return entries.length === 0 ? empty : new Map(entries);
}

function doc(members: Readonly<Record<string, Doc>>): Doc {
  return new Map(Object.entries(members));
}
