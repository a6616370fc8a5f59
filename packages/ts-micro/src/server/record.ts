import type { EndpointRecord, Node, ServiceRecord } from "../registry.ts";
import type { ServerEngineOptions } from "./options.ts";
import type { RoutedEndpoint } from "../server.ts";
import { valuesOf } from "./values.ts";

/** The registry record of a server: one node, its endpoints with their types, its subscribers (wire spec §5.1). */
export function recordOf(
  options: ServerEngineOptions,
  address: string,
  endpoints: readonly RoutedEndpoint[],
  subscribers: readonly EndpointRecord[],
): ServiceRecord {
  return {
    name: options.name,
    version: options.version,
    metadata: {},
    endpoints: [...endpoints.filter((endpoint) => !endpoint.internal).map(endpointRecord), ...subscribers],
    nodes: [nodeOf(options, address)],
  };
}

function nodeOf(options: ServerEngineOptions, address: string): Node {
  const { name, id, metadata, protocols, advertised, registry, broker, tls } = options;
  const names = protocols.map((protocol) => protocol.name);
  return {
    id: `${name}-${id}`,
    address,
    // `ts-wire` marks a node of ours; its value is the version of our framing, 0 for none.
    metadata: {
      "ts-wire": "0",
      ...advertised.metadata,
      ...Object.assign({}, ...protocols.map((protocol) => protocol.marks)),
      // Who says in so many words how it wants to be called, or is a web app, means that alone.
      ...(names.length > 1 && advertised.name !== "http" && metadata["protocol"] === undefined
        ? { "ts-protocols": names.join(",") }
        : {}),
      registry: registry.name,
      broker: broker.name,
      ...(tls === undefined ? {} : { secure: "true" }),
      ...metadata,
    },
  };
}

function endpointRecord(endpoint: RoutedEndpoint): EndpointRecord {
  const { kind, definition } = endpoint;
  return {
    name: endpoint.name,
    ...valuesOf(endpoint),
    metadata: {
      ...definition.metadata,
      ...(kind === "unary" ? {} : { stream: "true", kind }),
      ...(definition.idempotent === true || definition.noSideEffects === true ? { idempotent: "true" } : {}),
    },
  };
}
