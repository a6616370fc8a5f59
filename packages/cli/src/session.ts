import { type Client, createService, type Registry } from "ts-micro";
import { type Invocation, UsageError } from "./command.ts";

/** What a command uses of the system. */
export interface Session {
  readonly client: Client;
  readonly registry: Registry;
}

/** Makes client and registry as environment and flags say, and closes them after `work`. */
export async function withSession<T>(invocation: Invocation, work: (session: Session) => Promise<T>): Promise<T> {
  // A service that is never started: it is the one who reads flags over the environment.
  const service = createService({ name: "ts-micro-cli", logLevel: "warn" });
  try {
    service.init({ argv: invocation.globals });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error), invocation.command);
  }
  try {
    return await work({ client: service.client, registry: service.registry });
  } finally {
    await service.stop();
  }
}
