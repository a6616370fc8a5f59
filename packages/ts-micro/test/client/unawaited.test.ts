import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, it } from "vitest";

const run = async (what: string): Promise<{ code: number; stdout: string }> => {
  const program = fileURLToPath(new URL("unawaited.ts", import.meta.url));
  const args = ["--import", "tsx", program, what];
  try {
    const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: 30_000 });
    return { code: 0, stdout };
  } catch (error) {
    const { code, stdout } = error as { code: number; stdout: string };
    return { code, stdout };
  }
};

it.each(["service", "address"])(
  "a call of no %s that nobody awaits is reported, though the client has called before",
  async (what) => {
    expect(await run(what)).toEqual({ code: 0, stdout: "unhandled\n" });
  },
);

it("a client closed right after it has published, beside a registry that is slow to close, keeps the process till it is", async () => {
  expect(await run("publish")).toEqual({ code: 0, stdout: "closed\n" });
});

it("a call whose interceptor waits keeps the process till it has settled", async () => {
  expect(await run("interceptor")).toEqual({ code: 0, stdout: "settled\n" });
});
