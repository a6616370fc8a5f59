import { errors } from "../../errors.ts";
import type { EndpointRecord, Node, ServiceRecord, Value } from "../../registry.ts";

/** A deep copy, of the known fields only. */
export function cloneRecord(record: ServiceRecord): ServiceRecord {
  return {
    name: record.name,
    version: record.version,
    metadata: { ...record.metadata },
    endpoints: record.endpoints.map(cloneEndpoint),
    nodes: record.nodes.map(cloneNode),
  };
}

export function cloneNode(node: Node): Node {
  return { id: node.id, address: node.address, metadata: { ...node.metadata } };
}

function cloneEndpoint(endpoint: EndpointRecord): EndpointRecord {
  const copy: EndpointRecord = { name: endpoint.name, metadata: { ...endpoint.metadata } };
  if (endpoint.request != null) copy.request = cloneValue(endpoint.request);
  if (endpoint.response != null) copy.response = cloneValue(endpoint.response);
  return copy;
}

function cloneValue(value: Value): Value {
  return { name: value.name, type: value.type, values: value.values.map(cloneValue) };
}

/** Whether two records say the same; the order of nodes, endpoints and metadata says nothing. */
export function sameRecord(a: ServiceRecord, b: ServiceRecord): boolean {
  return a.name === b.name && a.version === b.version && sameFacts(a, b) && sameSet(a.nodes, b.nodes, idOf, sameNode);
}

/** Whether all but the nodes is the same. */
export function sameFacts(a: ServiceRecord, b: ServiceRecord): boolean {
  return a === b || (sameMap(a.metadata, b.metadata) && sameSet(a.endpoints, b.endpoints, nameOf, sameEndpoint));
}

export function sameNode(a: Node, b: Node): boolean {
  return a === b || (a.id === b.id && a.address === b.address && sameMap(a.metadata, b.metadata));
}

function sameEndpoint(a: EndpointRecord, b: EndpointRecord): boolean {
  return sameMap(a.metadata, b.metadata) && sameValue(a.request, b.request) && sameValue(a.response, b.response);
}

function sameValue(a: Value | undefined, b: Value | undefined): boolean {
  if (a == null || b == null) return a == b;
  return (
    a.name === b.name &&
    a.type === b.type &&
    a.values.length === b.values.length &&
    a.values.every((value, i) => sameValue(value, b.values[i]))
  );
}

function sameMap(a: Readonly<Record<string, string>>, b: Readonly<Record<string, string>>): boolean {
  if (a === b) return true;
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => Object.hasOwn(b, key) && a[key] === b[key]);
}

const idOf = (node: Node): string => node.id;
const nameOf = (endpoint: EndpointRecord): string => endpoint.name;

function sameSet<T>(
  a: readonly T[],
  b: readonly T[],
  keyOf: (item: T) => string,
  same: (a: T, b: T) => boolean,
): boolean {
  if (a === b) return true;
  if (a.length !== b.length) return false;
  const found = new Map(b.map((item) => [keyOf(item), item]));
  return a.every((item) => {
    const other = found.get(keyOf(item));
    return other !== undefined && same(item, other);
  });
}

/** @throws MicroError BAD_REQUEST for what no registry can hold. */
export function checkRecord(record: ServiceRecord, registry: string): void {
  if (typeof record.name !== "string" || record.name === "")
    throw errors.badRequest(registry, "a service record needs a name");
  if (record.nodes.length === 0)
    throw errors.badRequest(registry, `service ${record.name}: at least one node is required`);
  if (record.nodes.some((node) => node.id === ""))
    throw errors.badRequest(registry, `service ${record.name}: a node needs an id`);
}
