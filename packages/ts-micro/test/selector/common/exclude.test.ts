import { expect, it } from "vitest";
import { fromPlace } from "../../../src/selector/common/exclude.ts";
import { testNodes } from "../../../src/testing/selector.ts";

const nodes = testNodes("a", 4);
const from = (place: number, ...excluded: number[]): string =>
  fromPlace(nodes, place, new Set(excluded.map((each) => `a-${each}`))).id;

it("the node at the place, where nothing is excluded", () => {
  expect(fromPlace(nodes, 2, undefined).id).toBe("a-2");
  expect(from(3)).toBe("a-3");
});

it("steps over what is excluded, around the end", () => {
  expect(from(1, 1)).toBe("a-2");
  expect(from(3, 3, 0)).toBe("a-1");
  expect(from(2, 0)).toBe("a-2");
});

it("the one at the place, where all are", () => {
  expect(from(2, 0, 1, 2, 3)).toBe("a-2");
});
