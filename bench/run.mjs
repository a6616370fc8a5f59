// The rounds. In each the reference has new processes, and so has each peer for its turn: two copies of one program differ for as long as they
// live, by where their code and data lie. A turn is warm-up, then the cells, each in short slices between slices of the reference.
// Odd rounds go backwards.
import { fork } from "node:child_process";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { parseCell } from "./lib/cells.mjs";
import { compact, median } from "./lib/figures.mjs";
import { peers, reference } from "./peers.mjs";

const host = new URL("./host.mjs", import.meta.url).pathname;
const limitMs = 120_000;

/** The longest warm-up of a cell before it is measured, and a third of it when the processes are new, so that each cell meets what the others leave. */
const longestWarmUp = (ms) => Math.min(1000, 70 * ms);

/** How it is measured with slices of `ms`, for the page: a run keeps the words of its time. */
export const method = (ms) =>
  [
    "In each round each peer has new processes, and `raw` too: two copies of one program differ by some percent for as long as they live, and the median over rounds leaves that out. Odd rounds go backwards.",
    `Each cell is used for ${Math.round(longestWarmUp(ms) / 3) / 1000} s at most, then each again before it is measured, until its rate has not risen in three slices of 0.1 s, or in ten with fewer than 40,000 calls or messages, for ${longestWarmUp(ms) / 1000} s at most: V8 compiles small functions late, and each new way undoes some of it. What is slow makes fewer calls in that time. Then come slices as those that count, until 5,000 calls or six of them were made: to be asked for them, and to have waited, undoes some of it too.`,
    "A cell is measured in five slices, each between two of `raw`, and each figure, p99 too, is the median of them: what happens less often than in every second slice, a pause of the machine or of a collector, is not in it. Figures are medians over rounds.",
  ].join(" ");

/** A process of host.mjs on one CPU, asked by `ask(task, argument)`. */
export function spawnHost(end, name, { cpu, env = {}, execArgv = [] } = {}) {
  const pinned = cpu === undefined ? [process.execPath] : ["taskset", "-c", String(cpu), process.execPath];
  const child = fork(host, [end, name], {
    execPath: pinned[0],
    execArgv: [...pinned.slice(1), ...execArgv],
    env: { ...process.env, NODE_ENV: "production", ...env },
    stdio: ["ignore", "ignore", "pipe", "ipc"],
  });
  const waiting = new Map();
  let said = "";
  let ids = 0;
  child.stderr.setEncoding("utf8").on("data", (text) => (said = (said + text).slice(-4000)));
  const ready = new Promise((resolve, reject) => {
    waiting.set(0, { resolve, reject });
  });
  child.on("message", ({ ready: isReady, id = 0, value, error }) => {
    const { resolve, reject } = waiting.get(id);
    waiting.delete(id);
    if (error === undefined) resolve(isReady ? child : value);
    else reject(new Error(error));
  });
  const lost = (why) => {
    for (const { reject } of waiting.values()) reject(new Error(`${name} ${end} ${why}\n${said}`));
    waiting.clear();
  };
  child.on("error", (error) => lost(error.message)).on("exit", (code, signal) => lost(`ended (${signal ?? code})`));
  ready.catch(() => {});
  return {
    child,
    ready,
    async ask(task, argument) {
      await ready;
      if (!child.connected) throw new Error(`${name} ${end} is gone\n${said}`);
      const id = ++ids;
      let limit;
      return new Promise((resolve, reject) => {
        waiting.set(id, { resolve, reject });
        limit = setTimeout(() => {
          child.kill("SIGKILL");
          reject(new Error(`${name} ${end}: no end of ${task} in ${limitMs / 1000} s`));
        }, limitMs);
        child.send({ id, task, argument }, (error) => error && reject(error));
      }).finally(() => clearTimeout(limit));
    },
    async close() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const gone = new Promise((resolve) => child.once("exit", resolve));
      const limit = setTimeout(() => child.kill("SIGKILL"), 3000);
      if (child.connected) child.disconnect();
      await gone;
      clearTimeout(limit);
    },
  };
}

