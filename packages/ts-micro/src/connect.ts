import { assemble, clientEngine, type ClientDefaults, type ComponentOptions, type Parts } from "./assemble.ts";
import type { Client } from "./client.ts";
import type { ClientEngine } from "./client/engine.ts";
import type { LocalService } from "./client/options.ts";
import { protobufService, typedService } from "./client/proxy.ts";
import type { CallOptions } from "./context.ts";
import type { GenServiceLike } from "./endpoint.ts";

/** Options of {@link createClient}. */
export interface ClientOptions extends ComponentOptions, ClientDefaults {}

/**
 * A client for services found by name. It connects as calls need it and keeps the process alive only while something is pending; `close`
 * lets go of its connections earlier.
 */
export function createClient(options: ClientOptions = {}): Client {
  const parts = assemble(options, {}, options);
  return clientOver(parts, options, undefined, () => parts.close());
}

/** A client over given parts. The engine is made at first use. */
export function clientOver(
  parts: Parts,
  defaults: ClientDefaults,
  local: ((service: string) => LocalService | undefined) | undefined,
  closeParts: () => Promise<void>,
): Client {
  let made: ClientEngine | undefined;
  let closed = false;
  const engine = (): ClientEngine => (made ??= clientEngine(parts, defaults, local));
  const close = async (): Promise<void> => {
    if (closed) return;
    closed = true;
    await made?.close();
    await closeParts();
  };
  const client = {
    async start(): Promise<void> {
      await Promise.all(parts.protocols.map((protocol) => protocol.start()));
    },
    close,
    [Symbol.asyncDispose]: close,
    service(name: string, second?: GenServiceLike | CallOptions, third?: CallOptions): object {
      return isDescriptor(second)
        ? protobufService(engine(), name, second, third)
        : typedService(engine(), name, second);
    },
    call: (service: string, endpoint: string, request: unknown = {}, options?: CallOptions) =>
      engine().unary(service, endpoint, request, options),
    stream(service: string, endpoint: string, options?: CallOptions) {
      const { stream } = options ?? {};
      return engine().stream(typeof stream === "string" ? stream : "bidi", service, endpoint, undefined, options);
    },
    publish: (topic: string, message: unknown, options?: CallOptions) => engine().publish(topic, message, options),
  };
  return client as Client;
}

function isDescriptor(value: GenServiceLike | CallOptions | undefined): value is GenServiceLike {
  return value !== undefined && "kind" in value && value.kind === "service" && "method" in value;
}
