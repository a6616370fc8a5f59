import { localRegistry } from "../../../src/registry/local.ts";
import type { ServiceRecord } from "../../../src/registry.ts";

// A process of its own with one registry, told what to do over IPC: `{ id, do, … }` is answered with `{ id, … }`; events of its watch are sent.
export type Order =
  | { readonly do: "register"; readonly record: ServiceRecord }
  | { readonly do: "deregister"; readonly record: ServiceRecord }
  | { readonly do: "list" }
  | { readonly do: "watch" }
  | { readonly do: "close" };

const registry = localRegistry({ directory: process.argv[2] });

async function obey(order: Order): Promise<unknown> {
  if (order.do === "list") {
    const records = await registry.listServices();
    return records.flatMap(({ nodes }) => nodes.map(({ id }) => id)).sort();
  }
  if (order.do === "register") await registry.register(order.record);
  else if (order.do === "deregister") await registry.deregister(order.record);
  else if (order.do === "close") await registry.close();
  else await watch();
  return undefined;
}

async function watch(): Promise<void> {
  const watcher = registry.watch({ background: true });
  await watcher.ready;
  void (async () => {
    for await (const { action, service } of watcher)
      for (const { id } of service.nodes) process.send?.({ event: `${action} ${id}` });
  })();
}

process.on("disconnect", () => process.exit());
process.on("message", (message: { id: number; order: Order }) => {
  obey(message.order).then(
    (result) => process.send?.({ id: message.id, result }),
    (error: unknown) => process.send?.({ id: message.id, error: String(error) }),
  );
});
process.send?.({ ready: true });
