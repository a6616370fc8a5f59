// Tables of results, in Markdown: what the command prints and what docs/benchmarks.md is made of.
import { evaluate } from "./goals.mjs";
import { flows, sizeNames } from "./lib/cells.mjs";
import { compact } from "./lib/figures.mjs";
import { bare, peers } from "./peers.mjs";
import { method } from "./run.mjs";

const ours = "ts-micro";

/** The first `words` columns are text. */
function table(head, rows, words = 1) {
  const line = (cells) => `| ${cells.join(" | ")} |`;
  return [line(head), line(head.map((_, i) => (i < words ? "---" : "---:"))), ...rows.map(line)].join("\n");
}

const ratio = (value) =>
  value === undefined
    ? "-"
    : value >= 10
      ? value.toFixed(0)
      : value >= 1
        ? value.toFixed(2)
        : String(Number(value.toPrecision(2)));
const plain = (value) =>
  value === undefined ? "-" : value >= 100 ? value.toFixed(0) : String(Number(value.toPrecision(3)));
const megabytes = (bytes) => (bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0);

const cellsOf = (run) => [...new Set(Object.values(run.peers).flatMap(({ cells = {} }) => Object.keys(cells)))];
const unary = (cell) => sizeNames.includes(cell.split(":")[0]);
const measured = (run) => Object.entries(run.peers).filter(([, { cells }]) => cells && Object.keys(cells).length > 0);

/** A row for each peer, the fastest at the first column first. */
function byPeer(run, columns, show, order = (cell) => cell?.ratio ?? -1) {
  const rows = measured(run)
    .filter(([, { cells }]) => columns.some((column) => cells[column] !== undefined))
    .toSorted(([, a], [, b]) => order(b.cells[columns.at(-1)]) - order(a.cells[columns.at(-1)]));
  return table(
    ["peer", ...columns],
    rows.map(([name, { cells }]) =>
      [name].concat(columns.map((column) => (cells[column] ? show(cells[column]) : "-"))),
    ),
  );
}

/** Ours over each rival, cell by cell: above 1 ours is faster. */
function againstRivals(run, columns) {
  const own = run.peers[ours]?.cells;
  if (own === undefined) return undefined;
  const rivals = measured(run).filter(([name]) => !peers[name].ours && !peers[name].file.startsWith("raw"));
  if (rivals.length === 0) return undefined;
  return table(
    ["rival", ...columns],
    rivals.map(([name, { cells }]) =>
      [name].concat(
        columns.map((column) => ratio(own[column] && cells[column] && own[column].ratio / cells[column].ratio)),
      ),
    ),
  );
}

function runSections(run) {
  const cells = cellsOf(run);
  const calls = cells.filter(unary);
  const streams = flows.filter((flow) => cells.includes(flow));
  const out = [`## ${heading[run.pin]}`];
  const add = (title, text) => text !== undefined && out.push(`### ${title}`, text);
  if (calls.length > 0) {
    add(
      "Noise: raw against its own copy",
      byPeer(
        only(run, ["raw-aa"]),
        calls,
        ({ ratio: value, low, high }) => `${ratio(value)} (${ratio(low)} to ${ratio(high)})`,
      ),
    );
    add(
      "Calls: × R",
      byPeer(run, calls, (cell) => ratio(cell.ratio)),
    );
    add(`Calls: ${ours} over each rival`, againstRivals(run, calls));
    add(
      "Calls a second",
      byPeer(run, calls, (cell) => compact(cell.rate)),
    );
    add(
      "Latency, p50 / p99, µs",
      byPeer(run, calls, ({ p50, p99 }) => `${compact(p50)} / ${compact(p99)}`),
    );
    add(
      "CPU of a call, client + server, µs",
      byPeer(run, calls, ({ client, server }) => `${plain(client)} + ${plain(server)}`),
    );
  }
  if (streams.length > 0) {
    add(
      "Streams and fan-out: messages a second, × R",
      byPeer(run, streams, (cell) => `${compact(cell.rate)} (${ratio(cell.ratio)})`),
    );
  }
  add("Memory, server / client, MB", memory(run));
  const missing = Object.entries(run.peers).filter(([, { unavailable, failed }]) => unavailable ?? failed);
  if (missing.length > 0) {
    add(
      "Not measured, or not in each round",
      missing
        .map(([name, { unavailable, failed }]) => `- ${name}: ${unavailable ?? `measured in ${failed}`}`)
        .join("\n"),
    );
  }
  return out;
}

