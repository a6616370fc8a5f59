import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { Directory } from "../../../src/registry/local/directory.ts";
import { Pulse } from "../../../src/registry/local/pulse.ts";
import { virtualClock } from "../../../src/testing/clock.ts";

let folder: string;
beforeEach(() => void (folder = mkdtempSync(join(tmpdir(), "ts-micro-pulse-"))));
afterEach(() => rmSync(folder, { recursive: true }));

it("a directory that changes all the time is looked at for a fifth of the time", async () => {
  const clock = virtualClock();
  const looks: { from: number; to: number }[] = [];
  const pulse = new Pulse(new Directory(folder), 1e6, clock, async () => {
    const from = clock.now();
    await clock.advance(5);
    looks.push({ from, to: clock.now() });
  });
  await pulse.start();
  for (let n = 0; looks.length < 5; n++) {
    writeFileSync(join(folder, String(n % 10)), "");
    await clock.advance(1);
  }
  await pulse.close();
  const rests = looks.slice(1).map(({ from }, at) => from - looks[at]!.to);
  expect(Math.min(...rests)).toBeGreaterThanOrEqual(20);
});

it("closes while it waits for its next look", async () => {
  const clock = virtualClock();
  let looks = 0;
  const pulse = new Pulse(new Directory(folder), 1e6, clock, async () => {
    looks++;
    await clock.advance(5);
    // Its next look is to come.
    writeFileSync(join(folder, "a"), "");
    for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
  });
  await pulse.start();
  writeFileSync(join(folder, "b"), "");
  while (looks === 0) await new Promise((resolve) => setImmediate(resolve));
  await pulse.close();
  expect(looks).toBe(1);
});
