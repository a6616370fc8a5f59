// One end of a peer in a process of its own: `host.mjs server|client NAME`, told by its parent what to do. Its end removes BENCH_FOLDER.
import { rmSync } from "node:fs";
import { cell, flow } from "./lib/load.mjs";
import { flows } from "./lib/cells.mjs";
import { cpuOf, memoryOf } from "./lib/proc.mjs";
import { startProfile, stopProfile } from "./lib/profile.mjs";
import { peers } from "./peers.mjs";

const [end, name] = process.argv.slice(2);
const { file, clientFile = file, options = {}, clientOptions = options } = peers[name];
const { start, connect } = await import(`./peers/${end === "server" ? file : clientFile}.mjs`);
let server;
let client;

const processes = () => (server ?? client)?.processes ?? [];
const microseconds = ({ user, system }) => user + system;

const tasks = {
  async start() {
    server = await start(options);
    return server.address;
  },
  async connect(address) {
    client = await connect(address, clientOptions);
    return flows.filter((kind) => kind in client);
  },
  /** A peer whose load is made by another program brings its own. */
  async cell(how) {
    const before = tasks.cpu();
    const figures = await (client.cell ?? cell.bind(undefined, client))(how);
    return { cpu: tasks.cpu() - before, ...figures };
  },
  flow: (how) => flow(client, how),
  /** Microseconds since the process began, of the processes that it started too. */
  cpu: () => microseconds(process.cpuUsage()) + cpuOf(processes()),
  /** Resident bytes. A peer in another language has nothing of this process. */
  memory() {
    globalThis.gc?.();
    return ((server ?? client)?.foreign ? 0 : process.memoryUsage.rss()) + memoryOf(processes());
  },
  startProfile,
  stopProfile,
  async close() {
    await client?.close?.();
    await server?.close?.();
  },
};

async function answer({ id, task, argument }) {
  try {
    process.send({ id, value: await tasks[task](argument) });
  } catch (error) {
    process.send({ id, error: String(error?.stack ?? error) });
  }
}
process.on("message", (message) => void answer(message));
const { BENCH_FOLDER } = process.env;
process.once("exit", () => BENCH_FOLDER && rmSync(BENCH_FOLDER, { recursive: true, force: true }));
// A signal to the whole group is the parent's affair.
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => {});
// The parent is done or gone: so is whatever this one started.
process.once("disconnect", () => {
  void tasks.close().finally(() => process.exit());
  setTimeout(() => process.exit(1), 2000).unref();
});
process.send({ ready: true });