const cpus = { shared: [0, 0], split: [0, 1], none: [undefined, undefined] };

/** A peer's server and client, with a registry of their own. */
export async function openPeer(name, pin) {
  const directory = mkdtempSync(`${tmpdir()}/tsb-`);
  const env = { MICRO_REGISTRY: "local", MICRO_LOCAL_DIR: directory, BENCH_FOLDER: directory };
  const [serverCpu, clientCpu] = cpus[pin];
  const execArgv = ["--expose-gc"];
  const server = spawnHost("server", name, { cpu: serverCpu, env, execArgv });
  const client = spawnHost("client", name, { cpu: clientCpu, env, execArgv });
  const close = () => Promise.all([client.close(), server.close()]);
  try {
    const flows = await client.ask("connect", await server.ask("start"));
    const memory = async () => ({ server: await server.ask("memory"), client: await client.ask("memory") });
    return { name, server, client, flows, close, memory, idle: await memory() };
  } catch (error) {
    await close();
    throw error;
  }
}

/** A pause of the machine spoils one slice of a cell, not the cell. */
const slices = 5;

/** One slice of a cell of a peer; CPU in microseconds a call. */
async function measure({ server, client }, { kind, size, inFlight }, ms) {
  if (kind !== undefined) {
    const { calls, rate, cpu } = await client.ask("flow", { kind, ms });
    return { rate, client: cpu / calls };
  }
  // After the other peer's turn on the processor; not counted.
  await client.ask("cell", { size, inFlight, ms: ms / 4 });
  const before = await server.ask("cpu");
  const { calls, rate, p50, p99, cpu } = await client.ask("cell", { size, inFlight, ms });
  return { rate, p50, p99, client: cpu / calls, server: ((await server.ask("cpu")) - before) / calls };
}

const medians = (all) =>
  Object.fromEntries(Object.keys(all[0]).map((key) => [key, median(all.map((each) => each[key]))]));

/** Being asked for slices makes V8 throw away what it has compiled of Node's own queue: what is not counted yet. */
async function settle(peer, raw, cell, referred, ms) {
  let calls = 0;
  for (let slice = 0; slice < 6 && calls < 5000; slice++) {
    const rates = [(await measure(peer, cell, ms)).rate, (await measure(raw, referred, ms)).rate];
    calls += (Math.min(...rates) * ms) / 1000;
  }
}

/** A cell of a peer, its slices between those of the reference. */
async function beside(peer, raw, cell, ms) {
  const referred = referredCell(cell);
  await settle(peer, raw, cell, referred, 2 * ms);
  const theirs = [await measure(raw, referred, ms)];
  const own = [];
  for (let slice = 0; slice < slices; slice++) {
    own.push(await measure(peer, cell, ms));
    theirs.push(await measure(raw, referred, ms));
  }
  return { figure: medians(own), reference: medians(theirs) };
}

/** Cells that a peer has. */
const cellsOf = (peer, cells) =>
  cells.filter(
    ({ cell, kind }) =>
      (kind === undefined || peer.flows.includes(kind)) && peers[peer.name].only?.includes(cell) !== false,
  );

async function warm(peer, cells, ms) {
  await peer.client.ask("warm", { cells: cellsOf(peer, cells), ms });
}

/** A turn: each cell of the peer beside the reference's. */
async function turn(peer, raw, cells, ms) {
  const warmMs = longestWarmUp(ms);
  await warm(peer, cells, warmMs / 3);
  const figures = {};
  for (const cell of cellsOf(peer, cells)) {
    await warm(peer, [cell], warmMs);
    const { figure, reference } = await beside(peer, raw, cell, ms);
    figure.ratio = figure.rate / reference.rate;
    if (cell.kind === undefined) {
      figure.p99Ratio = figure.p99 / reference.p99;
      figure.layer = figure.client + figure.server - reference.client - reference.server;
    }
    figure.raw = reference;
    figures[cell.cell] = figure;
  }
  return figures;
}

/** What of the reference a flow is held against: it has one way to consume a stream, and one to reach four. */
const referredCell = (cell) => (cell.kind === undefined ? cell : { kind: referredFlow(cell.kind) });
const referredFlow = (kind) => ({ stream: "streamCallback", fanoutStreams: "fanout" })[kind] ?? kind;

