import { expect, it } from "vitest";
import { roundRobinSelector } from "../../src/selector/round-robin.ts";
import { testNodes } from "../../src/testing/selector.ts";

it("successive calls walk through all nodes in order, each service by its own counter", () => {
  const selector = roundRobinSelector();
  const [a, b] = [testNodes("a", 3), testNodes("b", 2)];
  const walked: string[] = [];
  for (let i = 0; i < 7; i++) {
    walked.push(selector.select("a", a).id);
    if (i % 2 === 0) walked.push(selector.select("b", b).id);
  }
  expect(
    walked
      .filter((id) => id.startsWith("a"))
      .map((id) => id.at(-1))
      .join(""),
  ).toBe("0120120");
  expect(
    walked
      .filter((id) => id.startsWith("b"))
      .map((id) => id.at(-1))
      .join(""),
  ).toBe("0101");
});

it("a node that failed in this call is stepped over", () => {
  const selector = roundRobinSelector();
  const nodes = testNodes("a", 3);
  expect(selector.select("a", nodes).id).toBe("a-0");
  expect(selector.select("a", nodes, new Set(["a-0", "a-1"])).id).toBe("a-2");
});
