/** ts-micro: typed services found by name. */
export { createService } from "./service.ts";
export type { InitOptions, ProtoServer, Server, Service, ServiceOptions } from "./service.ts";
export { createClient } from "./connect.ts";
export type { ClientOptions } from "./connect.ts";
export { createGroup } from "./group.ts";
export type { Group } from "./group.ts";
export type { ClientDefaults, ComponentOptions, Env } from "./assemble.ts";
export { endpoint } from "./endpoint.ts";
export type {
  Api,
  Data,
  Duplex,
  Endpoint,
  EndpointDefinition,
  Fn,
  GenServiceLike,
  Group as HandlerGroup,
  Handler,
  Method,
  Methods,
  ProtoEndpoint,
  ProtoEndpoints,
  ProtoImpl,
  Remote,
  Replied,
  Sent,
  StandardSchemaV1,
  Stream,
} from "./endpoint.ts";
export { errors, isMicroError, MicroError } from "./errors.ts";
export type { ErrorCode, MicroErrorInit } from "./errors.ts";
export { encodeError } from "./wire/error.ts";
export { Metadata } from "./metadata.ts";
export type { MetadataInit } from "./metadata.ts";
export type { CallOptions, Context, Filter, Kind, Log, Span } from "./context.ts";
export type { Duration } from "./duration.ts";
export type { ParsedFlags, UserFlag } from "./flags.ts";
export { flagTable } from "./settings.ts";
export type {
  Attempt,
  CallInterceptor,
  Client,
  ClientCall,
  ClientInterceptor,
  PublishMessageOptions,
} from "./client.ts";
export type {
  CorsOptions,
  Delivery,
  HandleOptions,
  HandlerInterceptor,
  HttpApp,
  HttpHandler,
  HttpServiceOptions,
  ServerCall,
  Subscriber,
  SubscriberInterceptor,
  SubscriberOptions,
} from "./server.ts";
export type { Broker, BrokerEvent, BrokerMessage, Subscription } from "./broker.ts";
export type { Codec } from "./codec.ts";
export type { Clock } from "./clock.ts";
export type { Level, Logger } from "./logger.ts";
export type { Protocol } from "./protocol.ts";
export type { EndpointRecord, Node, Registry, RegistryEvent, ServiceRecord, Value, Watcher } from "./registry.ts";
export type { Selector } from "./selector.ts";
export type { ClientTlsOptions, TlsOptions } from "./tls.ts";
export type { Transport } from "./transport.ts";
