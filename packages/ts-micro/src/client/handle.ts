import type { Client } from "../client.ts";
import type { CallOptions } from "../context.ts";
import type { GenServiceLike } from "../endpoint.ts";
import type { ClientEngine } from "./engine.ts";
import { protobufService, typedService } from "./proxy.ts";

/** What users hold, over an engine that is made at first use. */
export function clientHandle(
  make: () => ClientEngine,
  start: () => Promise<void>,
  closeParts: () => Promise<void>,
): Client {
  let made: ClientEngine | undefined;
  let closed = false;
  const engine = (): ClientEngine => (made ??= make());
  const close = async (): Promise<void> => {
    if (closed) return;
    closed = true;
    await made?.close();
    await closeParts();
  };
  const client = {
    start,
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
