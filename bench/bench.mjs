// npm run bench -- --peers all --rounds 3 [--pin=shared|split|both|none] [--cells=tiny:16,chat] [--ms=50] [--json FILE] [--gate]
// Installs and builds what is missing, runs, and prints the figures. `--gate` takes the peers that the gates of goals.mjs name and the cells of
// its goals, and fails when a gate is not met.
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { build } from "../scripts/lib/build.mjs";
import { ensureInstalled } from "../scripts/lib/install.mjs";
import { installOf } from "./alone/install.mjs";
import { startups } from "./alone/startup.mjs";
import { cellsOfGoals, evaluate, peersOfGates } from "./goals.mjs";
import { allCells } from "./lib/cells.mjs";
import { medians } from "./lib/figures.mjs";
import { installRivals } from "./lib/rivals.mjs";
import { chosenPeers, peers } from "./peers.mjs";
import { goalsTable, report } from "./report.mjs";
import { runPeers } from "./run.mjs";

const { values } = parseArgs({
  options: {
    peers: { type: "string" },
    rounds: { type: "string" },
    pin: { type: "string", default: "both" },
    cells: { type: "string" },
    ms: { type: "string", default: "50" },
    json: { type: "string" },
    gate: { type: "boolean", default: false },
  },
});
values.rounds ??= values.gate ? "5" : "3";
const number = (name) => {
  const value = Number(values[name]);
  if (!(value > 0)) throw new Error(`--${name}=${values[name]}: a number above 0 is needed`);
  return value;
};
const names = chosenPeers(values.peers ?? (values.gate ? peersOfGates.join(",") : "all"));
const pins = { both: ["shared", "split"], shared: ["shared"], split: ["split"], none: ["none"] }[values.pin];
if (pins === undefined) throw new Error(`--pin=${values.pin}: shared, split, both or none`);
if (values.pin !== "none" && process.platform !== "linux") throw new Error("only Linux pins processes: --pin=none");

await ensureInstalled();
const unbuilt = await build();
if (unbuilt.length > 0) throw new Error(`does not compile: ${unbuilt.join(", ")}`);
if (names.some((name) => peers[name].needs === "npm")) await installRivals();

const say = (line) => console.log(line);
const results = {
  node: process.versions.node,
  machine: `${cpus().length} × ${cpus()[0].model.trim()}`,
  date: new Date().toISOString().slice(0, 10),
  runs: [],
};
const keep = () => values.json && writeFileSync(values.json, `${JSON.stringify(results)}\n`);
for (const pin of pins) {
  results.runs.push(
    await runPeers(names, {
      pin,
      rounds: number("rounds"),
      ms: number("ms"),
      cells: values.cells?.split(",") ?? (values.gate && pin !== "none" ? cellsOfGoals(pin) : allCells),
      say,
    }),
  );
  keep();
}
// Cells that were asked for are a look at them.
if (values.cells === undefined) await alone();
keep();

/** What is measured of one process by itself. */
async function alone() {
  say("in-process calls, parts, starts, installed size");
  const script = (name, ...args) => {
    const folder = mkdtempSync(`${tmpdir()}/tsb-`);
    const pinned = pins[0] === "none" ? [] : ["taskset", "-c", "0"];
    const [command, ...rest] = [
      ...pinned,
      process.execPath,
      fileURLToPath(new URL(`alone/${name}.mjs`, import.meta.url)),
      ...args,
    ];
    try {
      const env = { ...process.env, MICRO_REGISTRY: "local", MICRO_LOCAL_DIR: folder };
      return JSON.parse(execFileSync(command, rest, { encoding: "utf8", env }));
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  };
  const available = names.filter((name) => !peers[name].clientFile && !results.runs[0].peers[name]?.unavailable);
  // Processes of their own in each, by turns: the machine has slow seconds.
  const times = Array.from({ length: 5 }, () => {
    // It has no ambient context of its own.
    const rival = available.includes("moleculer-tcp") ? script("in-process", "moleculer") : {};
    const all = (...how) => ({
      ...script("in-process", "ours", ...how),
      ...script("in-process", "least", ...how),
      ...rival,
    });
    return { auto: all(), off: all("off") };
  });
  results.inProcess = {
    auto: medians(times.map(({ auto }) => auto)),
    off: medians(times.map(({ off }) => off)),
  };
  results.parts = script("parts");
  results.startup = await startups(
    available.filter((name) => peers[name].needs !== "go" && (!peers[name].ours || name === "ts-micro")),
    { pinned: pins[0] !== "none" },
  );
  results.install = Object.fromEntries(
    available
      .filter((name) => peers[name].install && (!peers[name].ours || name === "ts-micro"))
      .map((name) => [name, installOf(peers[name].install)]),
  );
}

console.log(report(results));
if (values.gate) {
  const missed = evaluate(results).filter(({ gate, met }) => gate && met !== true);
  console.log(missed.length === 0 ? "every gate is met" : `gates that are not met:\n\n${goalsTable(missed)}`);
  process.exitCode = missed.length === 0 ? 0 : 1;
}
