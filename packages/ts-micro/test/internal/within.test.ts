import { expect, it } from "vitest";
import { within } from "../../src/internal/within.ts";
import { virtualClock } from "../../src/testing/clock.ts";

const never = new Promise<string>(() => {});

it("waits for what settles in time, and leaves no timer", async () => {
  const clock = virtualClock();
  const none = (): never => expect.fail("late");
  expect(await within(clock, 10, Promise.resolve("done"), none)).toBe("done");
  await expect(within(clock, 10, Promise.reject(new Error("failed")), none)).rejects.toThrow("failed");
  expect(clock.pending()).toBe(0);
});

it("gives what `late` says, or throws", async () => {
  const clock = virtualClock();
  const late = [
    within(clock, 10, never, () => "late"),
    within(clock, 10, never, () => {
      throw new Error("too late");
    }),
  ];
  const seen = Promise.allSettled(late);
  await clock.advance(10);
  expect(await seen).toEqual([
    { status: "fulfilled", value: "late" },
    { status: "rejected", reason: new Error("too late") },
  ]);
});

it("waits for as long as it takes when there is no limit", async () => {
  const clock = virtualClock();
  let finish = (): void => {};
  const work = new Promise<string>((resolve) => (finish = () => resolve("done")));
  const waiting = within(clock, Infinity, work, () => "late");
  await clock.advance(2 ** 31);
  finish();
  expect(await waiting).toBe("done");
});
