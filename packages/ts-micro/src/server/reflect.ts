import type { MessageDescriptor } from "../codec.ts";
import type { Kind } from "../context.ts";
import type { Endpoint, EndpointDefinition, GenServiceLike } from "../endpoint.ts";
import { errors } from "../errors.ts";
import { idempotencyOf } from "../internal/idempotency.ts";
import { endpointName } from "../internal/names.ts";
import { fitToSend } from "../metadata.ts";
import type { HandleOptions, RoutedEndpoint } from "../server.ts";
import { checkSchema } from "./validate.ts";

const id = "ts-micro";
const reserved = new Set([
  "constructor",
  "then",
  "catch",
  "finally",
  "toJSON",
  "toString",
  "valueOf",
  "inspect",
  "asymmetricMatch",
  "nodeType",
]);
const groupName = /^[A-Za-z_][A-Za-z0-9_-]*$/;

/**
 * The endpoints of a handler group: declared ones, functions, and methods of a class instance, own and inherited. Not: `_names`, accessors,
 * symbols, data.
 */
export function endpointsOf(group: string, handlers: object, options: HandleOptions = {}): RoutedEndpoint[] {
  if (!groupName.test(group))
    throw errors.badRequest(id, `"${group}" is no name for a handler group: letters, digits, _ and -`);
  const found = new Map<string, RoutedEndpoint>();
  const from = new Map<string, string>();
  const only = options.only === undefined ? undefined : new Set(options.only);
  for (const [method, value] of members(handlers)) {
    if (only !== undefined && !only.delete(method)) continue;
    const declared = isEndpoint(value) ? value : undefined;
    if (declared === undefined && typeof value !== "function") continue;
    if (prototypeOf(value) === GeneratorFunction)
      throw errors.badRequest(id, `${group}.${method} is a generator: make it an async one, async *${method}()`);
    if (reserved.has(method)) throw errors.badRequest(id, `${group}.${method}: this name cannot be an endpoint`);
    const name = endpointName(group, method);
    const other = from.get(name);
    if (other !== undefined)
      throw errors.conflict(id, `${group}: "${other}" and "${method}" are both the endpoint ${name}`);
    from.set(name, method);
    const handler = (declared?.handler ?? value) as RoutedEndpoint["handler"];
    const definition = declared?.definition ?? {};
    checkSchema(definition.request, `the request of ${name}`);
    checkSchema(definition.response, `the response of ${name}`);
    const metadata = together(definition.metadata, options.metadata?.[name] ?? options.metadata?.[method]);
    found.set(name, {
      name,
      kind: declared?.kind ?? (isAsyncGenerator(value) ? "server" : "unary"),
      definition: { ...definition, metadata },
      handler: handler.bind(handlers),
      internal: options.internal ?? false,
    });
  }
  if (only !== undefined && only.size > 0) throw errors.badRequest(id, `${group}: no method ${[...only].join(", ")}`);
  if (found.size === 0) throw errors.badRequest(id, `${group}: no handler in it`);
  return [...found.values()];
}

type Texts = Readonly<Record<string, string>>;

function together(own: Texts | undefined, more: Texts | undefined): Texts {
  fitToSend(own);
  fitToSend(more);
  return { ...own, ...more };
}

/** The endpoints of a protobuf service. */
export function endpointsOfDescriptor(
  descriptor: GenServiceLike,
  impl: object,
  options: HandleOptions = {},
): RoutedEndpoint[] {
  const only = options.only === undefined ? undefined : new Set(options.only);
  const endpoints = Object.entries(descriptor.method).flatMap(([local, method]) => {
    const handler = (impl as Record<string, unknown>)[local];
    if (typeof handler !== "function" || (only !== undefined && !only.delete(local))) return [];
    const { name, methodKind, input, output } = method as typeof method & { name: string };
    const endpoint = `${descriptor.name}.${name}`;
    const definition: EndpointDefinition<unknown, unknown, Kind> = {
      ...idempotencyOf(method),
      metadata: together(undefined, options.metadata?.[endpoint] ?? options.metadata?.[local]),
    };
    return {
      name: endpoint,
      kind: kinds[methodKind] ?? "unary",
      definition,
      handler: handler.bind(impl) as RoutedEndpoint["handler"],
      descriptors: { service: descriptor, request: input as MessageDescriptor, response: output as MessageDescriptor },
      internal: options.internal ?? false,
    };
  });
  if (only !== undefined && only.size > 0)
    throw errors.badRequest(id, `${descriptor.name}: no method ${[...only].join(", ")}`);
  return endpoints;
}

const kinds: Record<string, Kind> = {
  unary: "unary",
  server_streaming: "server",
  client_streaming: "client",
  bidi_streaming: "bidi",
};

/** Name of the class of `instance`, for the bare form `register(new Greeter())`. Minified and anonymous classes have none worth using. */
export function classNameOf(instance: object): string {
  const name = (Object.getPrototypeOf(instance) as { constructor?: { name?: string } } | null)?.constructor?.name ?? "";
  if (name === "" || name === "Object" || name.length < 3 || !/^[A-Z]/.test(name)) {
    throw errors.badRequest(
      id,
      `cannot take a handler name from class "${name}" (anonymous or minified?): use handle("Greeter", instance)`,
    );
  }
  return name;
}

/** Callable members, own first; inherited ones only from classes, never from Object.prototype. */
function* members(handlers: object): Generator<[string, unknown]> {
  const seen = new Set<string>(["constructor"]);
  for (
    let at: object | null = handlers;
    at !== null && at !== Object.prototype;
    at = Object.getPrototypeOf(at) as object | null
  ) {
    for (const [key, descriptor] of Object.entries(Object.getOwnPropertyDescriptors(at))) {
      if (seen.has(key)) continue;
      seen.add(key);
      if (key.startsWith("_") || descriptor.get !== undefined || descriptor.set !== undefined) continue;
      yield [key, descriptor.value];
    }
  }
}

function isEndpoint(value: unknown): value is Endpoint<Kind, unknown, unknown> {
  return (
    typeof value === "object" &&
    value !== null &&
    "kind" in value &&
    "handler" in value &&
    typeof value.handler === "function" &&
    "definition" in value
  );
}

const GeneratorFunction = Object.getPrototypeOf(function* () {}) as object;
const AsyncGeneratorFunction = Object.getPrototypeOf(async function* () {}) as object;

function isAsyncGenerator(value: unknown): boolean {
  return prototypeOf(value) === AsyncGeneratorFunction;
}

function prototypeOf(value: unknown): object | null {
  return typeof value === "function" ? (Object.getPrototypeOf(value) as object | null) : null;
}
