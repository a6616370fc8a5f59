// A process that does one thing with a client and has to end by itself.
import { setTimeout as delay } from "node:timers/promises";
import { createClient, createService, type ClientInterceptor } from "../../src/index.ts";
import { memoryRegistry } from "../../src/registry/memory.ts";

const say = (line: string): void => void process.stdout.write(`${line}\n`);
const registry = memoryRegistry();
const shared = { registry, env: false as const, logLevel: "fatal" as const };

if (process.argv[2] === "publish") {
  const { close } = registry;
  const slow = Object.assign(memoryRegistry(), {
    watch: (...args: Parameters<typeof registry.watch>) => {
      const watcher = registry.watch(...args);
      const end = watcher.close.bind(watcher);
      // As a registry does that asks its own things when it is left: nothing of it keeps the process.
      return Object.assign(watcher, { close: () => delay(300, undefined, { ref: false }).then(end) });
    },
    close: close.bind(registry),
  });
  const client = createClient({ ...shared, registry: slow });
  await client.publish("topic", {});
  await client.close();
  say("closed");
} else if (process.argv[2] === "interceptor") {
  const service = createService({ ...shared, name: "there", settle: 0 }).handle("A", { b: () => ({}) });
  await service.start();
  const patient: ClientInterceptor = async (call, next) => {
    // Nothing but the call keeps the process.
    await delay(100, undefined, { ref: false });
    return next(call);
  };
  const client = createClient({ ...shared, interceptors: [patient] });
  await client.call("there", "A.B", {});
  say("settled");
  await client.close();
  await service.stop();
} else {
  const service = createService({ ...shared, name: "there", address: "127.0.0.1:0", settle: 0 });
  service.handle("A", { b: () => ({}) });
  await service.start();
  const client = createClient(shared);
  await client.call("there", "A.B", {});
  process.once("unhandledRejection", () => {
    say("unhandled");
    void client.close().then(() => service.stop());
  });
  if (process.argv[2] === "service") void client.call("nope", "A.B", {});
  else void client.call("there", "A.B", {}, { address: "127.0.0.1:1" });
}
