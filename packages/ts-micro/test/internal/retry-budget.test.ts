import { describe, expect, it } from "vitest";
import { RetryBudget } from "../../src/internal/retry-budget.ts";
import { virtualClock } from "../../src/testing/clock.ts";

describe("retry budget", () => {
  it("when every attempt fails, retries add at most a tenth to the load", async () => {
    const clock = virtualClock();
    const budget = new RetryBudget({ clock });
    let [calls, attempts] = [0, 0];
    for (let tick = 0; tick < 300; tick++) {
      for (let i = 0; i < 50; i++) {
        budget.request();
        calls++;
        attempts++;
        for (let retry = 0; retry < 5 && budget.retry(); retry++) attempts++;
      }
      await clock.advance(100);
    }
    expect(attempts / calls).toBeLessThanOrEqual(1.1);
    expect(attempts / calls).toBeGreaterThan(1.09);
  });

  it("a client that calls seldom may retry ten times in ten seconds", async () => {
    const clock = virtualClock();
    const budget = new RetryBudget({ clock });
    budget.request();
    for (let i = 0; i < 10; i++) expect(budget.retry()).toBe(true);
    expect(budget.retry()).toBe(false);
    expect(budget.left).toBe(0);
    await clock.advance(9_999);
    expect(budget.retry()).toBe(false);
    await clock.advance(1);
    expect(budget.left).toBe(10);
    expect(budget.retry()).toBe(true);
  });

  it("calls of a long quiet time buy no burst of retries", async () => {
    const clock = virtualClock();
    const budget = new RetryBudget({ clock });
    for (let i = 0; i < 100_000; i++) budget.request();
    await clock.advance(60_000);
    let granted = 0;
    while (budget.retry()) granted++;
    expect(granted).toBe(10);
  });

  it("a retry that was not made can be given back, no more than was taken", () => {
    const budget = new RetryBudget({ clock: virtualClock(), reserve: 1 });
    expect(budget.retry()).toBe(true);
    expect(budget.retry()).toBe(false);
    budget.refund();
    budget.refund();
    expect(budget.retry()).toBe(true);
    expect(budget.retry()).toBe(false);
  });
});
