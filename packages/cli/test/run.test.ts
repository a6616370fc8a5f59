import { execFileSync } from "node:child_process";
import { mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { bin, built, endAll, Running, Scratch, worldIn } from "./micro.ts";

const scratch = new Scratch();
let folder: string;
let serial = 0;

beforeAll(built, 120_000);
beforeEach(() => {
  folder = join(scratch.path, `project-${++serial}`);
  write("package.json", '{ "type": "module" }');
});
afterAll(async () => {
  await endAll();
  scratch.remove();
});

function write(path: string, text: string): void {
  const file = join(folder, path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
}

/** A program that says its name and process, lives on, and says goodbye at TERM. */
const service = (name: string): string => `
const name: string = ${JSON.stringify(name)};
process.on("SIGTERM", () => {
  console.log(name + " stops");
  process.exit(0);
});
setInterval(() => {}, 1000);
console.log(name + " runs as " + process.pid);
`;

const micro = (...args: readonly string[]): Running =>
  new Running(process.execPath, [bin, ...args], { env: worldIn(scratch.path), cwd: folder });

function pidIn(text: string): number {
  return Number(/.* runs as (\d+)/.exec(text)?.[1]);
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

describe("micro run", () => {
  it("runs TypeScript, restarts it when a source changes, outlives a syntax error, and stops it at INT", async () => {
    write("src/main.ts", service("one"));
    const run = micro("run");
    await run.says("one runs");
    write("src/main.ts", service("two"));
    await run.says("two runs");
    expect(run.stdout).toMatch(/^one runs as \d+\none stops\ntwo runs as \d+\n$/);
    expect(run.stderr).toContain("micro: src/main.ts changed: restarting\n");

    write("src/main.ts", "const = ;");
    await run.says("it ended with code 1; waiting for a change", "stderr");
    expect(run.stderr).toMatch(/main\.ts:1/);
    expect(run.stderr).not.toContain("    at ");
    write("src/main.ts", service("three"));
    await run.says("three runs");

    run.child.kill("SIGINT");
    const { code, stdout } = await run.ended;
    expect(code).toBe(0);
    expect(stdout.endsWith("three stops\n")).toBe(true);
    expect(isAlive(pidIn(stdout.split("three")[1] ?? ""))).toBe(false);
  });

  it("restarts for what it has loaded, changed or gone, and for settings, not for files of others", async () => {
    write("lib/deep/helper.ts", "export const a = 1;");
    write("lib/late.mjs", "");
    write("main.ts", `import "./lib/deep/helper.ts"; await import("./lib/late.mjs");${service("one")}`);
    const run = micro("run", "main.ts");
    await run.says("one runs");
    // None of these counts: were it otherwise, one of them would be the file that is said below.
    for (const path of ["node_modules/x/index.js", "dist/main.js", ".git/index.js", "data.log"]) write(path, "1");
    for (const path of ["client.ts", "out/generated.ts", "lib/deep/other.ts"]) write(path, "export {};");
    write("lib/deep/helper.ts", "export const a = 2;");
    await run.says("lib/deep/helper.ts changed: restarting", "stderr");
    await run.says("runs as", "stdout", 2);
    expect(run.stderr.split("changed").length).toBe(2);
    write("lib/late.mjs", "export {};");
    await run.says("lib/late.mjs changed: restarting", "stderr");
    await run.says("runs as", "stdout", 3);
    write("config/settings.json", "{}");
    await run.says("config/settings.json changed: restarting", "stderr");
    await run.says("runs as", "stdout", 4);
    rmSync(join(folder, "lib/late.mjs"));
    // It cannot be loaded any more, and waits for any file.
    await run.says("it ended with code 1", "stderr");
    write("lib/late.mjs", "");
    await run.says("runs as", "stdout", 5);
    run.child.kill("SIGTERM");
    expect((await run.ended).code).toBe(0);
  });

  it("does not restart for what Git ignores, nor for the folders of registry and data", async () => {
    execFileSync("git", ["init", "-q"], { cwd: folder });
    write(".gitignore", "out/\n");
    write("main.ts", service("one"));
    const env = { ...worldIn(join(folder, "registry")), MICRO_DATA_DIR: "data" };
    const run = new Running(process.execPath, [bin, "run", "main.ts"], { env, cwd: folder });
    await run.says("one runs");
    for (const path of ["registry/a.json", "data/b.json", "out/c.json"]) write(path, "{}");
    write("main.ts", service("two"));
    await run.says("main.ts changed: restarting", "stderr");
    await run.says("two runs");
    expect(run.stderr.split("changed").length).toBe(2);
    run.child.kill("SIGTERM");
    expect((await run.ended).code).toBe(0);
  });

  it.each([
    ["behind a link", "registry", []],
    ["that the address names", "address", ["--registry_address=address"]],
    ["that a name of the registry comes with", "address", ["--registry=local", "--registry_address=address"]],
    ["that the sources are in", ".", ["--registry_address=."]],
  ])("does not restart for the folder of the registry %s", async (_, registry, flags) => {
    const link = `${folder}-link`;
    symlinkSync(folder, link);
    write("main.ts", service("one"));
    const env = { ...worldIn("registry"), MICRO_REGISTRY: "" };
    const run = new Running(process.execPath, [bin, "run", ...flags, link], { env, cwd: scratch.path });
    await run.says("one runs");
    write(`${registry}/record.json`, "{}");
    write("main.ts", service("two"));
    await run.says("two runs");
    run.child.kill("SIGTERM");
    // Were it otherwise, the record would be the file that is said.
    expect((await run.ended).stderr).toBe("micro: main.ts changed: restarting\n");
  });

  it("restarts for what is in a folder that was deleted and made again, or changed places", async () => {
    write("gen/deep/a.mjs", "");
    write("main.mts", `import "./gen/deep/a.mjs";${service("one")}`);
    const run = micro("run", "main.mts");
    await run.says("one runs");
    for (const [times, gone] of [
      [2, () => rmSync(join(folder, "gen"), { recursive: true })],
      [4, () => renameSync(join(folder, "gen"), join(folder, "old"))],
    ] as const) {
      gone();
      write("gen/deep/a.mjs", `export const a = ${times};`);
      await run.says("one runs", "stdout", times);
      write("gen/deep/a.mjs", `export const b = ${times};`);
      await run.says("one runs", "stdout", times + 1);
    }
    run.child.kill("SIGTERM");
    expect((await run.ended).code).toBe(0);
  });

  it("is not disturbed by links in circles, neither old ones nor new ones", async () => {
    write("lib/a.mjs", "");
    for (const [to, path] of [
      [".", "self"],
      ["../..", "lib/up"],
      ["loop", "loop"],
    ] as const)
      symlinkSync(to, join(folder, path));
    write("main.mts", `import "./lib/a.mjs";${service("one")}`);
    const run = micro("run", "main.mts");
    await run.says("one runs");
    symlinkSync("late.mjs", join(folder, "late.mjs"));
    write("lib/a.mjs", "export {};");
    await run.says("lib/a.mjs changed: restarting", "stderr");
    await run.says("one runs", "stdout", 2);
    run.child.kill("SIGTERM");
    expect(await run.ended).toMatchObject({ code: 0, stderr: "micro: lib/a.mjs changed: restarting\n" });
  });

  it.each(["mjs", "mts", "ts"])(
    "restarts for what it has loaded through a link to a folder, a .%s file",
    async (kind) => {
      const shared = join(scratch.path, `shared-${serial}`);
      mkdirSync(shared);
      writeFileSync(join(shared, `a.${kind}`), "");
      symlinkSync(shared, join(folder, "lib"));
      write("main.mts", `import "./lib/a.${kind}";${service("one")}`);
      const run = micro("run", "main.mts");
      await run.says("one runs");
      write(`lib/a.${kind}`, "export {};");
      await run.says(`shared-${serial}/a.${kind} changed: restarting`, "stderr");
      await run.says("one runs", "stdout", 2);
      run.child.kill("SIGTERM");
      expect((await run.ended).code).toBe(0);
    },
  );

  it("starts a service again that crashes, a little later each time", async () => {
    write(
      "main.mjs",
      `import { appendFileSync, readFileSync } from "node:fs";
appendFileSync("starts", "x");
const n = readFileSync("starts", "utf8").length;
if (n < 3) process.exit(7);
console.log("at last"); setInterval(() => {}, 1000);`,
    );
    const run = micro("run", "--no-watch", "main.mjs");
    await run.says("at last");
    expect(run.stderr).toBe(
      "micro: it ended with code 7; starting again in 0.5 s\nmicro: it ended with code 7; starting again in 1 s\n",
    );
    run.child.kill("SIGTERM");
    expect((await run.ended).code).toBe(0);
  });

  it("gives up after so many starts in a row, with the code of the service", async () => {
    write("main.mjs", 'console.log("up"); process.exit(3);');
    expect(await micro("run", "--no-watch", "--retries=1", "main.mjs").ended).toMatchObject({
      code: 3,
      stdout: "up\nup\n",
      stderr: "micro: it ended with code 3; starting again in 0.5 s\nmicro: it ended with code 3; not started again\n",
    });
  });

  it("ends with a program that ends well, and without a watch only", async () => {
    write("main.mjs", 'console.log("done");');
    expect(await micro("run", "--no-watch", "main.mjs").ended).toMatchObject({ code: 0, stdout: "done\n", stderr: "" });
    const run = micro("run", "main.mjs");
    await run.says("it ended; waiting for a change", "stderr");
    write("main.mjs", 'console.log("done again");');
    await run.says("done again");
    run.child.kill("SIGINT");
    expect((await run.ended).code).toBe(0);
  });

  it("hands arguments on, and global flags as the environment too", async () => {
    write(
      "main.mjs",
      "console.log(JSON.stringify([process.argv.slice(2), process.env.MICRO_REGISTRY, process.env.MICRO_STORE, process.env.MICRO_SERVER_METADATA]));",
    );
    const flags = ["--store=file", "--server_metadata=a=1", "--server-metadata", "b=2"];
    const run = micro(
      "run",
      "--no-watch",
      ...flags,
      "main.mjs",
      "--port",
      "80",
      "-v",
      "--registry=etcd",
      "--help",
      "--",
      "--registry=no",
    );
    const { code, stdout } = await run.ended;
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toEqual([
      ["--port", "80", "-v", "--registry=etcd", "--help", "--", "--registry=no"],
      "etcd",
      "file",
      "a=1,b=2",
    ]);
  });

  it.each([
    [
      "what package.json names",
      { "package.json": '{ "type": "module", "main": "app/start.mjs" }', "app/start.mjs": "app", "main.mjs": "no" },
    ],
    [
      "what package.json names as Node understands it, a file",
      { "package.json": '{ "main": "./lib/start" }', "lib/start.js": "lib" },
    ],
    [
      "what package.json names as Node understands it, a folder",
      { "package.json": '\uFEFF{ "main": "lib" }', "lib/index.js": "lib" },
    ],
    ["src/main.ts", { "src/main.ts": "src", "main.ts": "no" }],
    ["index.js", { "index.js": "index" }],
  ])("runs of a folder %s, in that folder", async (_, files) => {
    for (const [path, text] of Object.entries(files))
      write(path, path === "package.json" ? text : `console.log(${JSON.stringify(text)}, process.cwd());`);
    const name = Object.entries(files).find(([path]) => path !== "package.json")?.[1];
    const run = new Running(process.execPath, [bin, "run", "--no-watch", folder], { env: worldIn(scratch.path) });
    expect((await run.ended).stdout).toBe(`${name} ${folder}\n`);
  });

  it("says that what package.json names is not there", async () => {
    write("package.json", '{ "type": "module", "main": "dist/main.js" }');
    write("src/main.ts", "");
    const stderr = 'micro: package.json has main "dist/main.js", which is not there: running src/main.ts\n';
    expect(await micro("run", "--no-watch").ended).toMatchObject({ code: 0, stderr });
    rmSync(join(folder, "src"), { recursive: true });
    expect((await micro("run").ended).stderr).toContain(
      'package.json has main "dist/main.js", which is not there, and',
    );
    write("package.json", "null");
    expect((await micro("run").ended).stderr).toContain("package.json has no main, and");
  });

  it("leaves no service behind when it is killed itself", async () => {
    write("main.mjs", service("x").replaceAll(": string", ""));
    const run = micro("run", "main.mjs");
    await run.says("x runs");
    run.child.kill("SIGKILL");
    const { signal, stdout } = await run.ended;
    expect(signal).toBe("SIGKILL");
    expect(stdout.endsWith("x stops\n")).toBe(true);
  });

  it("kills a service that does not stop when it is asked a second time", async () => {
    write(
      "main.mjs",
      'process.on("SIGTERM", () => console.log("no")); setInterval(() => {}, 1000); console.log("x runs as " + process.pid);',
    );
    const run = micro("run", "main.mjs");
    await run.says("runs as");
    run.child.kill("SIGINT");
    await run.says("no\n");
    run.child.kill("SIGINT");
    // It holds the output too: that has ended, so it has.
    expect((await run.ended).signal).toBe("SIGINT");
  });

  it.each([
    ["no such file", ["run", "nothing.ts"], "nothing.ts: no such file or folder"],
    ["an empty folder", ["run"], "what to run?"],
    ["a number that is none", ["run", "--retries=few", "package.json"], "--retries: a number is needed"],
  ])("ends with 2 for %s", async (_, args, words) => {
    const { code, stderr } = await micro(...args).ended;
    expect(code).toBe(2);
    expect(stderr).toContain(words);
  });
});
