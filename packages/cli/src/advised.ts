import { errors, isMicroError, type Kind } from "ts-micro";
import { Advice } from "./failure.ts";
import type { Session } from "./session.ts";
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
 * waited for in vain. Then, and when a service refuses a call as a stream or a stream as a call, the failure names the command to use.
 */
export async function advised<T>(session: Session, kind: Kind, target: Target, work: () => Promise<T>): Promise<T> {
  const name = `${target.service} ${target.endpoint}`;
  const use = (is: string | undefined, cause: Error): Error => {
    const command = commands[is ?? ""];
    return command === undefined ? cause : new Advice(`use: ${command.replace("TARGET", name)}`, { cause });
  };
  if (kind !== "unary") {
    const is = (await metadataOf(session, target))?.["kind"];
    if (is !== undefined && is !== "unary" && is !== kind)
      throw use(is, errors.methodNotAllowed("ts-micro-cli", `${name} is a ${is} stream`));
  }
  try {
    return await work();
  } catch (error) {
    if (!isMicroError(error) || error.code !== "METHOD_NOT_ALLOWED") throw error;
    const known = await metadataOf(session, target);
    throw use(known?.["kind"] ?? (known !== undefined && known["stream"] === undefined ? "unary" : ""), error);
  }
}

/** What its record says of an endpoint. */
async function metadataOf(
  { registry }: Session,
  { service, endpoint }: Target,
): Promise<Readonly<Record<string, string>> | undefined> {
  const records = await registry.getService(service).catch(() => []);
  return records.flatMap((record) => record.endpoints).find(({ name }) => name === endpoint)?.metadata;
}
