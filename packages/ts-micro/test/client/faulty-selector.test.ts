import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, it } from "vitest";
import { createService, endpoint } from "../../src/index.ts";
import { memoryRegistry } from "../../src/registry/memory.ts";

it("a selector that throws, rejects or gives nothing fails its calls by name, and keeps no process", async () => {
  await using service = createService({
    name: "s",
    registry: memoryRegistry(),
    address: "127.0.0.1:0",
    env: false,
    logLevel: "fatal",
    settle: 0,
  }).handle("S", {
    hello: () => ({}),
    feed: endpoint({ stream: "server" }, async function* () {
      yield {};
    }),
  });
  await service.start();
  const program = fileURLToPath(new URL("faulty-selector.ts", import.meta.url));
  const args = ["--import", "tsx", program, service.server.address];
  const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: 30_000 });
  const { warning, ...said } = JSON.parse(stdout) as Record<string, string>;
  const expected = (way: string): string => {
    if (way.startsWith("select throws")) return "INTERNAL selector faulty: select: out of order";
    if (way.startsWith("select rejects"))
      return "INTERNAL selector faulty: select: gave a promise, not one of the nodes";
    if (way.startsWith("select gives")) return "INTERNAL selector faulty: select: gave undefined, not one of the nodes";
    if (way.startsWith("started throws")) return "INTERNAL selector faulty: started: out of order";
    // Nobody waits for what a selector does on the side, and the outcome of a call stands.
    return "well";
  };
  expect(said).toEqual(Object.fromEntries(Object.keys(said).map((way) => [way, expected(way)])));
  expect(Object.keys(said).length).toBe(7 * 2 * 7);
  expect(warning).toMatch(/selector faulty: \w+: out of order/);
  expect(service.server.stats.inFlight).toBe(0);
});
