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

/** What a path of gRPC, gRPC-Web or Connect names. */
export interface Target {
  /** What stands before the struct, if anything: a service's name as Go has it, or a protobuf package. */
  readonly service: string;
  /** `Greeter.Hello` */
  readonly endpoint: string;
}

/** What a path names: of its first part the last component is the struct. Undefined for a path of another form. */
export function targetOf(path: string): Target | undefined {
  const slash = path.indexOf("/", 1);
  if (path[0] !== "/" || slash < 2 || slash === path.length - 1 || /[/.]/.test(path.slice(slash + 1))) return undefined;
  const dot = path.lastIndexOf(".", slash);
  const struct = path.slice(dot + 1 || 1, slash);
  if (struct === "") return undefined;
  return { service: dot < 0 ? "" : path.slice(1, dot), endpoint: `${struct}.${path.slice(slash + 1)}` };
}
