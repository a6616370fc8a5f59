import { describe, expect, it } from "vitest";
import { randomSelector } from "../../src/selector/random.ts";
import type { Node } from "../../src/registry.ts";
import { seeded } from "./seeded.ts";

const nodes: Node[] = ["a", "b", "c", "d"].map((id) => ({ id, address: `${id}:1`, metadata: {} }));

describe("random selector", () => {
  it("spreads calls evenly", () => {
    const selector = randomSelector({ random: seeded(7) });
    const counts = new Map<string, number>();
    for (let i = 0; i < 8000; i++) {
      const { id } = selector.select("s", nodes);
      counts.set(id, (counts.get(id) ?? 0) + 1);
    }
    for (const { id } of nodes) expect(Math.abs((counts.get(id) ?? 0) - 2000)).toBeLessThan(200);
  });

  it("takes the only node that is left however often it draws another", () => {
    const selector = randomSelector({ random: () => 0 });
    for (let i = 0; i < 20; i++) expect(selector.select("s", nodes, new Set(["a", "b", "c"])).id).toBe("d");
  });
});
