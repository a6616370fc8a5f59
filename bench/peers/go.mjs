// Go Micro on both ends. The load is made by the Go client itself, in the same cells.
import { execFileSync } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { program } from "../lib/proc.mjs";
import { sizes } from "../lib/load.mjs";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** The program for a version, built when a source has changed. */
function built(version) {
  const out = `${root}node_modules/.cache/ts-micro/bench-go-${version}`;
  execFileSync("go", ["build", "-o", out, "."], { cwd: `${root}bench/go/${version}`, stdio: "pipe" });
  return out;
}

const lines = (child) => createInterface({ input: child.stdout })[Symbol.asyncIterator]();

/** The next line of JSON; Go Micro's log goes to standard output too. */
async function next(from) {
  for (;;) {
    const { value, done } = await from.next();
    if (done) throw new Error("the Go program has ended");
    if (value.startsWith("{")) return JSON.parse(value);
  }
}

export async function start({ version, protocol }) {
  const server = program(built(version), ["-protocol", protocol]);
  const { address } = await next(lines(server));
  return { address, processes: [server], foreign: true, close: () => server.stdin.end() };
}

export async function connect(address, { version, protocol }) {
  const client = program(built(version), ["-protocol", protocol, "-client", address]);
  const answers = lines(client);
  const ask = async ({ size, inFlight, ms }) => {
    client.stdin.write(`${JSON.stringify({ name: sizes[size], inFlight, ms })}\n`);
    return next(answers);
  };
  return {
    processes: [client],
    foreign: true,
    cell: ask,
    close: () => client.stdin.end(),
  };
}
