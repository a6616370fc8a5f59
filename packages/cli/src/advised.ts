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
 * waited for in vain. A failure because it is of another kind names the command to use; one because there is none, the endpoints that there are.
 */
export async function advised<T>(session: Session, kind: Kind, target: Target, work: () => Promise<T>): Promise<T> {
  const name = `${target.service} ${target.endpoint}`;
  const of = async (): Promise<Endpoints> => endpointsOf(session, target.service);
  const use = (is: string | undefined, cause: Error): Error => {
    const command = commands[is ?? ""];
    return command === undefined ? cause : new Advice(`use: ${command.replace("TARGET", name)}`, { cause });
  };
  if (kind !== "unary") {
    const is = (await of()).get(target.endpoint)?.["kind"];
    if (is !== undefined && is !== "unary" && is !== kind)
      throw use(is, errors.methodNotAllowed("ts-micro-cli", `${name} is a ${is} stream`));
  }
  try {
    return await work();
  } catch (error) {
    if (!isMicroError(error)) throw error;
    if (error.code === "METHOD_NOT_ALLOWED") {
      const known = (await of()).get(target.endpoint);
      throw use(known?.["kind"] ?? (known !== undefined && known["stream"] === undefined ? "unary" : ""), error);
    }
    if (!missing.test(error.detail)) throw error;
    const names = [...(await of()).keys()];
    if (names.length === 0) throw error;
    throw new Advice(`${target.service} has ${names.join(", ")}${hint(target.endpoint, names)}`, { cause: error });
  }
}

/** A router's words for an endpoint that it has not, as Go has them. */
const missing = /can't find (?:method|service) /;

/** By name, what its records say of each endpoint of a service. */
type Endpoints = ReadonlyMap<string, Readonly<Record<string, string>>>;

async function endpointsOf({ registry }: Session, service: string): Promise<Endpoints> {
  const records = await registry.getService(service).catch(() => []);
  return new Map(records.flatMap(({ endpoints }) => endpoints.map(({ name, metadata }) => [name, metadata])));
}
