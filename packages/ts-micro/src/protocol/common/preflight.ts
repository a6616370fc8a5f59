import type { HttpRoute } from "../../server.ts";
import type { BrowserRule } from "../../wire/http/browser.ts";

/** Answers the preflights of pages that may call, whatever is behind it. */
export function preflightRoute(rule: BrowserRule): HttpRoute {
  return {
    name: "preflight",
    match: (method, _, headers) => rule.preflight(method, headers) !== undefined,
    async handle(exchange) {
      exchange.head(204, rule.preflight(exchange.method, exchange.headers) ?? {});
      exchange.end();
    },
  };
}
