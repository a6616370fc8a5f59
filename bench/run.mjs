// The rounds. All peers stay up; in a round each has its turn: warm, then its cells, each in short slices between slices of the reference.
// Odd rounds go backwards.
import { fork } from "node:child_process";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { parseCell } from "./lib/cells.mjs";
import { compact, median } from "./lib/figures.mjs";
import { peers, reference } from "./peers.mjs";

const host = new URL("./host.mjs", import.meta.url).pathname;
const limitMs = 120_000;

/** The longest warm-up of a cell before the first round; half of it before each time that it is measured. */
const longestWarmUp = (ms) => Math.min(3000, 200 * ms);

/** How it is measured with slices of `ms`, for the page: a run keeps the words of its time. */
export const method = (ms) =>
  [
    "All peers stay up.",
    `Before the first round each cell of a peer is used until its rate has not risen in three slices, or in ten with fewer than 40,000 calls or messages, for ${longestWarmUp(ms) / 1000} s at most: V8 compiles small functions late, and each new way undoes some of it (Go, which compiles nothing, makes its first cell's calls for 0.2 s).`,
    `In each round each has a turn: a cell is used in the same way for ${longestWarmUp(ms) / 2000} s at most, as others' turns have made the peer idle, then measured in five slices, each between two of \`raw\`, and each figure, p99 too, is the median of them: what happens less often than in every second slice, a pause of the machine or of a collector, is not in it.`,
    "Odd rounds go backwards. Figures are medians over rounds.",
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

/** A cell of a peer, its slices between those of the reference. */
async function beside(peer, raw, cell, ms) {
  const referred = referredCell(cell);
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
async function turn(peer, raw, cells, { ms, warmMs }) {
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
  const opened = [];
  const results = {};
  /** A peer that fails once is left out from then on. */
  const attempt = async (peer, what, act) => {
    if (peer.failed) return;
    try {
      say(`${pin} ${what} ${peer.name}: ${await act()}`);
    } catch (error) {
      peer.failed = firstLine(error);
      say(`${pin} ${what} ${peer.name}: ${error.message}`);
    }
  };
  try {
    for (const name of new Set([reference, ...names])) {
      try {
        opened.push(await openPeer(name, pin));
      } catch (error) {
        if (name === reference) throw error;
        results[name] = { unavailable: firstLine(error) };
        say(`${name}: not available: ${firstLine(error)}`);
      }
    }
    const raw = opened[0];
    const taking = opened.filter(({ name }) => names.includes(name) && name !== reference);
    const figures = new Map(taking.map(({ name }) => [name, []]));
    const warmMs = longestWarmUp(ms);
    await warm(raw, parsed.map(referredCell), warmMs);
    for (const peer of taking) {
      await attempt(peer, "warm-up", async () => {
        await warm(peer, parsed, warmMs);
        return "done";
      });
    }
    for (let round = 0; round < rounds; round++) {
      for (const peer of round % 2 === 0 ? taking : taking.toReversed()) {
        await attempt(peer, `round ${round + 1}`, async () => {
          const done = await turn(peer, raw, parsed, { ms, warmMs: warmMs / 2 });
          figures.get(peer.name).push(done);
          return inShort(done);
        });
      }
    }
    for (const peer of taking) {
      const memory = peer.failed ? undefined : { idle: peer.idle, loaded: await peer.memory() };
      results[peer.name] = { cells: summary(figures.get(peer.name)), memory, failed: peer.failed };
    }
    results[reference] = {
      cells: referenceCells([...figures.values()].flat()),
      memory: { idle: raw.idle, loaded: await raw.memory() },
    };
  } finally {
    await Promise.all(opened.map((peer) => peer.close()));
  }
  return { pin, rounds, ms, method: method(ms), peers: results };
}

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
