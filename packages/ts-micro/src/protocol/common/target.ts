/** What a path of gRPC names. */
export interface Target {
  /** What stood before the group, if anything: a protobuf package or a service's name. */
  readonly service: string;
  /** `Greeter.Hello` */
  readonly endpoint: string;
}

const path = /^\/(?:([^/]+)\.)?([\w-]+)\/([\w$-]+)$/;

/** The endpoint of `/Greeter/Hello`, `/greeter.Greeter/Hello`: of the first part its last component counts (wire spec §4.1). */
export function targetOf(text: string): Target | undefined {
  const found = path.exec(text);
  return found === null ? undefined : { service: found[1] ?? "", endpoint: `${found[2]}.${found[3]}` };
}
