import type { Client } from "../client.ts";
import type { CallOptions } from "../context.ts";
import type { GenServiceLike } from "../endpoint.ts";
import { holding } from "../internal/hold.ts";
import { protobufService, typedService } from "./proxy.ts";
import { ClientShell, type ShellOptions } from "./shell.ts";

/** What users hold. `start` connects nothing, it makes ready; `release` closes what the client stands on, if it is the client's. */
export function clientHandle(options: ShellOptions, start: () => Promise<void>, release: () => Promise<void>): Client {
  let made: ClientShell | undefined;
  let closing: Promise<void> | undefined;
  const shell = (): ClientShell => (made ??= new ClientShell(options));
  const close = (): Promise<void> => {
    closing ??= holding(
      (async () => {
        await shell().close();
        await release();
      })(),
    );
    return closing;
  };
  const client = {
    start,
    close,
    [Symbol.asyncDispose]: close,
    service(name: string, second?: GenServiceLike | CallOptions, third?: CallOptions): object {
      return isDescriptor(second) ? protobufService(shell(), name, second, third) : typedService(shell(), name, second);
    },
    call: (service: string, endpoint: string, request: unknown = {}, callOptions?: CallOptions) =>
      shell().unary(service, endpoint, request, callOptions),
    stream(service: string, endpoint: string, callOptions?: CallOptions) {
      const { stream } = callOptions ?? {};
      return shell().stream(typeof stream === "string" ? stream : "bidi", service, endpoint, undefined, callOptions);
    },
    publish: (topic: string, message: unknown, callOptions?: CallOptions) =>
      shell().publish(topic, message, callOptions),
  };
  return client as Client;
}

function isDescriptor(value: GenServiceLike | CallOptions | undefined): value is GenServiceLike {
  return value !== undefined && "kind" in value && value.kind === "service" && "method" in value;
}
