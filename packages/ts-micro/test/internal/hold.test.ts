import { expect, it, vi } from "vitest";
import { hold, release } from "../../src/internal/hold.ts";
import * as tick from "../../src/internal/tick.ts";

it("asks for the end of the turn once, however often it is let go in it", async () => {
  const asked = vi.spyOn(tick, "atTickEnd");
  for (let i = 0; i < 1000; i++) {
    hold();
    release();
    await Promise.resolve();
  }
  expect(asked.mock.calls.length).toBe(1);
});
