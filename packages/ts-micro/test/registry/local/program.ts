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
  switch (order.do) {
    case "register":
      return registry.register(order.record);
    case "deregister":
      return registry.deregister(order.record);
    case "list":
      return (await registry.listServices()).flatMap(({ nodes }) => nodes.map(({ id }) => id)).sort();
    case "watch": {
      const watcher = registry.watch({ background: true });
      await watcher.ready;
      void (async () => {
        for await (const { action, service } of watcher)
          for (const { id } of service.nodes) process.send?.({ event: `${action} ${id}` });
      })();
      return undefined;
    }
    case "close":
      return registry.close();
  }
}

process.on("disconnect", () => process.exit());
process.on("message", (message: { id: number; order: Order }) => {
  obey(message.order).then(
    (result) => process.send?.({ id: message.id, result }),
    (error: unknown) => process.send?.({ id: message.id, error: String(error) }),
  );
});
process.send?.({ ready: true });
