import { describe, expect, it } from "vitest";
import { driver, noopLogger } from "../../src/logger/noop.ts";

describe("noop logger", () => {
  it("writes nothing, says so, and has children like any other", () => {
    const logger = noopLogger();
    expect(["trace", "info", "fatal"].map((level) => logger.enabled(level as "info"))).toEqual([false, false, false]);
    expect(logger.child({ a: 1 }).enabled("error")).toBe(false);
    expect(() => logger.fatal("nothing happens")).not.toThrow();
    expect(driver.fromAddress(undefined, {})).toBe(logger);
  });
});