const heading = {
  shared: "Both ends on one CPU (the quiet mode: calls a second are CPU per call)",
  split: "One CPU for each end",
  none: "Not pinned",
};

const only = (run, names) => ({
  ...run,
  peers: Object.fromEntries(Object.entries(run.peers).filter(([name]) => names.includes(name))),
});

function memory(run) {
  const rows = Object.entries(run.peers).filter(([, { memory: of }]) => of);
  if (rows.length === 0) return undefined;
  const pair = ({ server, client }) => `${megabytes(server)} / ${megabytes(client)}`;
  return table(
    ["peer", "idle", "after a turn"],
    rows.map(
      ([
        name,
        {
          memory: { idle, loaded },
        },
      ]) => [name, pair(idle), pair(loaded)],
    ),
  );
}

/** The goals with what was measured. */
export function goalsTable(evaluated) {
  return table(
    ["goal", "what", "pinned", "to reach", "A/A", "measured", ""],
    evaluated.map(({ id, gate, what, pin, goal, unit, most, aa, value, met }) => [
      gate ? `**${id}**` : id,
      what,
      pin ?? "",
      `${most ? "≤" : "≥"} ${goal} ${unit}`,
      ratio(aa),
      plain(value),
      met === undefined ? "not measured" : met ? "met" : "**not met**",
    ]),
    4,
  );
}

/** Why goals are missed, where that is known. */
function reasons(evaluated) {
  const unknown = "not explained yet.";
  const byReason = new Map();
  for (const { id, what, met, why } of evaluated)
    if (met === false) byReason.set(why ?? unknown, [...(byReason.get(why ?? unknown) ?? []), `${id} (${what})`]);
  if (byReason.size === 0) return [];
  return [
    "What was not reached, and why:",
    [...byReason].map(([why, whose]) => `- ${whose.join("; ")}: ${why}`).join("\n"),
  ];
}

/** Cells in which another framework is ahead of ours. */
function losses(results) {
  const lost = [];
  for (const run of results.runs) {
    const own = run.peers[ours]?.cells ?? {};
    for (const [name, { cells }] of measured(run)) {
      if (peers[name].ours || peers[name].file === "raw") continue;
      for (const [at, { ratio: theirs }] of Object.entries(cells)) {
        const share = own[at] && own[at].ratio / theirs;
        if (share !== undefined && share < 1) lost.push([name, run.pin, at, ratio(share)]);
      }
    }
  }
  const { auto = {} } = results.inProcess ?? {};
  for (const handler of ["sync handler", "async handler"]) {
    const share = auto[`moleculer: ${handler}`] / auto[handler];
    if (share < 1) lost.push(["moleculer", "in process", handler, ratio(share)]);
  }
  return lost;
}

const lossesTable = (lost) => table(["peer", "pinned", "cell", `${ours} ÷ it`], lost, 3);

function alone({ inProcess, parts, startup, install }) {
  const out = [];
  const add = (title, text) => out.push(`## ${title}`, text);
  if (inProcess) {
    const names = Object.keys({ ...inProcess.auto, ...inProcess.off });
    const off = Object.keys(inProcess.off).length > 0;
    add(
      "In-process calls, ns",
      table(
        ["call", "ambient auto", ...(off ? ["ambient off"] : [])],
        names.map((name) => [name, plain(inProcess.auto[name])].concat(off ? [plain(inProcess.off[name])] : [])),
      ),
    );
  }
  if (parts)
    add(
      "Parts of the layer, ns",
      table(
        ["part", "a call"],
        Object.entries(parts).map(([name, ns]) => [name, plain(ns)]),
      ),
    );
  if (startup) {
    const { [bare]: base, ...others } = startup;
    add(
      "Start and idle memory, over bare Node",
      `${base ? `Bare: ${plain(base.ms)} ms, ${megabytes(base.bytes)} MB.\n\n` : ""}${table(
        ["peer", "to listening, ms", "RSS, MB"],
        Object.entries(others).map(([name, { ms, bytes }]) => [name, ms.toFixed(0), (bytes / 1e6).toFixed(1)]),
      )}`,
    );
  }
  if (install) {
    add(
      "Installed",
      table(
        ["peer", "packages", "MB"],
        Object.entries(install).map(([name, { packages, bytes }]) => [name, packages, megabytes(bytes)]),
      ),
    );
  }
  return out;
}

