import { isMicroError } from "ts-micro";
import { Advice } from "./failure.ts";
import type { Session } from "./session.ts";

/** What calls endpoints of each kind. */
const commands: Readonly<Record<string, (target: string) => string>> = {
  unary: (target) => `micro call ${target} '{…}'`,
  server: (target) => `micro stream server ${target} '{…}'`,
  client: (target) => `micro stream client ${target} '{…}' '{…}'`,
  bidi: (target) => `micro stream bidi ${target} '{…}' '{…}'`,
};

/** Does `work`; when it fails because the endpoint is of another kind, the failure names the command for that. */
export async function advised<T>(
  { registry }: Session,
  service: string,
  endpoint: string,
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!isMicroError(error) || error.code !== "METHOD_NOT_ALLOWED") throw error;
    const records = await registry.getService(service).catch(() => []);
    const known = records.flatMap((record) => record.endpoints).find(({ name }) => name === endpoint);
    const kind =
      known?.metadata["kind"] ?? (known !== undefined && known.metadata["stream"] === undefined ? "unary" : "");
    const command = commands[kind]?.(`${service} ${endpoint}`);
    throw command === undefined ? error : new Advice(`use: ${command}`, { cause: error });
  }
}
