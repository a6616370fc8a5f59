import type { Broker } from "../broker.ts";
import type { CallInterceptor, ClientInterceptor } from "../client.ts";
import type { Clock } from "../clock.ts";
import type { Codec, MessageDescriptor } from "../codec.ts";
import type { Filter, Kind } from "../context.ts";
import type { Protocol } from "../protocol.ts";
import type { CachedRegistry } from "../registry/cached.ts";
import type { LocalService } from "../server.ts";
import type { Selector } from "../selector.ts";

/** What a client engine is made of. The engine chooses nothing; times are milliseconds. */
export interface ClientEngineOptions {
  registry: CachedRegistry;
  selector: Selector;
  /** The first one serves nodes that name no protocol. */
  protocols: readonly [Protocol, ...Protocol[]];
  codecs: readonly Codec[];
  broker: Broker;
  clock: Clock;
  interceptors: readonly ClientInterceptor[];
  callInterceptors: readonly CallInterceptor[];
  /** Applied once to what the registry says, until it says something else; for a call with filters again, before its own. */
  filters: readonly Filter[];
  contentType: string;
  requestTimeout: number;
  /** The first attempt of an idempotent call; each further one has twice the time of the one before. */
  attemptTimeout: number;
  retries: number;
  /** Services that live in this process: calls to them use no socket. */
  local?: ((service: string) => LocalService | undefined) | undefined;
  /** Where every call goes instead (MICRO_PROXY): an address, or the name of a service. */
  proxy?: { address?: string; service?: string } | undefined;
  random?: () => number;
}

/** What is known of an endpoint before a call: from a descriptor. */
export interface Known {
  readonly kind: Kind;
  readonly idempotent?: boolean;
  readonly descriptors?: { readonly request: MessageDescriptor; readonly response: MessageDescriptor };
}
