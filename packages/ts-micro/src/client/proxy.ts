import type { CallOptions, Kind } from "../context.ts";
import type { GenServiceLike } from "../endpoint.ts";
import { errors } from "../errors.ts";
import { idempotencyOf } from "../internal/idempotency.ts";
import { endpointName } from "../internal/names.ts";
import { invoke } from "./invoke.ts";
import type { Known } from "./options.ts";
import type { ClientShell } from "./shell.ts";
import { Target } from "./target.ts";

/** `service.Group.method(request, options)`. Methods become own properties at first access: later calls never meet the trap. */
export function typedService(client: ClientShell, service: string, defaults: CallOptions | undefined): object {
  return lazy((group) =>
    lazy((method) => {
      const target = new Target(service, endpointName(group, method), undefined);
      return (request?: unknown, options?: CallOptions) =>
        invoke(client, target, request ?? {}, merge(defaults, options));
    }),
  );
}

/** The methods of a protobuf service: names and kinds are known from its descriptor. */
export function protobufService(
  client: ClientShell,
  service: string,
  descriptor: GenServiceLike,
  defaults: CallOptions | undefined,
): object {
  const out: Record<string, unknown> = {};
  for (const [name, method] of Object.entries(descriptor.method)) {
    const { name: wireName, methodKind, input, output } = method as typeof method & { name: string };
    const kind = kindOf(methodKind);
    const known = {
      kind,
      idempotent: idempotencyOf(method).idempotent,
      descriptors: { request: input, response: output },
    } as Known;
    const target = new Target(service, `${descriptor.name}.${wireName}`, known);
    out[name] = (request?: unknown, options?: CallOptions) =>
      invoke(client, target, request ?? {}, merge(defaults, options));
  }
  return out;
}

function kindOf(methodKind: string): Kind {
  switch (methodKind) {
    case "unary":
      return "unary";
    case "server_streaming":
      return "server";
    case "client_streaming":
      return "client";
    case "bidi_streaming":
      return "bidi";
    default:
      throw errors.unsupported("go.micro.client", `method kind ${methodKind}`);
  }
}

function merge(defaults: CallOptions | undefined, options: CallOptions | undefined): CallOptions | undefined {
  return defaults === undefined ? options : options === undefined ? defaults : { ...defaults, ...options };
}

function lazy(make: (key: string) => unknown): object {
  return Object.create(
    new Proxy(Object.create(null) as object, {
      get: (_, key, self: object) => {
        if (typeof key === "symbol" || reserved.has(key)) return undefined;
        const value = make(key);
        Object.defineProperty(self, key, { value, enumerable: true });
        return value;
      },
    }),
  ) as object;
}

// What await, JSON.stringify, inspect and test matchers look for.
const reserved = new Set([
  "then",
  "catch",
  "finally",
  "constructor",
  "toJSON",
  "toString",
  "valueOf",
  "inspect",
  "asymmetricMatch",
  "nodeType",
  "$$typeof",
]);
