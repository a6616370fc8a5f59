import type { HttpRoute } from "../server.ts";
import { browserRule, type CorsOptions } from "../wire/http/browser.ts";

/** Answers the preflights of pages that may call, for every route behind it. */
export function preflightRoute(cors: CorsOptions): HttpRoute {
  const rule = browserRule(cors);
  return {
    name: "preflight",
    match: (method, _, headers) => rule.preflight(method, headers) !== undefined,
    async handle(exchange) {
      exchange.head(204, rule.preflight(exchange.method, exchange.headers) ?? {});
      exchange.end();
    },
  };
}
