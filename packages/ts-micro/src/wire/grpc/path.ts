/**
 * The path of a call: `/greeter.Greeter/Hello` for the service `greeter` and `Greeter.Hello`, as Go does with its registry name (wire spec
 * §4.1). An endpoint that is a path stands as it is.
 */
export function callPath(service: string, endpoint: string): string {
  if (endpoint.startsWith("/")) return endpoint;
  const dot = endpoint.lastIndexOf(".");
  if (dot < 0) return `/${service}/${endpoint}`;
  const struct = endpoint.slice(0, dot);
  const method = endpoint.slice(dot + 1);
  return service === "" ? `/${struct}/${method}` : `/${service}.${struct}/${method}`;
}

/** The endpoint of a path: of its service only the last component counts. Undefined for a path of another form. */
export function endpointOf(path: string): string | undefined {
  const slash = path.indexOf("/", 1);
  if (path[0] !== "/" || slash < 2 || slash === path.length - 1 || path.includes("/", slash + 1)) return undefined;
  const struct = path.slice(path.lastIndexOf(".", slash) + 1 || 1, slash);
  return struct === "" ? undefined : `${struct}.${path.slice(slash + 1)}`;
}
