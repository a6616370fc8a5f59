import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { bin, built, endAll, type Outcome, root, Running, Scratch, worldIn } from "./micro.ts";

const scratch = new Scratch();
const world = new Scratch();
const env = worldIn(world.path);

const micro = (...args: readonly string[]): Promise<Outcome> =>
  new Running(process.execPath, [bin, ...args], { env, cwd: scratch.path }).ended;

beforeAll(built, 120_000);
afterAll(async () => {
  await endAll();
  scratch.remove();
  world.remove();
});

describe("micro new service", () => {
  it("writes a service that runs as printed, and passes the strict compiler", async () => {
    const { code, stdout, stderr } = await micro("new", "service", "hello-world");
    expect([code, stderr]).toEqual([0, ""]);
    const project = join(scratch.path, "hello-world");
    expect(readdirSync(project).sort()).toEqual([
      ".gitignore",
      "client.ts",
      "main.ts",
      "package.json",
      "tsconfig.json",
    ]);
    const steps = stdout.split("\n").flatMap((line) => (line.startsWith("  ") ? [line.trim()] : []));
    expect(steps).toEqual([
      "cd hello-world",
      "npm install",
      "npm start",
      "npm run client",
      `npx ts-micro-cli call hello-world HelloWorld.Hello '{"name":"Ada"}'`,
    ]);

    install(project);
    const shell = (command: string): Running => new Running("sh", ["-c", command], { env, cwd: project });
    expect(await shell("npm run --silent check").ended).toMatchObject({ code: 0, stdout: "" });
    const service = shell(`exec ${steps[2]}`);
    await service.says("registered node", "stderr");
    expect(await shell(`${steps[3]} --silent`).ended).toMatchObject({ code: 0, stdout: "Hello Ada\n1\n2\n3\n" });
    expect(await shell(steps[4] ?? "").ended).toMatchObject({ code: 0, stdout: '{"msg":"Hello Ada"}\n' });
    service.signal("SIGINT");
    await service.ended;
  }, 120_000);

  it("writes what passes the compiler whatever the name", async () => {
    const names = [
      "export",
      "await",
      "console",
      "n",
      "create-client",
      "create-service",
      "promise",
      "object",
      "z",
      "a-1b",
    ];
    const projects = join(scratch.path, "names");
    mkdirSync(projects);
    for (const name of names)
      expect(
        await new Running(process.execPath, [bin, "new", "service", name], { env, cwd: projects }).ended,
      ).toMatchObject({ code: 0 });
    for (const file of ["package.json", "tsconfig.json"]) copyFileSync(join(projects, "n", file), join(projects, file));
    install(projects);
    const tsc = new Running(process.execPath, [join(root, "node_modules/typescript/bin/tsc"), "--listFilesOnly"], {
      env,
      cwd: projects,
    });
    expect((await tsc.ended).stdout.split("/names/").length - 1).toBe(names.length * 2);
    expect(await new Running("npm", ["run", "--silent", "check"], { env, cwd: projects }).ended).toMatchObject({
      code: 0,
      stdout: "",
    });
  }, 120_000);

  it("names everything after the service, and takes the last part of a path", async () => {
    expect((await micro("new", "service", "github.com/acme/orders")).code).toBe(0);
    const main = readFileSync(join(scratch.path, "orders/main.ts"), "utf8");
    expect(main).toContain('createService({ name: "orders" }).handle("Orders", {');
    expect(existsSync(join(scratch.path, "github.com"))).toBe(false);
  });

  it("leaves alone what is there", async () => {
    mkdirSync(join(scratch.path, "taken"));
    expect(await micro("new", "service", "taken")).toMatchObject({
      code: 1,
      stdout: "",
      stderr: "micro: taken exists already\n",
    });
    expect(readdirSync(join(scratch.path, "taken"))).toEqual([]);
  });

  it.each(["/tmp/absolute", "Upper", "1st", "a b", "..", "a/", "-"])("refuses the name %j", async (name) => {
    const before = readdirSync(scratch.path);
    expect(await micro("new", "service", name)).toMatchObject({ code: 2, stdout: "" });
    expect(readdirSync(scratch.path)).toEqual(before);
  });
});

/** What `npm install` would do, from this checkout. */
function install(project: string): void {
  const manifest = JSON.parse(readFileSync(join(project, "package.json"), "utf8")) as Record<
    string,
    Record<string, string>
  >;
  const modules = join(project, "node_modules");
  mkdirSync(join(modules, ".bin"), { recursive: true });
  for (const name of Object.keys({ ...manifest["dependencies"], ...manifest["devDependencies"] })) {
    mkdirSync(join(modules, name, ".."), { recursive: true });
    symlinkSync(join(root, "node_modules", name), join(modules, name));
  }
  symlinkSync(bin, join(modules, ".bin/micro"));
  symlinkSync(join(root, "node_modules/typescript/bin/tsc"), join(modules, ".bin/tsc"));
}
