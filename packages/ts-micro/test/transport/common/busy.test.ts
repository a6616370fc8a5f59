import { expect, it } from "vitest";
import { Busyness } from "../../../src/transport/common/busy.ts";

it("counts messages until they are answered, and no answer more", () => {
  const busy = new Busyness();
  busy.received();
  busy.received();
  expect([busy.idle, busy.pending]).toEqual([false, 2]);
  busy.sent();
  busy.sent();
  busy.sent();
  expect([busy.idle, busy.pending]).toEqual([true, 0]);
  busy.received();
  expect(busy.pending).toBe(1);
});

it("leaves the count to an owner that says yes, until it says no", () => {
  const busy = new Busyness();
  busy.received();
  busy.set(true);
  busy.received();
  expect([busy.idle, busy.pending]).toEqual([false, 0]);
  busy.set(false);
  expect([busy.idle, busy.pending]).toEqual([true, 0]);
});
