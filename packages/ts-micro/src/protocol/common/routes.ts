import { errors, fromUnknown, type MicroError } from "../../errors.ts";
import type { HttpExchange, HttpRoute } from "../../server.ts";
import { encodeError } from "../../wire/error.ts";
import { H } from "../../wire/headers.ts";

const id = "go.micro.server";

/** An exchange that knows whether its answer has begun. */
export interface Served extends HttpExchange {
  readonly begun: boolean;
}

/** Gives a request to the first route that wants it; whatever happens there, it is answered or cut off. */
export async function serveRoutes(routes: readonly HttpRoute[], exchange: Served): Promise<void> {
  const { method, path, headers } = exchange;
  try {
    if (path === "" || method === "CONNECT") throw errors.methodNotAllowed(id, `${method} is for proxies`);
    const route = routes.find((each) => each.match(method, path, headers));
    if (route === undefined) throw errors.notFound(id, `${method} ${path.slice(0, 1024)}: nothing is served here`);
    await route.handle(exchange);
  } catch (error) {
    if (exchange.begun) exchange.abort();
    else refuse(exchange, fromUnknown(error, id));
  }
}

/** Answers with an error: its status, and Go's `{id, code, detail, status}` as the body (wire spec §11). */
export function refuse(
  exchange: HttpExchange,
  error: MicroError,
  more: Readonly<Record<string, string>> = {},
  text: string = encodeError(error),
): void {
  const body = Buffer.from(text.startsWith("{") ? text : JSON.stringify({ detail: text }));
  exchange.head(error.status >= 400 && error.status <= 599 ? error.status : 500, {
    "content-type": "application/json",
    "content-length": String(body.length),
    ...(error.refused ? { [H.refused]: "1" } : {}),
    ...more,
  });
  exchange.end(body);
}
