import type { Component } from "./lifecycle.ts";
import type { Duration } from "./duration.ts";
import type { ServiceRecord } from "./wire/registry-record.ts";

export type { EndpointRecord, Node, ServiceRecord, Value } from "./wire/registry-record.ts";

/** A change: `service` holds the nodes that it is about (for `delete`, those that left). */
export interface RegistryEvent {
  action: "create" | "update" | "delete";
  service: ServiceRecord;
}

/** Changes as they happen. A watcher that falls too far behind, or whose registry lost it, fails; the caller looks up afresh and watches again. */
export interface Watcher extends AsyncIterable<RegistryEvent>, AsyncDisposable {
  /** Resolves when every change from now on will be seen. */
  readonly ready: Promise<void>;
  close(): Promise<void>;
}

export interface RegisterOptions {
  /** After this time without a further `register` the nodes are gone. Default: never. */
  ttl?: Duration | undefined;
  signal?: AbortSignal | undefined;
}

export interface LookupOptions {
  signal?: AbortSignal | undefined;
  /** Of a registry made of several: wait for all of them, not only for the first that knows the service. Default false. */
  complete?: boolean | undefined;
}

export interface WatchOptions {
  /** Only this service. Default: all. */
  service?: string | undefined;
  /** Ends the iteration without an error. */
  signal?: AbortSignal | undefined;
  /** True: waiting for an event does not keep the process alive. Default false: a user's watch does. */
  background?: boolean | undefined;
}

/**
 * Service discovery. Mirrors v4:registry/registry.go. Unreachable backends reject with REGISTRY_UNAVAILABLE; after `close` every method
 * rejects with INVALID_STATE.
 */
export interface Registry extends Component {
  /** `local`, `mdns`, `memory`, `etcd` …; written into node metadata. */
  readonly name: string;
  /** Adds or refreshes the nodes of `service` (merged by node id into what is there of that name and version). Idempotent. */
  register(service: ServiceRecord, options?: RegisterOptions): Promise<void>;
  /** Removes the nodes of `service`, by id. Unknown ones are no error. */
  deregister(service: ServiceRecord, options?: LookupOptions): Promise<void>;
  /** One record per version; empty when there is none. */
  getService(name: string, options?: LookupOptions): Promise<ServiceRecord[]>;
  /** All services; some registries give names only (no nodes, no endpoints). */
  listServices(options?: LookupOptions): Promise<ServiceRecord[]>;
  /** Begins at once; {@link Watcher.ready} tells when it sees. */
  watch(options?: WatchOptions): Watcher;
}
