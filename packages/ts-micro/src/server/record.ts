import type { Protocol } from "../protocol.ts";
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

function nodeOf({ name, id, metadata, protocols, registry, broker, tls }: ServerEngineOptions, address: string): Node {
  // What every Go client can call comes first; the others are marks beside it.
  const wire: Protocol = protocols.find((protocol) => protocol.name === "mucp") ?? protocols[0];
  return {
    id: `${name}-${id}`,
    address,
    // `ts-wire` marks a node of ours; its value is the version of our framing, 0 for none.
    metadata: {
      "ts-wire": "0",
      ...wire.metadata,
      ...Object.assign({}, ...protocols.map((protocol) => protocol.marks)),
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
