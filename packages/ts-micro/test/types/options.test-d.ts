import { assertType, describe, it } from "vitest";
import type {
  CallOptions,
  ClientOptions,
  CorsOptions,
  EndpointDefinition,
  Group,
  HandleOptions,
  HttpApp,
  HttpServiceOptions,
  InitOptions,
  MicroErrorInit,
  Protocol,
  PublishMessageOptions,
  Registry,
  ServiceOptions,
  UserFlag,
} from "../../src/index.ts";
import type { Driver } from "../../src/drivers.ts";
import type { HttpOptions } from "../../src/protocol/http.ts";
import type { GrpcTransportOptions } from "../../src/transport/grpc.ts";
import type { HttpTransportOptions } from "../../src/transport/http.ts";
import type { MemoryTransportOptions } from "../../src/transport/memory.ts";

/** What somebody has who hands on what may be undefined. */
type Loose<T> = { [K in keyof T]: {} extends Pick<T, K> ? T[K] | undefined : T[K] };
declare const given: <T>() => Loose<T>;
declare const named: { cors: CorsOptions; http: HttpApp | HttpServiceOptions; protocol: Protocol; registry: Registry };

describe("options", () => {
  it("may be undefined where they may be left out", () => {
    assertType<CallOptions>(given<CallOptions>());
    assertType<ClientOptions>(given<ClientOptions>());
    assertType<ServiceOptions>(given<ServiceOptions>());
    assertType<InitOptions>(given<InitOptions>());
    assertType<HandleOptions>(given<HandleOptions>());
    assertType<HttpServiceOptions>(given<HttpServiceOptions>());
    assertType<PublishMessageOptions>(given<PublishMessageOptions>());
    assertType<UserFlag>(given<UserFlag>());
    assertType<MicroErrorInit>(given<MicroErrorInit>());
    type Run = NonNullable<Parameters<Group["run"]>[0]>;
    assertType<Run>(given<Run>());
    type Definition = EndpointDefinition<undefined, undefined, "unary">;
    assertType<Definition>(given<Definition>());
    assertType<HttpTransportOptions>(given<HttpTransportOptions>());
    assertType<GrpcTransportOptions>(given<GrpcTransportOptions>());
    assertType<MemoryTransportOptions>(given<MemoryTransportOptions>());
    assertType<HttpOptions>(given<HttpOptions>());
  });

  it("can be named by what the front door exports", () => {
    assertType<ServiceOptions["cors"]>(named.cors);
    assertType<ServiceOptions["http"]>(named.http);
    assertType<ServiceOptions["protocols"]>([named.protocol]);
  });

  it("know the drivers of others", () => {
    assertType<Driver<Registry>>({ name: "acme", fromAddress: () => named.registry });
  });
});
