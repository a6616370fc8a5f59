import { execFile, spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { Registry, RegistryEvent } from "../../../src/registry.ts";
import { mdnsRegistry } from "../../../src/registry/mdns.ts";
import { eventually, within } from "../../../src/testing/suite.ts";
import { Programs } from "../local/children.ts";
import { describeMulticast } from "./namespace.ts";

let programs: Programs;
const children = new Set<ChildProcess>();
const registries = new Set<Registry>();

/** Registers a node, or so many, and says so; says goodbye when its input ends. */
const server = `
import { mdnsRegistry } from "./src/registry/mdns.ts";
const registry = mdnsRegistry();
const [, , id, port, count = "1"] = process.argv;
for (let i = 0; i < count; i++) {
  const metadata = { protocol: "mucp", number: String(i * 7919) };
  const node = { id: count === "1" ? id : id + i, address: "127.0.0.1:" + port, metadata };
  await registry.register({ name: "greeter", version: "latest", metadata: {}, endpoints: [], nodes: [node] });
}
process.stdout.write("registered");
process.stdin.on("end", () => registry.close()).resume();
`;

function ours(): Registry {
  const registry = mdnsRegistry();
  registries.add(registry);
  return registry;
}

let program: string | undefined;

async function serve(id: string, port: number, count = 1): Promise<ChildProcess> {
  program ??= programs.inline("server", server);
  const child = spawn(process.execPath, [program, id, `${port}`, `${count}`], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  children.add(child);
  await within(once(child.stdout, "data"), `${id} registers`, 60_000);
  return child;
}

function run(name: string, code: string): Promise<string> {
  const file = programs.inline(name, `import { mdnsRegistry } from "./src/registry/mdns.ts";\n${code}`);
  return new Promise((resolve, reject) => {
    const child = execFile(process.execPath, [file], (error, stdout, stderr) => {
      children.delete(child);
      if (error === null) resolve(stdout);
      else reject(new Error(`${name}: ${error.message}${stdout}${stderr}`));
    });
    children.add(child);
  });
}

/** The ids of `greeter`, found by a registry. */
async function ids(registry: Registry): Promise<string[]> {
  return (await registry.getService("greeter")).flatMap(({ nodes }) => nodes.map(({ id }) => id)).sort();
}

async function watch(registry: Registry): Promise<RegistryEvent[]> {
  const events: RegistryEvent[] = [];
  const watcher = registry.watch({ service: "greeter" });
  await watcher.ready;
  void (async () => {
    for await (const event of watcher) events.push(event);
  })();
  return events;
}

function told(events: RegistryEvent[], action: string, id: string, limit: number): Promise<RegistryEvent> {
  return eventually(
    () => events.find((event) => event.action === action && event.service.nodes.some((node) => node.id === id)),
    `${action} of ${id}`,
    limit,
  );
}

afterEach(async () => {
  for (const child of children) child.kill("SIGKILL");
  children.clear();
  await Promise.all([...registries].map((registry) => registry.close()));
  registries.clear();
});

describeMulticast(import.meta.url, "mdns between processes", () => {
  beforeAll(() => {
    programs = new Programs();
  });
  afterAll(() => programs.remove());

  describe("mdns", () => {
    it("a killed process, which says no goodbye, is noticed by a watch, and by no look-up any more", async () => {
      const registry = ours();
      const events = await watch(registry);
      const child = await serve("killed", 7001);
      await serve("living", 7002);
      await told(events, "create", "killed", 30_000);
      await told(events, "create", "living", 30_000);
      child.kill("SIGKILL");
      await once(child, "exit");
      await eventually(async () => (await ids(registry)).join() === "living", "look-ups find the living", 30_000);
      await told(events, "delete", "killed", 400_000);
      expect(events.map(({ action, service }) => `${action} ${service.nodes[0]?.id}`).sort()).toEqual([
        "create killed",
        "create living",
        "delete killed",
      ]);
    }, 500_000);

    it("a process that was paused for a while comes back, once", async () => {
      const registry = ours();
      const events = await watch(registry);
      const child = await serve("paused", 7001);
      await told(events, "create", "paused", 30_000);
      child.kill("SIGSTOP");
      await told(events, "delete", "paused", 400_000);
      child.kill("SIGCONT");
      await eventually(() => events.length === 3, "the third event", 400_000);
      expect(events.map(({ action }) => action)).toEqual(["create", "delete", "create"]);
      expect(await ids(registry)).toEqual(["paused"]);
    }, 900_000);

    it("a process that closes its registry is gone from a watch, and ends by itself", async () => {
      const registry = ours();
      const events = await watch(registry);
      const child = await serve("leaving", 7001);
      await told(events, "create", "leaving", 30_000);
      child.stdin?.end();
      expect(await within(once(child, "exit"), "the process ends by itself", 60_000)).toEqual([0, null]);
      await told(events, "delete", "leaving", 10_000);
      expect(await ids(registry)).toEqual([]);
    });

    it("twenty processes on one host are all found, by each other and by two registries of one process", async () => {
      const names = Array.from({ length: 20 }, (_, i) => `n-${i}`).sort();
      await Promise.all(names.map((name, i) => serve(name, 7000 + i)));
      const [one, two] = [ours(), ours()];
      for (const registry of [one, two])
        await eventually(async () => (await ids(registry)).join() === names.join(), "all twenty", 60_000);
      expect((await one.listServices()).map(({ name }) => name)).toEqual(["greeter"]);
    }, 200_000);

    it("five hundred nodes of one process are found by one look-up", async () => {
      await serve("n-", 7000, 500);
      const registry = ours();
      const found = await eventually(
        async () => {
          const all = await ids(registry);
          return all.length === 500 && all;
        },
        "all five hundred in one look-up",
        60_000,
      );
      expect(new Set(found).size).toBe(500);
    }, 100_000);

    it("a program that registers, looks up, lists and watches behind the scenes ends by itself", async () => {
      const code = `
        const [one, two] = [mdnsRegistry(), mdnsRegistry()];
        const nodes = [{ id: "a", address: "127.0.0.1:1", metadata: {} }];
        await one.register({ name: "greeter", version: "latest", metadata: {}, endpoints: [], nodes });
        void two.watch({ background: true })[Symbol.asyncIterator]().next();
        const watcher = two.watch();
        await watcher.ready;
        await watcher.close();
        const found = await two.getService("greeter");
        console.log(found[0].nodes[0].id, (await two.listServices()).length);`;
      expect(await run("client", code)).toBe("a 1\n");
    });

    it("a program that closes its registry waits for the goodbye", async () => {
      const code = `
        const registry = mdnsRegistry();
        const nodes = [{ id: "a", address: "127.0.0.1:1", metadata: {} }];
        await registry.register({ name: "greeter", version: "latest", metadata: {}, endpoints: [], nodes });
        await registry.close();
        console.log("closed");`;
      expect(await run("closing", code)).toBe("closed\n");
    });

    it("a look-up that waits for its answers keeps the process", async () => {
      const code = `mdnsRegistry().getService("nobody").then((found) => console.log("none", found.length));`;
      expect(await run("waiting", code)).toBe("none 0\n");
    });
  });
});
