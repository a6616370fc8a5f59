import { expect, it } from "vitest";

it("the guard of a service does nothing in the processes that the service starts itself", async () => {
  const open = (): string[] => process.getActiveResourcesInfo();
  const before = open();
  expect(process.env["MICRO_RUN_LIFELINE"]).toBeUndefined();
  await import("../src/run/guard.ts");
  expect(open()).toEqual(before);
});
