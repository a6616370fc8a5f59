import type { Protocol } from "../../protocol.ts";
import type { HttpApp, HttpRoute, HttpServiceOptions } from "../../server.ts";
import { appRoute, httpServiceOptions } from "./app.ts";
import { healthRoutes, metricsRoute, type StatusSource } from "./status.ts";

/** What the option `http` makes of a server. */
export interface HttpParts {
  readonly protocols: readonly [Protocol, ...Protocol[]];
  readonly advertised: Protocol;
  readonly routes: readonly HttpRoute[];
  readonly fallback: HttpRoute | undefined;
}

/** `alone`: the service has no endpoints. Then a web app is all it is, and its node says `protocol=http`, as Go's http server does (wire spec §13.7). */
export async function httpParts(
  option: boolean | HttpApp | HttpServiceOptions | undefined,
  protocols: readonly [Protocol, ...Protocol[]],
  alone: boolean,
  source: StatusSource,
): Promise<HttpParts> {
  const [first, ...others] = protocols;
  const options = httpServiceOptions(option);
  const http = protocols.find(({ name }) => name === "http");
  // What every Go client can call is what the node says first; the others are marks beside it.
  const called = protocols.find((each) => each.acceptor !== undefined || each.listen !== undefined);
  const usual = protocols.find(({ name }) => name === "mucp") ?? called ?? first;
  if (options === undefined || http === undefined) {
    const left = others.filter((protocol) => protocol !== http);
    return { protocols: [first, ...left], advertised: usual, routes: [], fallback: undefined };
  }
  const fallback = await appRoute(options);
  return {
    protocols,
    advertised: alone && fallback !== undefined ? http : usual,
    routes: [
      ...(options.health === false ? [] : healthRoutes(source)),
      ...(options.metrics === false ? [] : [metricsRoute(source)]),
    ],
    fallback,
  };
}
