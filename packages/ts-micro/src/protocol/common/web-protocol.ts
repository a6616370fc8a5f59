import { systemClock, type Clock } from "../../clock.ts";
import { errors } from "../../errors.ts";
import { filled } from "../../internal/filled.ts";
import type { CallHandler, Protocol } from "../../protocol.ts";
import type { HttpExchange, HttpRoute } from "../../server.ts";
import { targetOf, type Target } from "../../wire/grpc/path.ts";
import { browserRule, type CorsOptions, type Headers } from "../../wire/http/browser.ts";
import { preflightRoute } from "./preflight.ts";
import type { WebSetup } from "./web-call.ts";

export interface WebProtocolOptions {
  /** Web pages that may call. Default: none. */
  cors?: CorsOptions | undefined;
  /** Longest message in either direction, decompressed, in bytes. Default 4 MiB. */
  maxMessageSize?: number | undefined;
  clock?: Clock | undefined;
}

/** A protocol that strangers call over HTTP, without a client of ours. What answers is loaded with the first request. */
export function webProtocol(of: {
  readonly name: string;
  readonly options: WebProtocolOptions;
  match(method: string, target: Target, headers: Headers, calls: CallHandler): boolean;
  load(): Promise<(exchange: HttpExchange, target: Target, setup: WebSetup) => Promise<void>>;
}): Protocol {
  const { name, options } = of;
  const browsers = browserRule(options.cors);
  const { clock = systemClock, maxMessageSize = 4 << 20 } = options;
  const close = async (): Promise<void> => {};
  const protocol: Protocol = {
    name,
    metadata: { protocol: name, transport: "http", server: name },
    start: close,
    withDefaults(defaults) {
      const { cors, maxMessageSize: longest } = defaults;
      const more = filled(options, { cors, maxMessageSize: longest, clock: defaults.clock });
      return more === undefined ? protocol : webProtocol({ ...of, options: more });
    },
    speaks: () => false,
    dial() {
      throw errors.unsupported("go.micro.client", `${name} is for callers that are not ours: nodes are called by mucp`);
    },
    routes: (calls): readonly HttpRoute[] => {
      const setup: WebSetup = { calls, clock, browsers, maxMessageSize };
      return [
        preflightRoute(browsers),
        {
          name,
          match(method, path, headers) {
            const target = targetOf(path);
            return target !== undefined && of.match(method, target, headers, calls);
          },
          async handle(exchange) {
            const answer = await of.load();
            await answer(exchange, targetOf(exchange.path) as Target, setup);
          },
        },
      ];
    },
    close,
    [Symbol.asyncDispose]: close,
  };
  return protocol;
}
