import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, it } from "vitest";
import { createService, endpoint } from "../../src/index.ts";
import { memoryRegistry } from "../../src/registry/memory.ts";

it("streams that nobody reads any more do not keep a process once they are over", async () => {
  await using service = createService({
    name: "feed",
    registry: memoryRegistry(),
    address: "127.0.0.1:0",
    env: false,
    logLevel: "fatal",
    settle: 0,
  }).handle("Feed", {
    async *count({ to }: { to: number }) {
      for (let n = 1; n <= to; n++) yield { n };
    },
    echo: endpoint({ stream: "bidi" }, async function* (messages) {
      for await (const message of messages) yield message;
    }),
  });
  await service.start();
  const program = fileURLToPath(new URL("abandoned.ts", import.meta.url));
  const args = ["--import", "tsx", program, service.server.address];
  const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: 15_000 });
  expect(stdout).toBe("done\n");
});