/** All of it. */
export function report(results) {
  const lost = losses(results);
  const evaluated = evaluate(results);
  return [
    "## Goals",
    goalsTable(evaluated),
    ...reasons(evaluated),
    ...(results.runs.some((run) => run.peers[ours]?.cells)
      ? ["## Where others are ahead", lost.length === 0 ? "Nowhere, among the cells that were run." : lossesTable(lost)]
      : []),
    ...results.runs.flatMap(runSections),
    ...alone(results),
  ].join("\n\n");
}

/** How far a second copy of the reference is from the first: 1 is none. */
function noise(runs) {
  const said = runs.flatMap(({ pin, peers: { "raw-aa": { cells } = {} } }) => {
    const all = Object.values(cells ?? {}).map(({ ratio: each }) => each);
    return all.length === 0 ? [] : `${pin} ${ratio(Math.min(...all))} to ${ratio(Math.max(...all))}`;
  });
  return said.join("; ") || "not measured";
}

const unmeasured =
  "There are no figures yet: `npm run bench -- --json FILE` on a machine that does nothing else, then `npm run bench:docs -- FILE`.";

function roundsOf({ pin, rounds, ms, peers: all }) {
  const apart = Object.entries(all).filter(([, peer]) => (peer.rounds ?? rounds) !== rounds);
  const others = apart.map(([name, peer]) => `${name} ${peer.rounds}`).join(", ");
  return `${pin} ${rounds}${others && ` (${others})`}, ${ms} ms a slice`;
}

function conditions({ node, machine, date, runs }) {
  return table(
    ["", ""],
    [
      ["machine", machine],
      ["Node", node],
      ["date", date],
      ["noise (A/A, the cells' extremes)", noise(runs)],
      ["rounds", runs.map(roundsOf).join("; ")],
    ],
    2,
  );
}

/** The goals in another run, perhaps of another Node, and what was lost in it. */
function elsewhere(results, first) {
  const all = evaluate(results).filter(({ met }) => met !== undefined);
  const how = results.runs[0]?.method;
  const lost = losses(results);
  return [
    `## Goals in another run, Node ${results.node}`,
    conditions(results),
    ...(how === undefined || how === first ? [] : [`Measured otherwise: ${how}`]),
    goalsTable(all),
    ...reasons(all),
    ...(lost.length === 0 ? [] : ["Where others are ahead in it:", lossesTable(lost)]),
  ];
}

/** docs/benchmarks.md. */
export function page(results) {
  const { runs, others = [] } = results;
  const taking = Object.entries(peers).filter(([, { hidden }]) => !hidden);
  return `${[
    "# Benchmarks",
    "Written by `npm run bench:docs` from `bench/results.json`. Ratios measured side by side are the result; figures a second belong to this machine.",
    runs.length === 0 ? unmeasured : conditions(results),
    "## Method",
    [
      '- A call is `Hello({ name })` answered by `{ msg: "Hello " + name }`, `name` of 4 bytes (tiny), 1 KiB or 64 KiB, its reply checked. One server process, one client process, loopback. `tiny:16` is 16 closed loops on one client.',
      "- **R** is `raw`: one multiplexed `node:net` socket, a 10-byte header, a JSON body, one write a tick, and no deadline, cancellation, metadata or balancing.",
      `- ${runs[0]?.method ?? method}`,
      "- `raw-aa` is a second copy of `raw`: how far its ratio is from 1 is the noise. A goal that is a ratio counts times the A/A of its cell.",
      "- Both ends are pinned: to one CPU, where calls a second are CPU a call, or to one each. CPU is of both processes, and of what they started (nats-server, Go).",
      "- Ours is a typed client and a typed service with default options, found in the `local` registry. Go Micro has default options too, a memory registry and its own client making the same load; its memory is of the Go processes alone.",
      "- On Node 20 and 22 the ambient context is as it is by default: on in the client, off in the server, which calls nobody. From Node 24 on it is on in both.",
      "- In bold: goals that gate a release.",
    ].join("\n"),
    table(
      ["peer", "what it is"],
      taking.map(([name, { about }]) => [name, about]),
      2,
    ),
    report(results),
    ...others.flatMap((other) => elsewhere(other, runs[0]?.method)),
  ].join("\n\n")}\n`;
}
