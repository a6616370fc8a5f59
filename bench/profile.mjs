// npm run bench:profile [-- --peer=ts-micro --cell=tiny:128 --ms=3000 --top=25]: where a call's time goes, on both sides.
import { parseArgs } from "node:util";
import { build } from "../scripts/lib/build.mjs";
import { ensureInstalled } from "../scripts/lib/install.mjs";
import { parseCell } from "./lib/cells.mjs";
import { installRivals } from "./lib/rivals.mjs";
import { chosenPeers, peers } from "./peers.mjs";
import { openPeer } from "./run.mjs";

const { values } = parseArgs({
  options: {
    peer: { type: "string", default: "ts-micro" },
    cell: { type: "string", default: "tiny:128" },
    pin: { type: "string", default: "split" },
    ms: { type: "string", default: "3000" },
    top: { type: "string", default: "25" },
  },
});
const [name] = chosenPeers(values.peer);
const { kind, size, inFlight } = parseCell(values.cell);
const ms = Number(values.ms);

await ensureInstalled();
await build();
if (peers[name].needs === "npm") await installRivals();

const peer = await openPeer(name, values.pin);
try {
  const [task, how] = kind === undefined ? ["cell", { size, inFlight, ms }] : ["flow", { kind, ms }];
  // Compiled; and a stream learns how much takes so long: the profiled run makes no second attempt.
  await peer.client.ask(task, how);
  await peer.client.ask(task, how);
  const ends = [peer.client, peer.server];
  await Promise.all(ends.map((end) => end.ask("startProfile")));
  const { calls, rate } = await peer.client.ask(task, how);
  const [client, server] = await Promise.all(ends.map((end) => end.ask("stopProfile")));
  console.log(`${name}, ${values.cell}: ${rate.toFixed(0)} a second, ${calls} in all`);
  print("client", client, calls);
  print("server", server, calls);
} finally {
  await peer.close();
}

/** Self time in nanoseconds a call, by group and by function. */
function print(side, functions, calls) {
  const total = functions.reduce((sum, { self }) => sum + self, 0);
  const row = ({ self }) => ({
    "ns a call": Math.round((self * 1000) / calls),
    "%": Number(((self / total) * 100).toFixed(1)),
  });
  const groups = grouped(functions);
  const sums = [...groups].map(([group, all]) => ({ group, self: all.reduce((sum, { self }) => sum + self, 0) }));
  console.log(`\n${side}: ${Math.round((total * 1000) / calls)} ns a call`);
  console.table(Object.fromEntries(sums.toSorted((a, b) => b.self - a.self).map((each) => [each.group, row(each)])));
  console.table(
    Object.fromEntries(
      functions
        .slice(0, Number(values.top))
        .map((each) => [`${each.name} ${each.place}`.trim(), { group: each.group, ...row(each) }]),
    ),
  );
}

function grouped(functions) {
  const groups = new Map();
  for (const each of functions) {
    if (!groups.has(each.group)) groups.set(each.group, []);
    groups.get(each.group).push(each);
  }
  return groups;
}
