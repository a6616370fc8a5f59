import { describe, it } from "vitest";
import type { Broker } from "../../src/broker.ts";
import { httpBroker } from "../../src/broker/http.ts";
import type { Registry } from "../../src/registry.ts";
import { memoryRegistry, memoryWorld } from "../../src/registry/memory.ts";
import { brokerSuite } from "../../src/testing/broker.ts";

brokerSuite(
  { describe, it },
  {
    name: "http",
    create: () => {
      const world = memoryWorld();
      const opened: { broker: Broker; registry: Registry }[] = [];
      return {
        connect() {
          const registry = memoryRegistry({ world });
          const broker = httpBroker({ registry, address: "127.0.0.1:0" });
          opened.push({ broker, registry });
          return broker;
        },
        // Watch events are delivered in turns of the loop.
        async settled() {
          for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
        },
        async close() {
          await Promise.all(opened.map(({ broker }) => broker.close()));
          const left = await opened[0]?.registry.getService("micro.http.broker");
          await Promise.all(opened.map(({ registry }) => registry.close()));
          if (left !== undefined && left.length > 0) throw new Error(`left in the registry: ${JSON.stringify(left)}`);
        },
      };
    },
  },
);
