import type { Clock } from "../../clock.ts";
import { MicroError, errors } from "../../errors.ts";
import type { CallHandler } from "../../protocol.ts";
import type { HttpRoute } from "../../server.ts";
import type { BrowserRule } from "../../wire/http/browser.ts";
import { refuse } from "../common/routes.ts";
import { id } from "./headers.ts";

export interface CallRouteOptions {
  readonly calls: CallHandler;
  readonly rule: BrowserRule;
  readonly maxBody: number;
  readonly clock: Clock;
}

/**
 * Calls as plain HTTP: `POST /greeter/Greeter.Hello`, `/greeter/Greeter/Hello` or `/Greeter.Hello` with the request as the body. Server
 * streams answer with a message a line, or with events for those who accept them; client and bidi streams take a message a line.
 */
export function callRoute(options: CallRouteOptions): HttpRoute {
  const { calls, rule } = options;
  return {
    name: "calls",
    match: (_method, path) => findCall(calls, path) !== undefined,
    async handle(exchange) {
      const { method, headers, path } = exchange;
      const answer = rule.admit(headers);
      const found = findCall(calls, path) as Found;
      try {
        if (method !== "POST") throw errors.methodNotAllowed(id, `${method} ${path}: calls are made with POST`);
        const { serveCall } = await import("./call.ts");
        await serveCall(options, exchange, found, answer);
      } catch (error) {
        const more = method === "POST" ? {} : { allow: "POST" };
        refuse(exchange, MicroError.from(error, id), { ...more, ...answer(more) });
      }
    },
  };
}

/** A call that a path means. */
export interface Found {
  readonly service: string;
  readonly endpoint: string;
}

/** The endpoint that a path names, in its spelling or in one with small first letters; none for a path that means another service. */
function findCall(calls: CallHandler, path: string): Found | undefined {
  const parts = path.slice(1).split("/");
  if (parts.length > 3 || path.length > 512) return undefined;
  const service = parts.length > 1 ? decoded(parts[0] as string) : "";
  if (service !== "" && service !== (calls.service ?? service)) return undefined;
  const name = parts.length === 3 ? `${parts[1]}.${parts[2]}` : (parts.at(-1) as string);
  const endpoint = decoded(name);
  if (calls.kindOf(endpoint) !== undefined) return { service, endpoint };
  const upper = endpoint.replace(/(^|\.)[a-z]/g, (letter) => letter.toUpperCase());
  return calls.kindOf(upper) === undefined ? undefined : { service, endpoint: upper };
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
