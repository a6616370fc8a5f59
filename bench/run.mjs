// The rounds. In each the reference has new processes, and so has each peer for its turn. A turn is the cells, each in short slices between
// slices of the reference. The order is turned from round to round.
import { fork } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { parseCell } from "./lib/cells.mjs";
import { compact, median, medians } from "./lib/figures.mjs";
import { peers, reference } from "./peers.mjs";

const host = new URL("./host.mjs", import.meta.url).pathname;
const limitMs = 120_000;

/**
 * Times in milliseconds. `first`: of each cell of new processes. Before a cell counts, slices of `slice`: until `longest` is over for both, or
 * after `calls` when `flat` of them were no faster.
 */
const warmUp = { first: 200, slice: 100, longest: 2000, calls: 40_000, flat: 3 };

/** A pause of the machine spoils one slice of a cell, not the cell. */
const counted = 5;

/** How it is measured, for the page: a run keeps the words of its time. */
export const method = [
  "In each round each peer has new processes, and `raw` too: two copies of one program differ by some percent for as long as they live, and the median over rounds has less of that. The order is turned from round to round.",
  `Each cell is used for about ${warmUp.first / 1000} s when the processes are new. Before it counts the peer and \`raw\` take turns of about ${warmUp.slice / 1000} s in it, until ${warmUp.longest / 1000} s are over for both, or before when both have made ${warmUp.calls.toLocaleString("en")} calls or messages and ${warmUp.flat} turns made neither faster by 3 %: V8 compiles small functions late, and each new way, and being asked for a slice, undoes some of it. What is slow makes fewer calls in that time. Each worker makes 20 calls at least in a slice, for eight times its length at most.`,
  `Then come ${counted} slices, each between two of \`raw\`, and each figure, p99 too, is the median of them: what happens less often than in every second slice, a pause of the machine or of a collector, is not in it. Before each slice of calls a quarter of its time is used and not counted. Figures are medians over rounds.`,
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
  // That it is ready has no id.
  child.on("message", ({ id = 0, value, error }) => {
    const asked = waiting.get(id);
    if (error === undefined) asked?.resolve(value);
    else asked?.reject(new Error(error));
  });
  const lost = (why) => {
    for (const { reject } of waiting.values()) reject(new Error(`${name} ${end} ${why}\n${said}`));
    waiting.clear();
  };
  child.on("error", (error) => lost(error.message)).on("exit", (code, signal) => lost(`ended (${signal ?? code})`));
  ready.catch(() => {});
  return {
    child,
    async ask(task, argument) {
      const id = ++ids;
      const late = new Error(`${name} ${end}: no end of ${task} in ${limitMs / 1000} s`);
      const answer = new Promise((resolve, reject) => waiting.set(id, { resolve, reject }));
      answer.catch(() => {});
      const limit = setTimeout(() => {
        child.kill("SIGKILL");
        for (const { reject } of waiting.values()) reject(late);
      }, limitMs);
      try {
        await ready;
        if (!child.connected) throw new Error(`${name} ${end} is gone\n${said}`);
        child.send({ id, task, argument }, (error) => error && waiting.get(id)?.reject(error));
        return await answer;
      } catch (error) {
        throw Object.assign(error, { peer: name });
      } finally {
        clearTimeout(limit);
        waiting.delete(id);
      }
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
  const close = async () => {
    await Promise.all([client.close(), server.close()]);
    try {
      rmSync(directory, { recursive: true, force: true, maxRetries: 3 });
    } catch {
      // What is left of a folder is no reason to lose figures.
    }
  };
  try {
    const flows = await client.ask("connect", await server.ask("start"));
    const memory = async () => ({ server: await server.ask("memory"), client: await client.ask("memory") });
    return { name, server, client, flows, close, memory, idle: await memory() };
  } catch (error) {
    await close();
    throw error;
  }
}

/** A peer in a cell for `ms`. */
const use = ({ client }, { kind, size, inFlight }, ms) =>
  kind === undefined ? client.ask("cell", { size, inFlight, ms }) : client.ask("flow", { kind, ms });

/** One slice of a cell of a peer; CPU in microseconds a call. */
async function measure(peer, cell, ms) {
  if (cell.kind !== undefined) {
    const { calls, rate, cpu } = await use(peer, cell, ms);
    return { rate, client: cpu / calls };
  }
  // After the other peer's turn on the processor; not counted.
  await use(peer, cell, ms / 4);
  const before = await peer.server.ask("cpu");
  const { calls, rate, p50, p99, cpu } = await use(peer, cell, ms);
  return { rate, p50, p99, client: cpu / calls, server: ((await peer.server.ask("cpu")) - before) / calls };
}

/** The peer and the reference in their cells until neither gets faster: asked as for slices that count, by turns, as these are. */
async function warm(pair) {
  const end = performance.now() + warmUp.longest;
  for (let flat = 0; flat < warmUp.flat && performance.now() < end;) {
    let rose = false;
    for (const each of pair) {
      const { calls, rate } = await use(each.peer, each.cell, warmUp.slice);
      each.calls = (each.calls ?? 0) + calls;
      rose ||= each.calls < warmUp.calls || rate > (each.best ?? 0) * 1.03;
      each.best = Math.max(each.best ?? 0, rate);
    }
    flat = rose ? 0 : flat + 1;
  }
}

/** A cell of a peer, its slices between those of the reference. */
async function beside(peer, raw, cell, ms) {
  const referred = referredCell(cell);
  await warm([
    { peer, cell },
    { peer: raw, cell: referred },
  ]);
  const theirs = [await measure(raw, referred, ms)];
  const own = [];
  for (let slice = 0; slice < counted; slice++) {
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

/** New processes in each of their cells: what is measured first has been in the company of the others too. */
async function begin(peer, cells) {
  for (const cell of cellsOf(peer, cells)) await use(peer, cell, warmUp.first);
}

/** Each cell of the peer beside the reference's. */
async function turn(peer, raw, cells, ms) {
  await begin(peer, cells);
  const figures = {};
  for (const cell of cellsOf(peer, cells)) {
    const { figure, reference } = await beside(peer, raw, cell, ms);
    figure.ratio = figure.rate / reference.rate;
    if (cell.kind === undefined) {
      figure.p99Ratio = figure.p99 / reference.p99;
      figure.layer = figure.client + figure.server - reference.client - reference.server;
    }
    figure.raw = reference;
    figures[cell.cell] = figure;
  }
  return { figures, memory: { idle: peer.idle, loaded: await peer.memory() } };
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
 * call beyond the reference's); for all but the reference `memory` in bytes; `failed`: in how many rounds it was, when not in each, and its
 * own reason if it has one; `unavailable`: why in none.
 */
export async function runPeers(names, { pin, rounds, cells, ms, say = () => {}, open = openPeer }) {
  const parsed = cells.map(parseCell);
  const taking = [...new Set(names)].filter((name) => name !== reference).map((name) => ({ name, turns: [] }));
  /** What ended a round, which is nobody's turn then. */
  let lost;
  for (let round = 0; round < rounds; round++) {
    const first = Math.floor((round * taking.length) / rounds);
    let raw;
    try {
      raw = await open(reference, pin);
      await begin(raw, parsed);
      for (const each of [...taking.slice(first), ...taking.slice(0, first)]) {
        // It may be one lost race for a port; twice it is not there.
        if (each.turns.length === 0 && each.failures === 2) continue;
        say(`${pin} round ${round + 1} ${each.name}: ${await takeTurn(each, raw)}`);
      }
    } catch (error) {
      lost = error;
      say(`${pin} round ${round + 1} ends: ${error.message}`);
    } finally {
      await raw?.close();
    }
  }
  if (lost !== undefined && taking.every(({ turns }) => turns.length === 0)) throw lost;
  const results = Object.fromEntries(taking.map((each) => [each.name, resultOf(each, rounds)]));
  const turns = taking.flatMap((each) => each.turns);
  results[reference] = { cells: referenceCells(turns.map(({ figures }) => figures)) };
  return { pin, rounds, ms, method, peers: results };

  async function takeTurn(each, raw) {
    let peer;
    try {
      peer = await open(each.name, pin);
      const done = await turn(peer, raw, parsed, ms);
      each.turns.push(done);
      return inShort(done.figures);
    } catch (error) {
      if (error.peer === reference) throw error;
      each.problem = firstLine(error);
      each.failures = (each.failures ?? 0) + 1;
      return error.message;
    } finally {
      await peer?.close();
    }
  }
}

function resultOf({ turns, problem }, rounds) {
  if (turns.length === 0) return { unavailable: problem ?? "no round came to it" };
  const memory = turns.map((turn) => turn.memory);
  return {
    cells: summary(turns.map(({ figures }) => figures)),
    memory: { idle: medians(memory.map(({ idle }) => idle)), loaded: medians(memory.map(({ loaded }) => loaded)) },
    ...(turns.length < rounds
      ? { failed: [`${turns.length} of ${rounds} rounds`, ...(problem === undefined ? [] : [problem])].join(": ") }
      : {}),
  };
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
