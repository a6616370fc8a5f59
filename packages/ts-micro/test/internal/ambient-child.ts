// What a caller's storages and contexts look like before, in and after a handler in process: prints it as JSON.
import { AsyncLocalStorage } from "node:async_hooks";
import { createService } from "../../src/index.ts";
import { memoryRegistry } from "../../src/registry/memory.ts";

const users = new AsyncLocalStorage<string>();
const service = createService({
  name: "child",
  registry: memoryRegistry(),
  address: "127.0.0.1:0",
  env: false,
  logLevel: "error",
});
const typed = service.handle("Probe", {
  seen: (_: object, ctx): { tenant: string | null; user: string | null } => {
    return { tenant: ctx.metadata.get("X-Tenant") ?? null, user: users.getStore() ?? null };
  },
  outer: async (): Promise<{ tenant: string | null; user: string | null }> =>
    service.client.service<{ name: "child" } & typeof typed>("child").Probe.seen({}),
});
await service.start();
const { Probe } = service.client.service<typeof typed>("child");
const options = { metadata: { "X-Tenant": "acme" } };
await Probe.seen({});
const replies = await users.run("ada", async () => [await Probe.seen({}, options), await Probe.outer({}, options)]);
process.stdout.write(JSON.stringify([...replies, await Probe.outer({}), users.getStore() ?? null]));
await service.stop();
