/**
 * Builds of `scripts/servers/`: test servers and tools, from the package registries, each once per machine. They live
 * outside the checkout in `${XDG_CACHE_HOME:-~/.cache}/ts-micro-servers`, the hash of their sources in the folder's name.
 * Processes that want the same one wait for each other on the build's lock.
 */
import { spawn, spawnSync } from "node:child_process";
import { homedir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const scripts = fileURLToPath(new URL("../../../../scripts/servers/", import.meta.url));
const builds = new Map<string, Promise<string>>();

/** Where the builds are kept. */
export function serversDirectory(): string {
  return join(process.env["XDG_CACHE_HOME"] || join(homedir(), ".cache"), "ts-micro-servers");
}

/** The folder of a built server or tool; `name` is a folder of `scripts/servers/`. Builds it when it is not there. */
export function buildServer(name: string): Promise<string> {
  let build = builds.get(name);
  if (build === undefined) {
    // A download that fails once must not fail the run.
    build = runBuild(name).catch(() => runBuild(name));
    build.catch(() => builds.delete(name));
    builds.set(name, build);
  }
  return build;
}

/** Whether a command is on the path. */
export function hasCommand(name: string): boolean {
  return spawnSync("sh", ["-c", 'command -v "$0"', name], { stdio: "ignore" }).status === 0;
}

function runBuild(name: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const args = ["-n", "10", "bash", join(scripts, "build.sh"), name, serversDirectory()];
    const child = spawn("nice", args, { stdio: ["ignore", "pipe", "pipe"] });
    let out = "";
    let errors = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => (out += text));
    child.stderr.setEncoding("utf8").on("data", (text: string) => (errors = (errors + text).slice(-8000)));
    child.on("error", reject);
    child.on("close", (code) => {
      if (code === 0) resolve(out.trim());
      else reject(new Error(`scripts/servers/build.sh ${name} failed (${code}):\n${errors}`));
    });
  });
}
