// The load, the same for every peer: closed loops of `inFlight` workers, each waiting for its reply before the next call.
import { randomText } from "./text.mjs";

export const sizes = { tiny: "John", "1k": randomText(1024), "64k": randomText(65_536) };

// One entry a call; a cell that makes more of them overwrites its first.
const latencies = new Float64Array(1 << 21);
const mask = latencies.length - 1;

const microseconds = ({ user, system }) => user + system;

/** Calls for `ms`, and checks each reply. Times in microseconds. */
export async function cell(client, { size, inFlight, ms }) {
  const name = sizes[size];
  const first = await client.call(name);
  if (first.msg !== `Hello ${name}`) throw new Error(`a wrong reply: ${JSON.stringify(first).slice(0, 80)}`);
  const { length } = first.msg;
  const cpu = process.cpuUsage();
  const { calls, elapsed } = await loop(client, name, length, inFlight, ms);
  const spent = microseconds(process.cpuUsage(cpu));
  const sorted = latencies.slice(0, Math.min(calls, latencies.length)).sort();
  return {
    calls,
    rate: calls / (elapsed / 1000),
    p50: sorted[Math.floor(sorted.length * 0.5)] * 1000,
    p99: sorted[Math.floor(sorted.length * 0.99)] * 1000,
    cpu: spent,
  };
}

async function loop(client, name, length, inFlight, ms) {
  let calls = 0;
  const began = performance.now();
  const end = began + ms;
  // Some turns for each worker, else the slowest peers are measured by how they begin.
  const least = inFlight * 20;
  const last = began + ms * 8;
  async function worker() {
    let at = performance.now();
    do {
      const { msg } = await client.call(name);
      if (msg.length !== length) throw new Error(`a reply of ${msg.length} characters, not ${length}`);
      const now = performance.now();
      latencies[calls++ & mask] = now - at;
      at = now;
    } while (at < end || (calls < least && at < last));
  }
  await Promise.all(Array.from({ length: inFlight }, worker));
  return { calls, elapsed: performance.now() - began };
}

/** How many messages of a kind took about as long as was asked for. */
const enough = new Map();

/** Messages a second of a stream, or deliveries: `n` grows until it takes about `ms`. */
export async function flow(client, { kind, ms }) {
  let n = enough.get(kind) ?? 100;
  for (;;) {
    const cpu = process.cpuUsage();
    const began = performance.now();
    const got = await client[kind](n);
    const elapsed = performance.now() - began;
    if (got < n) throw new Error(`${kind}: ${got} of ${n} messages came`);
    // A pause of the machine makes little look long enough.
    const long = n >= 2000 || elapsed >= 4 * ms;
    if ((elapsed >= ms / 2 && long) || n >= 4_000_000) {
      enough.set(kind, Math.min(4_000_000, Math.max(100, Math.ceil((n * ms) / elapsed))));
      return { calls: got, rate: got / (elapsed / 1000), cpu: microseconds(process.cpuUsage(cpu)) };
    }
    n = Math.ceil(n * Math.min(20, Math.max(2, ms / Math.max(elapsed, 0.01))));
  }
}
