import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, it } from "vitest";

it.each(["after", "before", "instead of"])(
  "a protocol that throws %s failing a call settles it once, and keeps no process",
  async (when) => {
    const program = fileURLToPath(new URL("faulty-protocol.ts", import.meta.url));
    const args = ["--import", "tsx", program, when];
    const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: 30_000 });
    const lost = "CONNECTION_LOST";
    expect(JSON.parse(stdout)).toEqual({ said: [lost, lost, lost, "CANCELLED"], directly: 2, ended: 6 });
  },
);
