import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Pending } from "../../../src/protocol/fast/pending.ts";

describe("pending calls", () => {
  it("are what a map would hold, however old some of them are", () => {
    const step = fc.oneof(
      { weight: 3, arbitrary: fc.record({ add: fc.integer({ min: 1, max: 200 }) }) },
      { weight: 4, arbitrary: fc.record({ take: fc.double({ min: 0, max: 1, noNaN: true }) }) },
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 150 }), (steps) => {
        const pending = new Pending<string>();
        const map = new Map<number, string>();
        let id = 0;
        for (const step of steps) {
          if ("add" in step) {
            id += step.add;
            pending.add(id, `call ${id}`);
            map.set(id, `call ${id}`);
          } else {
            const wanted = Math.ceil(step.take * (id + 1));
            expect(pending.get(wanted)).toBe(map.get(wanted));
            expect(pending.take(wanted)).toBe(map.get(wanted));
            map.delete(wanted);
            expect(pending.take(wanted)).toBeUndefined();
          }
          expect(pending.size).toBe(map.size);
        }
        expect(new Map(pending.entries())).toEqual(map);
      }),
      { numRuns: 500 },
    );
  });

  it("may be a hundred thousand at once, and are taken while they are gone through", () => {
    const pending = new Pending<number>();
    for (let id = 1; id <= 100_000; id++) pending.add(id, id);
    let seen = 0;
    for (const [id, call] of pending.entries()) {
      expect(pending.take(id)).toBe(call);
      seen++;
    }
    expect(seen).toBe(100_000);
    expect(pending.size).toBe(0);
    expect([...pending.entries()]).toEqual([]);
  });
});
