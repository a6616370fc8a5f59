// The speed to reach. R is the raw multiplexed socket of the same turn; a goal that is a ratio counts times the run's own A/A.
import { ambientOn } from "./lib/ambient.mjs";
import { allCells } from "./lib/cells.mjs";

const byName = Object.fromEntries;

/** Looks things up in results; undefined when it was not measured. */
function reader({ runs, inProcess, startup, install }) {
  const byPin = byName(runs.map((run) => [run.pin, run.peers]));
  // Who failed in a round has no figures that a goal could be held against.
  const cell = (pin, name, at) =>
    byPin[pin]?.[name]?.failed === undefined ? byPin[pin]?.[name]?.cells?.[at] : undefined;
  const over = (a, b) => (a === undefined || b === undefined ? undefined : a / b);
  return {
    cell,
    ratio: (pin, name, at) => cell(pin, name, at)?.ratio,
    versus: (pin, a, b, at) => over(cell(pin, a, at)?.ratio, cell(pin, b, at)?.ratio),
    serverCpu: (pin, a, b, at) => over(cell(pin, a, at)?.server, cell(pin, b, at)?.server),
    inProcess: (ambient, name) => inProcess?.[ambient]?.[name],
    startup: (name) => startup?.[name],
    install: (name) => install?.[name],
  };
}

const inFlight = (at) => at.replace(/^(\w+):(\d+)$/, "$1, $2 in flight");

/** At least `goal` × R, or × another peer. */
const toRaw = (id, goal, pin, at, { peer = "ts-micro", gate = false, what = "", why } = {}) => ({
  id,
  gate,
  pin,
  goal,
  unit: "× R",
  what: `${what || peer}, ${inFlight(at)}`,
  at,
  why,
  value: (of) => of.ratio(pin, peer, at),
});

const toPeer = (id, goal, pin, at, other, { peer = "ts-micro", gate = false } = {}) => ({
  id,
  gate,
  pin,
  goal,
  unit: `× ${other}`,
  what: `${peer}, ${inFlight(at)}`,
  at,
  value: (of) => of.versus(pin, peer, other, at),
});

const atMost = (id, goal, unit, what, value, more = {}) => ({
  id,
  gate: false,
  goal,
  unit,
  what,
  value,
  most: true,
  ...more,
});

/** What nobody can go below. */
const floor =
  'nobody can go below what the table of in-process calls has as "the least": a context entered and, where the handler answers later, one promise that a deadline can settle before it does. What is above it is ours.';

/** What a call or message that goes alone meets. */
const alone =
  "each process wakes for one message, and finds the other's code in the processor's caches. By perf the kernel and Node take as much as with raw; our JavaScript takes about 2 µs of a call's 20, raw's 1.";

const gate = true;
const mucp = "ts-micro-mucp";

