import { errors } from "../../errors.ts";
import type { HttpApp, HttpRoute, HttpServiceOptions } from "../../server.ts";

/** What the option `http` says, however short; undefined when plain HTTP is off. */
export function httpServiceOptions(
  option: boolean | HttpApp | HttpServiceOptions | undefined,
): HttpServiceOptions | undefined {
  if (option === undefined || option === true) return {};
  if (option === false) return undefined;
  return typeof option === "function" || "routing" in option ? { app: option } : option;
}

/** Gives every request to a web app. */
export async function appRoute({ app, upgrade }: HttpServiceOptions): Promise<HttpRoute | undefined> {
  if (app === undefined && upgrade === undefined) return undefined;
  if (typeof app === "object") await app.ready();
  const handler = typeof app === "object" ? app.routing : app;
  return {
    name: "app",
    match: () => true,
    async handle({ node, method, path }) {
      if (handler === undefined) throw errors.notFound("go.micro.server", `${method} ${path}: nothing is served here`);
      if (node === undefined) throw errors.unsupported("go.micro.server", "web apps are served over HTTP/1.1");
      await handler(node.request, node.response);
    },
    ...(upgrade === undefined ? {} : { upgrade }),
  };
}
