import { spawn } from "node:child_process";
import { once } from "node:events";
import { afterEach, expect, it } from "vitest";

const guard = new URL("../src/run/guard.ts", import.meta.url).href;
const children = new Set<ReturnType<typeof spawn>>();

afterEach(() => {
  for (const child of children) child.kill("SIGKILL");
  children.clear();
});

it("the guard of a service does nothing in the processes that the service starts itself", async () => {
  const open = (): string[] => process.getActiveResourcesInfo();
  const before = open();
  expect(process.env["MICRO_RUN_LIFELINE"]).toBeUndefined();
  await import("../src/run/guard.ts");
  expect(open()).toEqual(before);
});

it("the guard kills a service that does not stop when its command has gone", async () => {
  const program = 'process.on("SIGTERM", () => console.log("no")); setInterval(() => {}, 1000); console.log("up");';
  const child = spawn(process.execPath, ["--import", "tsx", "--import", guard, "--input-type=module", "-e", program], {
    env: { ...process.env, MICRO_RUN_LIFELINE: "1000" },
    stdio: ["ignore", "pipe", "inherit", "pipe"],
    detached: true,
  });
  children.add(child);
  const closed = once(child, "close");
  let said = "";
  child.stdout?.setEncoding("utf8").on("data", (text: string) => {
    said += text;
    if (said === "up\n") child.stdio[3]?.destroy();
  });
  expect(await closed).toEqual([null, "SIGKILL"]);
  expect(said).toBe("up\nno\n");
});
