import { beforeAll, describe } from "vitest";
import { buildServer, hasCommand } from "./build.ts";

const required = process.env["TS_MICRO_REQUIRE_SERVERS"] === "1";

/** How long a first build may take, on a machine that has nothing. */
const BUILD_LIMIT_MS = 900_000;

/** The folder of a tool of `scripts/servers/`; waits for its build. */
export function toolPath(name: string): Promise<string> {
  return buildServer(name);
}

/** `describe` for tests that need a built server or tool; skipped loudly without `command`, a failure when TS_MICRO_REQUIRE_SERVERS=1. */
export function describeServer(name: string, command: string, body: () => void): void {
  const skip = !hasCommand(command) && !required;
  if (skip) console.warn(`SKIPPED, no ${command} on the path: ${name}`);
  // oxlint-disable-next-line vitest/valid-title -- the caller gives it
  describe(name, { skip }, () => {
    beforeAll(() => buildServer(name), BUILD_LIMIT_MS);
    body();
  });
}
