import { execFile, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

const exec = promisify(execFile);
const here = fileURLToPath(new URL(".", import.meta.url));
const root = fileURLToPath(new URL("..", import.meta.url));
let directory = "";
beforeAll(() => void (directory = mkdtempSync(`${tmpdir()}/ts-micro-examples-`)));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const env = (): NodeJS.ProcessEnv => ({
  ...process.env,
  MICRO_REGISTRY: "local",
  MICRO_LOCAL_DIR: `${directory}/run`,
  MICRO_SERVER_ADDRESS: "127.0.0.1:0",
  MICRO_BROKER_ADDRESS: "127.0.0.1:0",
});
const tsx = `${root}node_modules/tsx/dist/cli.mjs`;
/** What a program writes to standard output; it must end by itself and well. */
const printed = async (file: string, own = env()): Promise<string> =>
  (await exec(process.execPath, [tsx, here + file], { cwd: root, env: own, timeout: 60_000 })).stdout;

const outputs: Readonly<Record<string, string>> = {
  "pubsub/main.ts": "audited: 1 2 3 4 5 6\nmailed once each: true\n",
  "contract-first/main.ts": "{ celsius: 4 }\n1 5\n2 6\n",
  "protobuf/main.ts": "Hello Ada\n1n\n2n\n3n\n",
  "group/main.ts": "{ total: 12 }\n",
  "tls/main.ts": "{ open: true }\nUNAVAILABLE\n",
};

describe.concurrent("every example", { timeout: 90_000 }, () => {
  it.each(Object.entries(outputs))("%s does what it says and ends by itself", async (file, output) => {
    expect(await printed(file)).toBe(output);
  });

  it.each([
    ["greeter", "greeter.ts", "Hello Ada\n1\n2\n3\n"],
    ["one-port", "service.ts", "Hello Ada\n1n\n2n\n3n\n"],
  ])("%s is found and called from a second process, and stops when it is told to", async (folder, file, output) => {
    // Both are called greeter.
    const own = { ...env(), MICRO_LOCAL_DIR: `${directory}/${folder}` };
    const service = spawn(process.execPath, ["--import", "tsx", `${here}${folder}/${file}`], { cwd: root, env: own });
    const ended = new Promise<number | null>((resolve) => service.once("exit", resolve));
    const registered = new Promise<void>((resolve) => {
      let said = "";
      service.stderr.on("data", (data: Buffer) => {
        said += data.toString();
        if (said.includes("registered node")) resolve();
      });
    });
    await Promise.race([registered, ended.then(() => Promise.reject(new Error("greeter ended")))]);
    expect(await printed(`${folder}/client.ts`, own)).toBe(output);
    service.kill("SIGTERM");
    expect(await ended).toBe(0);
  });

  it("demo stops and kills replicas under load and loses no call", async () => {
    const { stdout } = await exec(process.execPath, [`${root}scripts/demo.mjs`], { cwd: root, timeout: 85_000 });
    expect(stdout.match(/, 0 failed,/g)).toHaveLength(2);
    expect(stdout).toContain("done: everything found");
  });
});

it("every example is on the page of examples, and tried", () => {
  const text = readFileSync(`${here}README.md`, "utf8");
  const folders = readdirSync(here, { withFileTypes: true }).flatMap((entry) =>
    entry.isDirectory() ? [entry.name] : [],
  );
  expect(folders.filter((name) => !text.includes(`[${name}](${name})`))).toEqual([]);
  const tried = new Set([...Object.keys(outputs).map((file) => file.split("/")[0]), "greeter", "one-port", "demo"]);
  expect(folders.filter((name) => !tried.has(name))).toEqual([]);
  const commands = [...text.matchAll(/`npx tsx ([^`]+)`/g)].map(([, file = ""]) => file);
  expect(commands.length).toBeGreaterThanOrEqual(folders.length);
  expect(commands.filter((file) => !existsSync(root + file))).toEqual([]);
});
