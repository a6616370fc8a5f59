import { expect, test } from "vitest";
import { Chain, type Linked } from "../../src/internal/chain.ts";

interface Entry extends Linked<Entry> {
  readonly name: string;
}

const entry = (name: string): Entry => ({ name, previous: undefined, next: undefined });
const names = (chain: Chain<Entry>): string => [...chain].map(({ name }) => name).join("");

test("entries leave from any place, and know no neighbours afterwards", () => {
  const chain = new Chain<Entry>();
  const [a, b, c, d] = [entry("a"), entry("b"), entry("c"), entry("d")];
  for (const each of [a, b, c, d]) chain.enter(each);
  expect([names(chain), chain.size]).toEqual(["dcba", 4]);
  chain.leave(b);
  expect(names(chain)).toBe("dca");
  chain.leave(d);
  chain.leave(a);
  expect([names(chain), chain.size]).toEqual(["c", 1]);
  chain.enter(a);
  chain.leave(c);
  expect(names(chain)).toBe("a");
  chain.leave(a);
  expect([names(chain), chain.size]).toEqual(["", 0]);
  for (const each of [a, b, c, d]) expect([each.previous, each.next]).toEqual([undefined, undefined]);
});
