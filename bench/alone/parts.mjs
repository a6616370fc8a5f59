// The parts of the layer by themselves, from the built package: nanoseconds a call. A part that is not where it was is left out.
import { keep, nanoseconds } from "../lib/timing.mjs";

const dist = new URL("../../packages/ts-micro/dist/", import.meta.url);
const nodes = [1, 2, 3].map((n) => ({ id: `node-${n}`, address: `127.0.0.1:${n}`, metadata: {} }));
const entries = Object.fromEntries(Array.from({ length: 6 }, (_, i) => [`X-Bench-${i}`, `value of the entry ${i}`]));

const repeat = (turn) => (n) => {
  for (let i = 0; i < n; i++) turn(i);
};

const parts = {
  nothing: () => repeat((i) => keep(i)),
  "deadline: added to the table's timer": async () => {
    const { Deadlines } = await import(new URL("internal/deadlines.js", dist));
    const { systemClock } = await import(new URL("clock.js", dist));
    const deadlines = new Deadlines(
      systemClock,
      () => [],
      () => {},
    );
    return repeat(() => deadlines.add(systemClock.now() + 30_000));
  },
  "cancellation that nobody asks for": async () => {
    const { Cancellation } = await import(new URL("context.js", dist));
    return repeat(() => keep(new Cancellation()));
  },
  "metadata: 6 entries taken over": async () => {
    const { Metadata } = await import(new URL("metadata.js", dist));
    return repeat(() => keep(Metadata.from(entries)));
  },
  "selector: p2c of 3, with its accounts": async () => {
    const { p2cSelector } = await import(new URL("selector/p2c.js", dist));
    const selector = p2cSelector();
    return repeat(() => {
      const node = selector.select("bench", nodes);
      selector.started("bench", node);
      selector.ended("bench", node, 1);
    });
  },
  "3 client wrappers around an async function": async () => {
    const { compileClient } = await import(new URL("client/interceptors.js", dist));
    const wrapper = (call, next) => next(call);
    const run = compileClient([wrapper, wrapper, wrapper], async (call) => call);
    return async (n) => {
      for (let i = 0; i < n; i++) await run(entries);
    };
  },
  "ambient context: run of one function": async () => {
    const { enableAmbient, runAmbient } = await import(new URL("internal/ambient.js", dist));
    enableAmbient();
    return repeat((i) => keep(runAmbient(entries, () => i)));
  },
};

const cases = {};
for (const [name, make] of Object.entries(parts)) {
  try {
    cases[name] = await make();
  } catch (error) {
    if (error.code !== "ERR_MODULE_NOT_FOUND" && !(error instanceof TypeError)) throw error;
  }
}
console.log(JSON.stringify(await nanoseconds(cases)));
