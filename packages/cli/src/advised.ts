import { errors, isMicroError, type Kind } from "ts-micro";
import { Advice } from "./failure.ts";
import type { Session } from "./session.ts";
import { hint } from "./similar.ts";
import type { Target } from "./target.ts";

/** What calls endpoints of each kind. */
const commands: Readonly<Record<string, string>> = {
  unary: "micro call TARGET '{…}'",
  server: "micro stream server TARGET '{…}'",
  client: "micro stream client TARGET '{…}' '{…}'",
  bidi: "micro stream bidi TARGET '{…}' '{…}'",
};

/**
 * Does `work`, unless the endpoint is known to be a stream of another kind than `kind`: no service notices that, and replies would be lost or
 * waited for in vain. Then, and when a service refuses a call as a stream or a stream as a call, the failure names the command to use; when
 * it has no such endpoint, those that are called alike.
 */
export async function advised<T>(session: Session, kind: Kind, target: Target, work: () => Promise<T>): Promise<T> {
  const name = `${target.service} ${target.endpoint}`;
  const use = (is: string | undefined, cause: Error): Error => {
    const command = commands[is ?? ""];
    return command === undefined ? cause : new Advice(`use: ${command.replace("TARGET", name)}`, { cause });
  };
  if (kind !== "unary") {
    const is = (await endpointsOf(session, target)).get(target.endpoint)?.["kind"];
    if (is !== undefined && is !== "unary" && is !== kind)
      throw use(is, errors.methodNotAllowed("ts-micro-cli", `${name} is a ${is} stream`));
  }
  try {
    return await work();
  } catch (error) {
    if (!isMicroError(error)) throw error;
    if (error.code !== "METHOD_NOT_ALLOWED" && error.code !== "NOT_FOUND") throw error;
    const endpoints = await endpointsOf(session, target);
    const known = endpoints.get(target.endpoint);
    if (error.code === "NOT_FOUND") {
      // A handler that finds no row says NOT_FOUND too.
      const alike = known === undefined ? hintOf(target.endpoint, [...endpoints.keys()]) : "";
      throw alike === "" ? error : new Advice(`${target.service} has no ${target.endpoint}${alike}`, { cause: error });
    }
    throw use(known?.["kind"] ?? (known !== undefined && known["stream"] === undefined ? "unary" : ""), error);
  }
}

/** Of endpoints of one group the methods are compared: the group alone makes them all alike. */
function hintOf(endpoint: string, names: readonly string[]): string {
  const group = endpoint.slice(0, endpoint.indexOf(".") + 1).toLowerCase();
  const inGroup = names.filter((name) => name.toLowerCase().startsWith(group));
  if (group === "" || inGroup.length === 0) return hint(endpoint, names);
  const methods = new Map(inGroup.map((name) => [name.slice(group.length), name]));
  return hint(endpoint.slice(group.length), methods.keys(), (method) => methods.get(method) ?? method);
}

/** What the service's records say of its endpoints, by name. */
async function endpointsOf(
  { registry }: Session,
  { service }: Target,
): Promise<Map<string, Readonly<Record<string, string>>>> {
  const records = await registry.getService(service).catch(() => []);
  // Of several records the first one counts.
  const all = records.flatMap((record) => record.endpoints).toReversed();
  return new Map(all.map(({ name, metadata }) => [name, metadata]));
}
