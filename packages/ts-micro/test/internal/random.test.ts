import { expect, it } from "vitest";
import { randomBytes, randomUuid } from "../../src/internal/random.ts";
import { Later } from "../../src/internal/later.ts";

it("random bytes are as many as asked, and never the same twice", () => {
  for (const size of [0, 1, 16, 255, 256, 5000]) expect(randomBytes(size)).toHaveLength(size);
  const seen = new Set(Array.from({ length: 5000 }, () => randomBytes(8).toString("hex")));
  expect(seen.size).toBe(5000);
});

it("random UUIDs are of version 4, each another", () => {
  const all = Array.from({ length: 1000 }, randomUuid);
  for (const one of all) expect(one).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  expect(new Set(all).size).toBe(1000);
});

it("a part that is loaded later is loaded once, is there afterwards, and is tried again when it failed", async () => {
  let loads = 0;
  const later = new Later(async () => {
    loads++;
    if (loads === 1) throw new Error("the disk");
    return loads;
  });
  expect(() => later.now).toThrow("loadClient was not awaited");
  await expect(later.load()).rejects.toThrow("the disk");
  expect(() => later.now).toThrow("loadClient was not awaited");
  await Promise.all([later.load(), later.load()]);
  expect([later.now, loads]).toEqual([2, 2]);
});
