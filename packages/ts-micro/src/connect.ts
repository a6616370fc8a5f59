import { assemble, clientOptions, type ClientDefaults, type ComponentOptions } from "./assemble.ts";
import type { Client } from "./client.ts";
import { clientHandle } from "./client/handle.ts";

/** Options of {@link createClient}. */
export interface ClientOptions extends ComponentOptions, ClientDefaults {}

/**
 * A client for services found by name. It connects as calls need it and keeps the process alive only while something is pending; `close`
 * lets go of its connections earlier.
 */
export function createClient(options: ClientOptions = {}): Client {
  const parts = assemble(options, {}, options);
  return clientHandle(
    clientOptions(parts, options),
    () => parts.start(),
    () => parts.close(),
  );
}
