import { describe, expect, it } from "vitest";
import { milliseconds } from "../src/duration.ts";
import { isMicroError } from "../src/errors.ts";

describe("milliseconds", () => {
  it.each([
    [0, 0],
    [1500, 1500],
    ["0", 0],
    ["500ms", 500],
    ["5s", 5000],
    ["1h30m", 5_400_000],
    ["1.5s", 1500],
    [".5s", 500],
    ["100us", 0.1],
    ["10µs", 0.01],
    ["2m3s4ms", 123_004],
    ["+1s", 1000],
    [Infinity, Infinity],
  ])("reads %s as Go does", (text, ms) => {
    expect(milliseconds(text)).toBeCloseTo(ms, 9);
  });

  it.each(["", "s", "5", "5 s", "1x", "-1s", "1s!", "ms5", "-"])("refuses %j with BAD_REQUEST", (text) => {
    try {
      milliseconds(text);
      expect.unreachable();
    } catch (error) {
      expect(isMicroError(error) && error.code).toBe("BAD_REQUEST");
    }
  });

  it("refuses NaN and negative numbers", () => {
    expect(() => milliseconds(NaN)).toThrow("invalid duration");
    expect(() => milliseconds(-1)).toThrow("invalid duration");
  });
});