const goals = [
  toRaw("G1", 0.8, "shared", "tiny:128", { gate }),
  toRaw("G1", 0.85, "shared", "tiny:16", { gate }),
  toRaw("G1", 0.95, "shared", "tiny:1", { gate, why: alone }),
  ...[0.8, 0.85, 0.95].map((goal, i) =>
    toRaw("G1", goal, "shared", ["tiny:128", "tiny:16", "tiny:1"][i], {
      peer: "ts-micro-meta",
      what: "6 metadata entries",
      why: goal === 0.95 ? alone : undefined,
    }),
  ),
  ...["1k:1", "1k:16", "1k:128", "64k:1", "64k:16", "64k:128"].map((at) =>
    toRaw("G2", 0.9, "shared", at, { gate, why: at === "1k:1" ? alone : undefined }),
  ),
  toRaw("G3", 1.3, "split", "tiny:128"),
  toRaw("G4", 1.5, "shared", "tiny:128", {
    peer: "ts-micro-protobuf",
    why: "around the codec stand the promises, checks and accounts of a call; raw-protobuf, which has the codec alone, says how much they are.",
  }),
  toRaw("G4", 2.2, "shared", "1k:128", { peer: "ts-micro-protobuf" }),
  toPeer("G5", 5, "split", "tiny:128", "moleculer-tcp", { gate }),
  toPeer("G5", 1.8, "split", "tiny:16", "moleculer-tcp", { gate }),
  toPeer("G6", 8, "split", "tiny:128", "nest-tcp"),
  toPeer("G6", 2.5, "split", "tiny:16", "nest-tcp"),
  toPeer("G7", 1.6, "shared", "tiny:16", "http+undici", { peer: mucp, gate }),
  toPeer("G7", 1.6, "shared", "tiny:128", "http+undici", { peer: mucp, gate }),
  atMost(
    "G8",
    0.7,
    "× node:http",
    "server CPU of a call by undici, 128 in flight",
    (of) => of.serverCpu("shared", "undici->ts-micro", "http+undici", "tiny:128"),
    { pin: "shared" },
  ),
  toPeer("G9", 8, "split", "tiny:128", "http+undici"),
  toPeer("Go", 5, "split", "tiny:16", "go-v5-mucp", { peer: mucp }),
  toPeer("Go", 5, "split", "tiny:128", "go-v5-mucp", { peer: mucp }),
  toPeer("Go", 2, "split", "tiny:1", "go-v5-mucp", { peer: mucp }),
  toPeer("Go", 5, "split", "tiny:128", "go-v5-grpc"),
  toPeer("G10a", 1.8, "shared", "tiny:16", "grpc-js", { peer: "ts-micro-grpc", gate }),
  toPeer("G10a", 1.8, "shared", "tiny:128", "grpc-js", { peer: "ts-micro-grpc", gate }),
  toRaw("G11", 0.7, "shared", "streamCallback", { what: "server stream by callback" }),
  toRaw("G11", 0.4, "shared", "stream", { what: "server stream by `for await`" }),
  toRaw("G12", 0.9, "shared", "chat", { what: "bidi ping-pong", why: alone }),
  toRaw("G13", 0.6, "shared", "fanoutStreams", { what: "fan-out to 4 streams" }),
  toRaw("G13", 0.6, "shared", "fanout", {
    peer: "ts-micro-pubsub",
    what: "fan-out to 4 subscribers of the broker",
    why: "the default broker sends each message to each subscriber in an HTTP request of its own, as Go Micro's does and hears it; what needs this rate is a stream.",
  }),
  atMost(
    "G14",
    250,
    "ns",
    "in-process call, sync handler, 1 wrapper",
    (of) => of.inProcess("auto", "sync handler, 1 wrapper"),
    { gate, why: floor },
  ),
  atMost(
    "G14",
    450,
    "ns",
    "in-process call, async handler, 1 wrapper",
    (of) => of.inProcess("auto", "async handler, 1 wrapper"),
    { gate, why: floor },
  ),
  atMost(
    "G14",
    250,
    "ns",
    "in-process call, async handler, 1 wrapper, ambient off",
    (of) => of.inProcess("off", "async handler, 1 wrapper"),
    { why: floor },
  ),
  atMost(
    "G15",
    400,
    "ns",
    "the whole layer, both sides: deadline, cancellation, 6 metadata entries, 3 wrappers each, selector, id",
    (of) => nanoseconds(of.cell("shared", "ts-micro-full", "tiny:128")?.layer),
    { pin: "shared", at: "tiny:128", gate, forAmbient: 150 },
  ),
  atMost(
    "G15",
    400,
    "ns",
    "the layer of a plain call",
    (of) => nanoseconds(of.cell("shared", "ts-micro", "tiny:128")?.layer),
    { pin: "shared", at: "tiny:128", forAmbient: 150 },
  ),
  atMost("G16", 2, "× R's", "p99, tiny, 128 in flight", (of) => of.cell("split", "ts-micro", "tiny:128")?.p99Ratio, {
    pin: "split",
    at: "tiny:128",
  }),
  atMost("G17", 25, "ms", "start of a service, over bare Node", (of) => of.startup("ts-micro")?.ms, {
    gate,
    why: "the goal was set where bare Node starts in 68 ms and raw in 7 more; how long both take here is at its table.",
  }),
  atMost("G17", 5, "MB", "idle RSS of a service, over bare Node", (of) => megabytes(of.startup("ts-micro")?.bytes), {
    gate,
  }),
  atMost("G18", 1, "MB", "installed size of the core", (of) => megabytes(of.install("ts-micro")?.bytes), { gate }),
  atMost("G18", 2, "packages", "run-time packages of the core", (of) => of.install("ts-micro")?.packages, { gate }),
];

function nanoseconds(microseconds) {
  return microseconds === undefined ? undefined : microseconds * 1000;
}
function megabytes(bytes) {
  return bytes === undefined ? undefined : bytes / 1e6;
}

/** The cells that goals name, in one way of pinning. */
export const cellsOfGoals = (pin) =>
  allCells.filter((cell) => goals.some((goal) => goal.pin === pin && goal.at === cell));

/** What the gates need of peers. */
export const peersOfGates = [
  "raw-aa",
  "ts-micro",
  "ts-micro-full",
  mucp,
  "ts-micro-grpc",
  "http+undici",
  "grpc-js",
  "moleculer-tcp",
];

/** Each goal with `value`, `aa`, `needed` (the goal times A/A) and `met`; undefined where it was not measured. */
export function evaluate(results) {
  const of = reader(results);
  return goals.map(({ value: measure, forAmbient = 0, ...each }) => {
    const value = measure(of);
    const { at, pin, most } = each;
    const goal = each.goal + (ambientOn(results.node) ? forAmbient : 0);
    const aa = at === undefined ? undefined : of.ratio(pin, "raw-aa", at);
    const needed = most ? goal / (aa ?? 1) : goal * (aa ?? 1);
    const met = most ? value <= needed : value >= needed;
    return Object.assign(each, { goal, value, aa, needed, met: value === undefined ? undefined : met });
  });
}
