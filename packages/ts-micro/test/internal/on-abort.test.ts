import { getEventListeners } from "node:events";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { expect, it } from "vitest";
import { onAbort } from "../../src/internal/on-abort.ts";

it("is one listener of a signal for all, gone with the last of them", () => {
  const { signal } = new AbortController();
  const listeners = (): number => getEventListeners(signal, "abort").length;
  const unlinks = Array.from({ length: 50 }, () => onAbort(signal, () => {}));
  expect(listeners()).toBe(1);
  const [first, ...others] = unlinks;
  for (const unlink of others) unlink();
  expect(listeners()).toBe(1);
  first?.();
  expect(listeners()).toBe(0);
  // An end that is told twice ends nothing else.
  const again = onAbort(signal, () => {});
  first?.();
  expect(listeners()).toBe(1);
  again();
  expect(listeners()).toBe(0);
});

it("tells each once, in order, but for those that unlink, also on the way", () => {
  const control = new AbortController();
  const told: string[] = [];
  const unlink = onAbort(control.signal, () => told.push("unlinked"));
  onAbort(control.signal, () => told.push("a"));
  onAbort(control.signal, () => last());
  const last = onAbort(control.signal, () => told.push("unlinked by b"));
  onAbort(control.signal, () => told.push("c"));
  unlink();
  control.abort();
  expect(told).toEqual(["a", "c"]);
  expect(getEventListeners(control.signal, "abort")).toEqual([]);
  last();
});

it("leaves nothing behind on a signal that lives long", () => {
  setFlagsFromString("--expose-gc");
  const gc = runInNewContext("gc") as () => void;
  const { signal } = new AbortController();
  const round = (): void => {
    for (let n = 0; n < 10_000; n++) {
      const unlinks = Array.from({ length: 10 }, () => onAbort(signal, () => {}));
      for (const unlink of unlinks) unlink();
    }
  };
  round();
  gc();
  const before = process.memoryUsage().heapUsed;
  round();
  gc();
  expect(process.memoryUsage().heapUsed - before).toBeLessThan(1 << 20);
});
