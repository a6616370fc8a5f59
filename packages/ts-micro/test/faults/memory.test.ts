import { fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";

interface Report {
  readonly stalled: { readonly sent: number; readonly grown: number };
  readonly blocked: { readonly written: number; readonly grown: number };
  readonly received: number;
  readonly rest: number;
  readonly total: number;
}

it(
  "a reader that stops stops a stream of 64 MiB: the process grows by 16 MiB at most, and nothing is lost",
  { timeout: 60_000 },
  async () => {
    const child = fork(fileURLToPath(new URL("./reader.ts", import.meta.url)), {
      execArgv: ["--expose-gc", "--import", "tsx"],
      stdio: ["ignore", "ignore", "inherit", "ipc"],
    });
    let report: Report | undefined;
    child.once("message", (message) => (report = message as Report));
    expect(await new Promise((resolve) => child.once("exit", resolve))).toBe(0);
    const { stalled, blocked, received, rest, total } = report as Report;
    expect(stalled.sent).toBeLessThan(total / 32);
    expect(blocked.written).toBeLessThan(total / 32);
    expect(stalled.grown).toBeLessThanOrEqual(16 << 20);
    expect(blocked.grown).toBeLessThanOrEqual(16 << 20);
    expect({ received, rest }).toEqual({ received: total, rest: total });
  },
);
