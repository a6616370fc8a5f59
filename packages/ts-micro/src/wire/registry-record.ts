/** Shapes of a registry record, as every Go registry stores them (wire spec §5.1, v4:registry/registry.go). */

/** One version of a service. */
export interface ServiceRecord {
  name: string;
  /** `latest` when the service gave none. */
  version: string;
  metadata: Record<string, string>;
  endpoints: EndpointRecord[];
  nodes: Node[];
}

/** One running instance. `metadata` holds at least `protocol`, `transport`, `server`, `registry`, `broker`. */
export interface Node {
  /** `<service>-<server id>` */
  id: string;
  /** `host:port`, IPv6 in brackets; `unix:/path` for a Unix socket; a queue name on message-queue transports. */
  address: string;
  metadata: Record<string, string>;
}

/** One endpoint (`Greeter.Hello`) or subscriber. Streams carry metadata `stream: "true"` (Go) and `kind` (ours). */
export interface EndpointRecord {
  name: string;
  request?: Value | undefined;
  response?: Value | undefined;
  metadata: Record<string, string>;
}

/** A type, to depth 3: `type` is Go's type name. */
export interface Value {
  name: string;
  type: string;
  values: Value[];
}
