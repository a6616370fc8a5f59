import { expect, it } from "vitest";
import { memoryLogger } from "../../src/logger/memory.ts";
import { noopLogger } from "../../src/logger/noop.ts";

it("the memory logger keeps records as they were logged, its children's too, oldest out at the limit", () => {
  const log = memoryLogger({ limit: 2, now: () => 7 });
  const child = log.child({ a: 1 });
  log.trace("first");
  child.info("second", { b: 2 });
  log.fatal("third");
  expect(log.records).toEqual([
    { level: "info", message: "second", fields: { a: 1, b: 2 }, time: 7 },
    { level: "fatal", message: "third", fields: {}, time: 7 },
  ]);
  log.clear();
  expect(log.records).toEqual([]);
  child.debug("after");
  expect(log.records).toHaveLength(1);
});

it("the memory logger heeds its level", () => {
  const log = memoryLogger({ level: "warn" });
  log.info("no");
  log.warn("yes");
  expect(log.records.map((record) => record.message)).toEqual(["yes"]);
});

it("the noop logger says nothing at any level", () => {
  const log = noopLogger();
  expect(log.enabled("fatal")).toBe(false);
  expect(log.child({ a: 1 })).toBe(log);
});
