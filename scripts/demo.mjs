// npm run demo: two replicas and a client in three processes; calls, streams, publishes; stops one replica and kills the other under load.
import { fork } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { build } from "./lib/build.mjs";
import { ensureInstalled } from "./lib/install.mjs";
import { root } from "./lib/run.mjs";

await ensureInstalled();
const unbuilt = await build();
if (unbuilt.length > 0) throw new Error(`does not compile: ${unbuilt.join(", ")}`);

const began = performance.now();
const print = (text) => console.log(`${((performance.now() - began) / 1000).toFixed(1).padStart(5)} s  ${text}`);
// A world of its own: other services of this machine are neither seen nor disturbed.
const directory = mkdtempSync(`${tmpdir()}/ts-micro-demo-`);
const env = {
  ...process.env,
  MICRO_REGISTRY: "local",
  MICRO_LOCAL_DIR: directory,
  MICRO_SERVER_ADDRESS: "127.0.0.1:0",
  MICRO_BROKER_ADDRESS: "127.0.0.1:0",
};
const children = new Set();

/** A process of the demo; `next(key)` resolves with the next message that has that key. */
function start(name, file, extra = {}) {
  const child = fork(`${root}/examples/demo/${file}`, {
    env: { ...env, ...extra },
    execArgv: ["--import", "tsx"],
    stdio: ["ignore", "inherit", "inherit", "ipc"],
  });
  const waiting = [];
  const heard = [];
  children.add(child);
  const gone = new Promise((resolve) =>
    child.once("exit", (code, signal) => (children.delete(child), resolve(signal ?? code))),
  );
  child.on("message", (message) => {
    if (message.line !== undefined) return print(message.line);
    const at = waiting.findIndex(({ key }) => key in message || "error" in message);
    if (at < 0) return heard.push(message);
    const [{ key, resolve, reject }] = waiting.splice(at, 1);
    if ("error" in message) reject(new Error(message.error));
    else resolve(message[key]);
  });
  const next = (key, seconds = 15) =>
    new Promise((resolve, reject) => {
      const at = heard.findIndex((message) => key in message);
      if (at >= 0) return resolve(heard.splice(at, 1)[0][key]);
      const timer = setTimeout(() => reject(new Error(`${name}: no "${key}" within ${seconds} s`)), seconds * 1000);
      const settle = (fn) => (value) => (clearTimeout(timer), fn(value));
      waiting.push({ key, resolve: settle(resolve), reject: settle(reject) });
      void gone.then((how) => reject(new Error(`${name} ended (${how}) before "${key}"`)));
    });
  const ask = (order) => (child.send(order), next("done"));
  return { child, gone, next, ask };
}

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const report = ({ calls, failed, slowestMs, replicas }) =>
  `${calls} calls, ${failed} failed, slowest ${slowestMs.toFixed(0)} ms, answered by ${Object.entries(replicas)
    .map(([name, n]) => `${name}: ${n}`)
    .join(", ")}`;
function demand(holds, what) {
  if (!holds) throw new Error(what);
}

try {
  print("starting two replicas of demo-greeter and a client, each a process of its own");
  const a = start("replica A", "replica.ts", { REPLICA: "A" });
  const b = start("replica B", "replica.ts", { REPLICA: "B" });
  const client = start("client", "client.ts");
  const [addressA, addressB] = await Promise.all([a.next("ready"), b.next("ready"), client.next("ready")]);
  print(`replicas listen on ${addressA} and ${addressB}; no registry server, no configuration`);

  await client.ask("tour");
  const [heardA, heardB] = await Promise.all([a.next("heard"), b.next("heard")]);
  print(`both subscribers heard: "${heardA}" and "${heardB}"`);

  print("steady calls; replica A is stopped (SIGTERM)");
  await client.ask("load");
  await pause(1000);
  a.child.kill("SIGTERM");
  await a.gone;
  await pause(500);
  const stopped = await client.ask("stop load");
  print(report(stopped));
  demand(stopped.failed === 0, `a graceful stop lost calls: ${stopped.errors.join("; ")}`);

  print("replica C takes its place; steady calls; replica B is killed (SIGKILL)");
  const c = start("replica C", "replica.ts", { REPLICA: "C" });
  await c.next("ready");
  await client.ask("load");
  await pause(1000);
  b.child.kill("SIGKILL");
  await b.gone;
  await pause(1000);
  const killed = await client.ask("stop load");
  print(report(killed));
  demand(killed.failed === 0, `idempotent calls were lost: ${killed.errors.join("; ")}`);
  demand(killed.slowestMs < 6000, "a call hung");
  demand((killed.replicas.C ?? 0) > 0, "replica C was never called");

  for (const { child } of [client, c]) if (child.connected) child.disconnect();
  await Promise.all([client.gone, c.gone]);
  print("done: everything found, called, streamed, published, stopped and survived");
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
} finally {
  for (const child of children) child.kill("SIGKILL");
  rmSync(directory, { recursive: true, force: true });
}
