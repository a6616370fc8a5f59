import { expect, it } from "vitest";
import { carefulLogger } from "../../../src/logger/common/careful.ts";
import { LeveledLogger } from "../../../src/logger/common/leveled.ts";
import { levels, parseLevel, rankOf } from "../../../src/logger/common/levels.ts";
import { plainRecord } from "../../../src/logger/common/plain.ts";
import { prettyLine } from "../../../src/logger/common/pretty.ts";
import { memoryLogger } from "../../../src/logger/memory.ts";

it("levels have an order, and are read as people write them", () => {
  expect(levels.map(rankOf)).toEqual([0, 1, 2, 3, 4, 5]);
  expect(["INFO", " warning ", "Fatal", "loud", ""].map(parseLevel)).toEqual([
    "info",
    "warn",
    "fatal",
    undefined,
    undefined,
  ]);
});

it("a levelled logger writes its level and above, with the fields of its parents under those of the line", () => {
  const lines: unknown[] = [];
  const log = new LeveledLogger("warn", { a: 1 }, (...line) => lines.push(line));
  const child = log.child({ b: 2 });
  for (const level of levels) child[level](level, { a: 3 });
  expect(lines).toEqual(["warn", "error", "fatal"].map((level) => [level, level, { a: 3, b: 2 }]));
  expect(levels.filter((level) => log.enabled(level))).toEqual(["warn", "error", "fatal"]);
});

const plain = (value: unknown): unknown => plainRecord("", { value }).fields["value"];

it("values become plain whatever they are: circles, depth, getters that throw", () => {
  const circle: Record<string, unknown> = { n: 1n, when: new Date(0), set: new Set([1]), bad: NaN };
  circle["self"] = circle;
  expect(plain(circle)).toEqual({
    n: "1",
    when: "1970-01-01T00:00:00.000Z",
    set: [1],
    bad: "NaN",
    self: "[circular]",
  });
  let deep: unknown = "end";
  for (let n = 0; n < 20; n++) deep = { deep };
  expect(JSON.stringify(plain(deep))).toContain("[…]");
  const trap = {
    get it(): never {
      throw new Error("no");
    },
  };
  expect(plain(trap)).toEqual({ it: "[unreadable: no]" });
});

it("a record has a limit as a whole: what many paths lead to is written for some of them, and the cut is marked", () => {
  interface Entity {
    readonly id: number;
    readonly others: Entity[];
  }
  const side = (from: number): Entity[] => Array.from({ length: 30 }, (_, n) => ({ id: from + n, others: [] }));
  const [cats, owners] = [side(0), side(100)];
  for (const cat of cats) cat.others.push(...owners);
  for (const owner of owners) owner.others.push(...cats);
  const line = JSON.stringify(plainRecord("cats", { cats, texts: Array(100).fill("x".repeat(60_000)), last: 1 }));
  expect(line.length).toBeLessThan(1 << 20);
  expect(line).toContain('"…":"[…]"');
  const texts = JSON.stringify(plainRecord("texts", { texts: Array(100).fill("x".repeat(60_000)) }));
  expect(texts.length).toBeLessThan(1 << 20);
  expect(texts).toContain('… (60000 characters)","[…]"]');
  const keys = Object.fromEntries(Array.from({ length: 100 }, (_, n) => [`${n}${"k".repeat(60_000)}`, n]));
  expect(JSON.stringify(plainRecord("keys", { keys })).length).toBeLessThan(1 << 20);
});

it("a pretty line has the time, the level and the fields; errors stand below, and nothing drives a terminal", () => {
  const error = new Error("broke", { cause: new TypeError("why") });
  const line = prettyLine(0, "warn", "a\u001b[2Jb", { id: "x y", error }, false);
  const [first, ...below] = line.split("\n");
  expect(first).toBe('00:00:00.000 WARN  a\\x1b[2Jb id="x y" error=broke');
  expect(below[0]).toBe("    Error: broke");
  expect(below.join("\n")).toContain("caused by:\n      TypeError: why");
  expect(prettyLine(0, "info", "m", { "k\u001b": 1 }, false)).toContain("k\\x1b=1");
  expect(prettyLine(0, "info", "m", {}, true)).toContain("\u001b[32mINFO ");
});

it("a pretty line has what makes its errors specific, and the errors that they hold", () => {
  const refused = (address: string): Error =>
    Object.assign(new Error(`connect ECONNREFUSED ${address}`), { code: "ECONNREFUSED", address });
  const both = Object.assign(new AggregateError([refused("::1"), refused("127.0.0.1"), "odd"]), {
    code: "ECONNREFUSED",
  });
  const line = prettyLine(0, "error", "dial", { error: both }, false);
  const lines = line.split("\n").filter((each) => !each.includes(" at "));
  expect(lines).toEqual([
    "00:00:00.000 ERROR dial error=AggregateError",
    "    AggregateError: ",
    "    code=ECONNREFUSED",
    "    errors:",
    "      Error: connect ECONNREFUSED ::1",
    "      code=ECONNREFUSED address=::1",
    "      Error: connect ECONNREFUSED 127.0.0.1",
    "      code=ECONNREFUSED address=127.0.0.1",
    "      odd",
    "",
  ]);
});

it("a logger of one's own gets what is at least as severe as the service's level says", () => {
  const own = memoryLogger({ level: "debug" });
  const careful = carefulLogger(own, "warn");
  for (const logger of [careful, careful.child({ zone: "a" })]) {
    logger.info("left out");
    logger.warn("written");
  }
  expect(own.records.map(({ message }) => message)).toEqual(["written", "written"]);
  expect([careful.level, careful.enabled("info"), careful.enabled("error")]).toEqual(["warn", false, true]);
  // It can raise a level, not lower one.
  const quiet = carefulLogger(memoryLogger({ level: "error" }), "debug");
  expect([quiet.level, quiet.enabled("warn")]).toEqual(["error", false]);
  expect(carefulLogger(own).level).toBe("debug");
});
