import { describe, expect, it } from "vitest";
import { defineSuite, eventually, within, type Runner } from "../../src/testing/suite.ts";

/** A runner that keeps what was registered, to be run by hand. */
function keeping(): Runner & { tests: Map<string, () => Promise<void> | void> } {
  const tests = new Map<string, () => Promise<void> | void>();
  return { tests, describe: (_, fn) => fn(), it: (name, fn) => void tests.set(name, fn) };
}

const promises = {
  "is kept": () => {},
  "is broken": () => {
    throw new Error("broken");
  },
};

describe("defineSuite", () => {
  it("runs each promise on a fixture of its own and tears it down, kept or broken", async () => {
    const t = keeping();
    const torn: number[] = [];
    let made = 0;
    defineSuite(t, { name: "s", setup: () => ++made, teardown: (n) => void torn.push(n), promises });
    await t.tests.get("is kept")?.();
    await expect(t.tests.get("is broken")?.()).rejects.toThrow("broken");
    expect(torn).toEqual([1, 2]);
  });

  it("fails a promise whose teardown finds something open", async () => {
    const t = keeping();
    const teardown = (): void => {
      throw new Error("left open");
    };
    defineSuite(t, { name: "s", setup: () => 0, teardown, promises });
    await expect(t.tests.get("is kept")?.()).rejects.toThrow("left open");
    await expect(t.tests.get("is broken")?.()).rejects.toThrow("broken");
  });

  it("passes a skip whose promise is broken and fails one whose promise is kept", async () => {
    const t = keeping();
    defineSuite(t, { name: "s", setup: () => 0, promises, skip: { "is kept": "old", "is broken": "a reason" } });
    await t.tests.get("skipped (a reason): is broken")?.();
    await expect(t.tests.get("skipped (old): is kept")?.()).rejects.toThrow("remove its skip");
  });

  it("fails a skip that names no promise", () => {
    const t = keeping();
    const skip = { "is gone": "a reason" } as Partial<Record<keyof typeof promises, string>>;
    defineSuite(t, { name: "s", setup: () => 0, promises, skip });
    expect(() => t.tests.get("stale skip: is gone")?.()).toThrow("no promise");
  });
});

describe("waiting in suites", () => {
  it("within gives the value, the error, or says what was late", async () => {
    await expect(within(Promise.resolve(1), "x")).resolves.toBe(1);
    await expect(within(Promise.reject(new Error("no")), "x")).rejects.toThrow("no");
    await expect(within(new Promise(() => {}), "the end of days", 5)).rejects.toThrow("the end of days");
  });

  it("eventually gives the first truthy value, or says what was late", async () => {
    let n = 0;
    expect(await eventually(() => ++n > 2 && n, "three")).toBe(3);
    await expect(eventually(() => false, "the end of days", 5)).rejects.toThrow("the end of days");
  });
});