const firstLine = (error) =>
  String(error.message)
    .replace(/^\w*Error: /, "")
    .split("\n")[0];

/**
 * Runs the peers in one way of pinning. The result has for each peer `cells`: medians over the rounds of `rate` (a second), `ratio` to the
 * reference of the same turn (`low`, `high` its extremes), `p50`, `p99`, `client` and `server` CPU (all in microseconds), `layer` (CPU of a
 * call beyond the reference's), and `memory` in bytes.
 */
export async function runPeers(names, { pin, rounds, cells, ms, say = () => {} }) {
  const parsed = cells.map(parseCell);
  const rawMemory = [];
  const taking = [...new Set(names)]
    .filter((name) => name !== reference)
    .map((name) => ({ name, turns: [], memory: [] }));
  for (let round = 0; round < rounds; round++) {
    const raw = await openPeer(reference, pin);
    try {
      await warm(raw, parsed.map(referredCell), longestWarmUp(ms));
      for (const each of round % 2 === 0 ? taking : taking.toReversed()) {
        // Once is enough.
        if (each.unavailable ?? each.failed) continue;
        let peer;
        try {
          peer = await openPeer(each.name, pin);
          const done = await turn(peer, raw, parsed, ms);
          each.turns.push(done);
          each.memory.push(await memoryOf(peer));
          say(`${pin} round ${round + 1} ${each.name}: ${inShort(done)}`);
        } catch (error) {
          each[peer === undefined && round === 0 ? "unavailable" : "failed"] = firstLine(error);
          say(`${pin} round ${round + 1} ${each.name}: ${error.message}`);
        } finally {
          await peer?.close();
        }
      }
      rawMemory.push(await memoryOf(raw));
    } finally {
      await raw.close();
    }
  }
  const results = {};
  for (const { name, turns, memory, unavailable, failed } of taking) {
    results[name] =
      unavailable === undefined ? { cells: summary(turns), memory: memorySummary(memory), failed } : { unavailable };
  }
  results[reference] = {
    cells: referenceCells(taking.flatMap(({ turns }) => turns)),
    memory: memorySummary(rawMemory),
  };
  return { pin, rounds, ms, method: method(ms), peers: results };
}

const memoryOf = async ({ idle, memory }) => ({ idle, loaded: await memory() });

/** Undefined when there was no turn. */
const memorySummary = (all) =>
  all.length === 0
    ? undefined
    : { idle: medians(all.map(({ idle }) => idle)), loaded: medians(all.map(({ loaded }) => loaded)) };

const inShort = (figures) =>
  Object.entries(figures)
    .map(
      ([cell, { rate, ratio }]) => `${cell} ${compact(rate)}${ratio === undefined ? "" : ` (${ratio.toPrecision(2)})`}`,
    )
    .join(" · ");

/** What the reference did beside all of them. */
function referenceCells(turns) {
  const own = turns.map((figures) =>
    Object.fromEntries(
      Object.entries(figures)
        .filter(([cell]) => referredFlow(cell) === cell)
        .map(([cell, { raw }]) => [cell, raw]),
    ),
  );
  const cells = summary(own);
  for (const cell of Object.values(cells)) cell.ratio = 1;
  return cells;
}

function summary(rounds) {
  const cells = {};
  for (const cell of new Set(rounds.flatMap(Object.keys))) {
    const all = rounds.map((figures) => figures[cell]).filter(Boolean);
    const out = {};
    for (const key of Object.keys(all[0])) {
      if (key === "raw") continue;
      const values = all.map((figure) => figure[key]).filter((value) => value !== undefined);
      if (values.length > 0) out[key] = round(median(values));
    }
    if (out.ratio !== undefined) {
      out.low = round(Math.min(...all.map(({ ratio }) => ratio)));
      out.high = round(Math.max(...all.map(({ ratio }) => ratio)));
    }
    cells[cell] = out;
  }
  return cells;
}

const round = (value) => Number(value.toPrecision(4));
