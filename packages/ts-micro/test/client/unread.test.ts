import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, it } from "vitest";

it("a first call whose stream nobody reads rejects to nobody, one that is read to its reader", async () => {
  const program = fileURLToPath(new URL("unread.ts", import.meta.url));
  const args = ["--import", "tsx", program];
  const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: 15_000 });
  expect(stdout).toBe("read: NOT_FOUND\n");
});
