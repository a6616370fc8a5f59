// From the start of a process to a listening Hello server, and what it holds then, over a process of the same host with no peer in it.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { setTimeout as delay } from "node:timers/promises";
import { median } from "../lib/figures.mjs";
import { bare } from "../peers.mjs";
import { spawnHost } from "../run.mjs";

async function once(name, pinned) {
  const folder = mkdtempSync(`${tmpdir()}/tsb-`);
  const began = performance.now();
  const host = spawnHost("server", name, {
    cpu: pinned ? 0 : undefined,
    // Certificates that the environment adds are read at each start: 55 ms of 80, and most of the noise.
    env: { MICRO_REGISTRY: "local", MICRO_LOCAL_DIR: folder, NODE_EXTRA_CA_CERTS: undefined },
    execArgv: ["--expose-gc"],
  });
  try {
    await host.ask("start");
    const ms = performance.now() - began;
    await delay(250);
    return { ms, bytes: await host.ask("memory") };
  } finally {
    await host.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** `{ NAME: { ms, bytes } }` over bare, medians of `pairs` starts, each beside a bare one. */
export async function startups(names, { pinned = true, pairs = 7 } = {}) {
  const out = {};
  const bares = [];
  for (const name of names) {
    const pairsOf = [];
    try {
      await once(name, pinned);
      for (let pair = 0; pair < pairs; pair++) {
        const without = await once(bare, pinned);
        const with_ = await once(name, pinned);
        bares.push(without);
        pairsOf.push({ ms: with_.ms - without.ms, bytes: with_.bytes - without.bytes });
      }
    } catch {
      // Not available: the rounds have said so.
      continue;
    }
    out[name] = { ms: median(pairsOf.map(({ ms }) => ms)), bytes: median(pairsOf.map(({ bytes }) => bytes)) };
  }
  if (bares.length > 0) {
    out[bare] = { ms: median(bares.map(({ ms }) => ms)), bytes: median(bares.map(({ bytes }) => bytes)) };
  }
  return out;
}
