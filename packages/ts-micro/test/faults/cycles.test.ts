import { getActiveResourcesInfo } from "node:process";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { expect, it } from "vitest";
import { createClient, createService } from "../../src/index.ts";
import { memoryRegistry } from "../../src/registry/memory.ts";

const cycles = 2000;

setFlagsFromString("--expose-gc");
const gc = runInNewContext("gc") as () => void;

async function cycle(): Promise<void> {
  const registry = memoryRegistry();
  const service = createService({
    name: "short",
    registry,
    address: "127.0.0.1:0",
    settle: 0,
    logLevel: "fatal",
    env: false,
  }).handle("Short", {
    hello: () => ({}),
    async *count() {
      yield 1;
      yield 2;
    },
  });
  await service.start();
  const client = createClient({ registry, env: false, logLevel: "fatal" });
  const short = client.service<typeof service>("short").Short;
  await short.hello();
  for await (const n of short.count()) if (n === 1) break;
  await client.close();
  await service.stop();
  await registry.close();
}

function facts(): { heap: number; resources: number; listeners: number } {
  gc();
  gc();
  return {
    heap: process.memoryUsage().heapUsed,
    resources: getActiveResourcesInfo().length,
    listeners: process.eventNames().reduce((sum, name) => sum + process.listenerCount(name), 0),
  };
}

it(
  `${cycles} services and clients made, used and closed leave heap, handles and listeners as they were`,
  { timeout: 240_000 },
  async () => {
    // Code and caches warm up.
    for (let i = 0; i < 1000; i++) await cycle();
    const before = facts();
    for (let i = 0; i < cycles; i++) await cycle();
    await new Promise((resolve) => setTimeout(resolve, 200));
    const after = facts();
    expect(after.resources).toBeLessThanOrEqual(before.resources + 2);
    expect(after.listeners).toBe(before.listeners);
    // 1 KiB a cycle would be a leak of anything that matters.
    expect(after.heap - before.heap).toBeLessThan(cycles * 1024);
  },
);
