import { readdirSync, readFileSync } from "node:fs";
import { spawn } from "node:child_process";
import { createServer } from "node:net";
import { once } from "node:events";

/** Microseconds on a CPU of these processes, by Linux's account of their threads. */
export function cpuOf(children) {
  let sum = 0;
  for (const { pid } of children) {
    for (const thread of readdirSync(`/proc/${pid}/task`)) {
      sum += Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, "utf8").split(" ")[0]) / 1000;
    }
  }
  return sum;
}

/** Their resident bytes. */
export function memoryOf(children) {
  const pages = children.map(({ pid }) =>
    Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]),
  );
  return pages.reduce((sum, kilobytes) => sum + kilobytes * 1024, 0);
}

/** A program that ends with this process. Its standard error is ours. */
export function program(command, args, options = {}) {
  const child = spawn(command, args, { stdio: ["pipe", "pipe", "inherit"], ...options });
  process.once("exit", () => child.kill("SIGKILL"));
  return child;
}

/** A port that nobody has at the moment, for servers that cannot be asked for theirs. */
export async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}
