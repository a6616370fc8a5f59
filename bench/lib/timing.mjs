import { median } from "./figures.mjs";

/** Nanoseconds of one turn of each case, `(n) => …` doing n of them: medians over interleaved rounds. */
export async function nanoseconds(cases, { ms = 60, rounds = 7 } = {}) {
  const runs = [];
  for (const [name, run] of Object.entries(cases)) {
    let n = 64;
    for (;;) {
      const elapsed = await timed(run, n);
      if (elapsed > ms / 4) {
        runs.push({ name, run, n: Math.ceil((n * ms) / elapsed), all: [] });
        break;
      }
      n *= 4;
    }
  }
  for (let round = 0; round < rounds; round++) {
    for (const { run, n, all } of round % 2 === 0 ? runs : runs.toReversed())
      all.push(((await timed(run, n)) / n) * 1e6);
  }
  return Object.fromEntries(runs.map(({ name, all }) => [name, Number(median(all).toPrecision(3))]));
}

async function timed(run, n) {
  const began = performance.now();
  await run(n);
  return performance.now() - began;
}

/** Keeps what it is given, so that making it is not optimised away. */
const kept = Array.from({ length: 64 }).fill(null);
let at = 0;
export function keep(value) {
  kept[(at = (at + 1) & 63)] = value;
}
