import { expect, it } from "vitest";
import { systemClock } from "../../../src/clock.ts";
import { isMicroError } from "../../../src/errors.ts";
import { virtualClock } from "../../../src/testing/clock.ts";
import { pooledSettings } from "../../../src/transport/common/options.ts";

it("has Go's defaults, in milliseconds and bytes", () => {
  expect(pooledSettings({})).toEqual({
    tls: undefined,
    poolSize: 100,
    poolTtl: 60_000,
    dialTimeout: 5000,
    maxBody: 4 << 20,
    clock: systemClock,
  });
});

it("takes what is given, zeroes too", () => {
  const clock = virtualClock();
  const given = { tls: {}, poolSize: 0, poolTtl: "2m", dialTimeout: 250, maxBody: 0, clock } as const;
  expect(pooledSettings(given)).toEqual({ ...given, poolTtl: 120_000 });
});

it("refuses a duration that is none", () => {
  const refused = (): unknown => pooledSettings({ dialTimeout: "soon" });
  expect(refused).toThrow(expect.toSatisfy((error) => isMicroError(error) && error.code === "BAD_REQUEST"));
});
