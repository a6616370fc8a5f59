import { expect, it } from "vitest";
import { createService } from "../../src/index.ts";
import { httpBroker } from "../../src/broker/http.ts";
import { memoryBroker } from "../../src/broker/memory.ts";
import type { Broker } from "../../src/broker.ts";
import { memoryLogger } from "../../src/logger/memory.ts";
import type { Registry } from "../../src/registry.ts";
import { memoryRegistry } from "../../src/registry/memory.ts";
import { eventually } from "../../src/testing/suite.ts";

it.each<[string, (registry: Registry) => Broker]>([
  ["http", (registry) => httpBroker({ registry, address: "127.0.0.1:0" })],
  ["memory", () => memoryBroker()],
])("a subscriber's fault is logged once (%s broker), one of the broker's own users too", async (_, make) => {
  const registry = memoryRegistry();
  const logger = memoryLogger();
  await using broker = make(registry);
  await using service = createService({
    name: "news",
    registry,
    broker,
    logger,
    env: false,
    address: "127.0.0.1:0",
    settle: 0,
  });
  service.subscribe("orders", () => {
    throw new Error("no such table");
  });
  await service.start();
  await service.broker.subscribe("bare", () => Promise.reject(new Error("no such column")));
  await service.publish("orders", { id: 1 });
  await service.publish("bare", { id: 1 });
  const lines = (): string[] =>
    logger.records.filter(({ level }) => level === "error" || level === "warn").map(({ message }) => message);
  await eventually(() => lines().some((line) => line.includes("no such column")), "the last fault");
  await eventually(() => lines().some((line) => line.includes("no such table")), "the first fault");
  await service.stop();
  expect(lines().toSorted()).toEqual([
    `broker ${broker.name}: no such column`,
    "subscriber Func of orders failed: no such table",
  ]);
});
