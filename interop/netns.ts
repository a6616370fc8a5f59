/**
 * Tests in a network namespace of their own, with multicast on its loopback: for mDNS, and for Go's default registry. Nothing
 * inside sees the machine's network, and nothing outside sees theirs.
 *
 * ```ts
 * describeInNamespace(import.meta.url, "mDNS between TypeScript and Go", () => {
 *   test("...", async () => { const peer = await goPeer({ version: "v4", registry: "mdns", serve: true, name: "greeter" }); });
 * });
 * ```
 *
 * Outside, the suite is one test: it runs the same file again inside a namespace and is as good as that run; its failure
 * carries the output. Inside, the suite is what it says. Needs Linux, iproute2 and root (or user namespaces): else it is skipped
 * loudly, and fails when TS_MICRO_REQUIRE_GO=1.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, test } from "vitest";
import { buildServer, hasCommand } from "../packages/ts-micro/test/servers/build.ts";

const SETUP = 'ip link set lo up && ip link set lo multicast on && ip route add 224.0.0.0/4 dev lo && exec "$@"';
const INSIDE = "TS_MICRO_NETNS";
const required = process.env["TS_MICRO_REQUIRE_GO"] === "1";
const root = fileURLToPath(new URL("../", import.meta.url));

/** Whether this process runs inside such a namespace. */
export const inNamespace: boolean = process.env[INSIDE] === "1";

let unshare: readonly string[] | undefined;

/** The command that runs `command` inside a new namespace; undefined where that is not possible. */
export function namespaced(command: string, args: readonly string[]): [command: string, args: string[]] | undefined {
  unshare ??= [["-n"], ["-rn"]].find((flags) => works(flags)) ?? [];
  return unshare.length === 0 ? undefined : ["unshare", [...unshare, "sh", "-c", SETUP, "sh", command, ...args]];
}

function works(flags: readonly string[]): boolean {
  return spawnSync("unshare", [...flags, "sh", "-c", SETUP, "sh", "true"], { stdio: "ignore" }).status === 0;
}

export interface NamespaceOptions {
  /** What must be built before, as there is no network inside. Default: both Go peers, when there is Go. */
  readonly builds?: readonly string[];
  /** Liveness limit of the run inside. Default 300 s. */
  readonly limitMs?: number;
}

/** A suite inside a namespace. `file` is the `import.meta.url` of the test file; `name` must be unique in it. */
export const describeInNamespace: (file: string, name: string, body: () => void, options?: NamespaceOptions) => void =
  inNamespace ? suiteInside : testOutside;

function suiteInside(_file: string, name: string, body: () => void): void {
  // oxlint-disable-next-line vitest/valid-title, vitest/valid-describe-callback -- the caller gives both
  describe(name, body);
}

function testOutside(file: string, name: string, _body: () => void, options: NamespaceOptions = {}): void {
  const { builds = hasCommand("go") ? ["go-peer-v4", "go-peer-v5"] : [], limitMs = 300_000 } = options;
  const skip = namespaced("true", []) === undefined && !required;
  if (skip) console.warn(`SKIPPED, no network namespace to be had (root, unshare, iproute2): ${name}`);
  // oxlint-disable-next-line vitest/expect-expect -- the run inside asserts
  test(`${name}, in a network namespace of its own`, { skip, timeout: limitMs }, async ({ signal }) => {
    await Promise.all(builds.map((build) => buildServer(build)));
    await runInside(fileURLToPath(file), name, signal);
  });
}

async function runInside(file: string, name: string, signal: AbortSignal): Promise<void> {
  const scratch = await mkdtemp(join(tmpdir(), "ts-micro-netns-"));
  try {
    const report = join(scratch, "report.json");
    const vitest = join(root, "node_modules/vitest/vitest.mjs");
    const pattern = name.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
    const reporters = ["--reporter=verbose", "--reporter=json", `--outputFile.json=${report}`];
    const args = [vitest, "run", file, "-t", pattern, "--maxWorkers=1", ...reporters];
    const command = namespaced(process.execPath, args);
    if (command === undefined)
      throw new Error("no network namespace to be had: root (or user namespaces) and iproute2");
    const kept = Object.entries(process.env).filter(([key]) => !key.startsWith("VITEST"));
    const env = { ...Object.fromEntries(kept), [INSIDE]: "1", NO_COLOR: "1" };
    const child = spawn(command[0], command[1], { cwd: root, env, detached: true, stdio: ["ignore", "pipe", "pipe"] });
    const output = await outputOf(child, signal);
    const { numPassedTests, numFailedTests } = JSON.parse(await readFile(report, "utf8").catch(() => "{}")) as Report;
    if (child.exitCode !== 0 || numFailedTests !== 0 || !numPassedTests) {
      throw new Error(`inside the namespace ${numPassedTests ?? 0} passed, ${numFailedTests ?? 0} failed:\n${output}`);
    }
    console.log(`${name}: ${numPassedTests} passed inside`);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

interface Report {
  readonly numPassedTests?: number;
  readonly numFailedTests?: number;
}

/** All output, when the process has ended. Aborting kills it with all that it started. */
function outputOf(child: ChildProcess, signal: AbortSignal): Promise<string> {
  return new Promise((resolve, reject) => {
    let output = "";
    const add = (data: Buffer): void => {
      output = (output + data.toString()).slice(-20_000);
    };
    const abort = (): void => {
      if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
    };
    child.stdout?.on("data", add);
    child.stderr?.on("data", add);
    signal.addEventListener("abort", abort, { once: true });
    child.on("error", reject);
    child.on("close", () => {
      signal.removeEventListener("abort", abort);
      resolve(output);
    });
  });
}
