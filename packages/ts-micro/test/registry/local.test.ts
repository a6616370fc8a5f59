import { spawnSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { systemClock } from "../../src/clock.ts";
import { milliseconds } from "../../src/duration.ts";
import type { Registry, ServiceRecord } from "../../src/registry.ts";
import { driver, localRegistry } from "../../src/registry/local.ts";
import { Directory } from "../../src/registry/local/directory.ts";
import { thisHost } from "../../src/registry/local/record.ts";
import { View } from "../../src/registry/local/view.ts";
import { registryConformance } from "../../src/testing/registry.ts";
import { virtualClock } from "../../src/testing/clock.ts";
import { eventually, within } from "../../src/testing/suite.ts";
import { Child, Programs, run } from "./local/children.ts";

/** How many processes look at each other. */
const crowd = 12;

function greeter(id: string, address = "127.0.0.1:7001"): ServiceRecord {
  return { name: "greeter", version: "latest", metadata: {}, endpoints: [], nodes: [{ id, address, metadata: {} }] };
}

async function ids(registry: Registry): Promise<string[]> {
  return (await registry.getService("greeter")).flatMap(({ nodes }) => nodes.map(({ id }) => id)).sort();
}

describe("local registry", () => {
  const programs = new Programs();
  const directories: string[] = [];
  let directory = "";
  let open: (Registry | Child)[] = [];
  let program = "";

  const newDirectory = (): string => {
    const path = mkdtempSync(join(tmpdir(), "lr-"));
    directories.push(path);
    return path;
  };
  const registry = (options: Parameters<typeof localRegistry>[0] = {}): Registry => {
    const made = localRegistry({ directory, ...options });
    open.push(made);
    return made;
  };
  const child = async (): Promise<Child> => {
    const made = new Child(program, directory);
    open.push(made);
    await made.ready;
    return made;
  };
  const children = (n: number): Promise<Child[]> => Promise.all(Array.from({ length: n }, child));
  const records = (): string[] => readdirSync(directory).filter((name) => name.endsWith(".json"));

  beforeAll(() => {
    program = programs.compile("test/registry/local/program.ts");
  });
  beforeEach(() => {
    directory = newDirectory();
  });
  afterEach(async () => {
    await Promise.all(open.map((one) => (one instanceof Child ? one.kill() : one.close())));
    open = [];
    for (const path of directories.splice(0)) rmSync(path, { recursive: true, force: true });
  });
  afterAll(() => programs.remove());

  const namespaces = new Map<string, string>();
  registryConformance(
    { describe, it },
    {
      create(namespace) {
        const path = namespaces.get(namespace) ?? newDirectory();
        namespaces.set(namespace, path);
        return localRegistry({ directory: path });
      },
    },
  );

  it(`${crowd} processes see each other, and each is told once of one that is killed`, async () => {
    const all = await children(crowd);
    await Promise.all(all.map((one, i) => one.register(greeter(`n${i}`))));
    const names = all.map((_, i) => `n${i}`).sort();
    for (const one of all) expect(await one.list()).toEqual(names);
    await Promise.all(all.map((one) => one.watch()));
    const [first, second, ...rest] = all as [Child, Child, ...Child[]];
    await first.kill();
    await Promise.all([second, ...rest].map((one) => one.told("delete n0")));
    const five = rest.splice(0, 5);
    await Promise.all(five.map((one) => one.kill()));
    for (const one of [second, ...rest]) for (let i = 2; i < 7; i++) await one.told(`delete n${i}`);
    for (const one of [second, ...rest]) {
      expect(one.events.length).toBe(6);
      expect(await one.list()).toEqual([`n1`, ...rest.map((_, i) => `n${i + 7}`)].sort());
    }
    // Whoever found them dead took their files away.
    await eventually(() => records().length === 1 + rest.length, "the records of the dead are gone");
    await eventually(() => readdirSync(join(directory, "beacon")).length === 1 + rest.length, "so are their beacons");
  });

  it("sees what another process registered at the very next lookup, first or later, without waiting", async () => {
    const other = await child();
    const old = registry();
    expect(await ids(old)).toEqual([]);
    for (let i = 0; i < 30; i++) {
      await other.register(greeter(`n${i}`));
      const fresh = localRegistry({ directory });
      expect((await ids(fresh)).length).toBe(i + 1);
      expect((await ids(old)).length).toBe(i + 1);
      await fresh.close();
    }
    await other.deregister(greeter("n0"));
    expect((await ids(old)).length).toBe(29);
  });

  it("sees each of 200 changes that follow one another within the ticks of the file system's clock", async () => {
    const [here, there] = [registry(), registry()];
    for (let i = 0; i < 200; i++) {
      await there.register(greeter("a", `127.0.0.1:${i}`));
      expect((await here.getService("greeter"))[0]?.nodes[0]?.address).toBe(`127.0.0.1:${i}`);
    }
  });

  it("looks again at a directory that changed so lately that it may have changed twice within one tick", async () => {
    const [one, two] = [registry(), registry()];
    const view = new View(new Directory(directory), "own", systemClock, () => {});
    // A clock too coarse to tell the two changes apart.
    const tick = new Date(Date.now() + 1000);
    await one.register(greeter("a"));
    utimesSync(directory, tick, tick);
    await view.refresh();
    await two.register(greeter("b"));
    utimesSync(directory, tick, tick);
    await view.refresh();
    expect(
      view.table
        .get("greeter")[0]
        ?.nodes.map(({ id }) => id)
        .sort(),
    ).toEqual(["a", "b"]);
    view.close();
  });

  it("does not list a process that was killed before the first lookup, and removes its files", async () => {
    const other = await child();
    await other.register(greeter("a"));
    await other.kill();
    expect(records()).toHaveLength(1);
    expect(await ids(registry())).toEqual([]);
    await eventually(() => records().length === 0 && readdirSync(join(directory, "beacon")).length === 0, "clean");
  });

  it("keeps a paused process listed, also when nobody can connect to it any more", async () => {
    const [paused, other, watching] = (await children(3)) as [Child, Child, Child];
    await paused.register(greeter("paused"));
    await other.register(greeter("other"));
    await watching.watch();
    await watching.list();
    paused.pause();
    const beacon = readdirSync(join(directory, "beacon")).find((name) =>
      name.startsWith(`${paused.pid.toString(36)}-`),
    );
    const sockets = await fill(join(directory, "beacon", beacon ?? ""));
    await other.kill();
    await watching.told("delete other");
    expect(watching.events).toEqual(["delete other"]);
    expect(await ids(registry())).toEqual(["paused"]);
    for (const socket of sockets) socket.destroy();
    paused.resume();
    expect(await paused.list()).toEqual(["paused"]);
    expect(await ids(registry())).toEqual(["paused"]);
  });

  it("comes back when the directory is swept away, and nobody is told that anybody died", async () => {
    const all = await children(5);
    await Promise.all(all.map((one, i) => one.register(greeter(`n${i}`))));
    await Promise.all(all.map((one) => one.watch()));
    renameSync(directory, `${directory}.gone`);
    rmSync(`${directory}.gone`, { recursive: true });
    await eventually(() => existsSync(directory) && records().length === 5, "all records are back");
    expect(await ids(registry())).toEqual(["n0", "n1", "n2", "n3", "n4"]);
    for (const one of all) {
      expect(await one.list()).toHaveLength(5);
      expect(one.events).toEqual([]);
    }
    await all[0]?.kill();
    for (const one of all.slice(1)) await one.told("delete n0");
  });

  it("writes a record or a beacon anew that was lost", async () => {
    const other = await child();
    await other.register(greeter("a"));
    const before = records();
    rmSync(join(directory, before[0] ?? ""));
    await eventually(() => records().length === 1, "the record is back");
    const [beacon = ""] = readdirSync(join(directory, "beacon"));
    rmSync(join(directory, "beacon", beacon));
    // Without a beacon it is taken for dead by whoever comes now; its owner puts both back.
    const late = registry();
    await eventually(async () => (await ids(late)).includes("a"), "it is seen again");
    expect(records()).toEqual(before);
  });

  it("finds a directory that took the place of the one it watched", async () => {
    const watching = registry({ pollMs: 20 });
    const watcher = watching.watch();
    await watcher.ready;
    renameSync(directory, `${directory}.old`);
    directories.push(`${directory}.old`);
    const other = await child();
    await other.register(greeter("a"));
    const { value } = await watcher[Symbol.asyncIterator]().next();
    expect(value?.service.nodes[0]?.id).toBe("a");
  });

  it("is told at once, without a poll, of changes in a directory that took the place of another", async () => {
    const clock = virtualClock();
    const watching = registry({ clock });
    const watcher = watching.watch();
    await watcher.ready;
    renameSync(directory, `${directory}.old`);
    directories.push(`${directory}.old`);
    const other = await child();
    for (let poll = 0; poll < 3; poll++) {
      await clock.advance(1000);
      await eventually(() => clock.pending() === 1, "the next poll is set");
    }
    // The rest after a look that lasted as long as the clock went on; the poll is later.
    await clock.advance(250);
    await other.register(greeter("a"));
    const { value } = await within(watcher[Symbol.asyncIterator]().next(), "the event");
    expect(value?.service.nodes[0]?.id).toBe("a");
  });

  it("ignores junk of every kind", async () => {
    const other = await child();
    await other.register(greeter("a"));
    const host = thisHost();
    const good = { v: 1, at: 1, boot: host.boot, net: host.net, services: [greeter("evil")] };
    const files: Record<string, string> = {
      empty: "",
      cut: '{"v":1,',
      null: "null",
      list: "[]",
      "other-id": JSON.stringify({ ...good, id: "x" }),
      "no-name": JSON.stringify({ ...good, id: "no-name", services: [{ ...greeter("evil"), name: "" }] }),
      "bad-nodes": JSON.stringify({ ...good, id: "bad-nodes", services: [{ ...greeter("evil"), nodes: [null] }] }),
      "bad-map": JSON.stringify({ ...good, id: "bad-map", services: [{ ...greeter("evil"), metadata: { a: 1 } }] }),
      "version-2": JSON.stringify({ ...good, id: "version-2", v: 2 }),
      big: JSON.stringify({ ...good, id: "big", fill: "x".repeat(1 << 20) }),
      // As it should be, but nobody is there.
      dead: JSON.stringify({ ...good, id: "dead" }),
    };
    mkdirSync(join(directory, "beacon"), { recursive: true });
    const servers: Server[] = [];
    for (const [name, text] of Object.entries(files)) {
      if (name !== "dead") servers.push(await beacon(name));
      writeFileSync(join(directory, `${name}.json`), text);
    }
    writeFileSync(join(directory, "sparse.json"), "");
    truncateSync(join(directory, "sparse.json"), 2 ** 40);
    symlinkSync(join(directory, "dead.json"), join(directory, "link.json"));
    symlinkSync("/nowhere", join(directory, "dangling.json"));
    mkdirSync(join(directory, "folder.json"));
    spawnSync("mkfifo", [join(directory, "pipe.json")]);
    writeFileSync(join(directory, "NAME WITH SPACES.json"), JSON.stringify(good));
    expect(await ids(registry())).toEqual(["a"]);
    expect(await other.list()).toEqual(["a"]);
    for (const server of servers) server.close();
  });

  it.skipIf(process.platform === "win32")(
    "sees what it could not read for want of file descriptors, once it can",
    async () => {
      for (const id of ["a", "b", "c"]) await registry().register(greeter(id));
      // So long ago that nobody looks again without a reason.
      utimesSync(directory, 1, 1);
      const starved = programs.inline(
        "starved",
        `import { closeSync, openSync } from "node:fs";
       import { localRegistry } from "./src/registry/local.ts";
       const registry = localRegistry({ directory: process.argv[2] });
       const look = () => registry.getService("greeter").then(
         (records) => records.flatMap(({ nodes }) => nodes).length,
         ({ code, detail }) => code + (detail.includes("EMFILE") ? " EMFILE" : detail),
       );
       console.log("begun");
       const open = [];
       try {
         for (;;) open.push(openSync("/dev/null"));
       } catch {}
       console.log(await look());
       // Enough for the directory, too few for what is in it.
       closeSync(open.pop());
       await look();
       for (const file of open) closeSync(file);
       console.log(await look());
       await registry.close();`,
      );
      expect(await run(starved, [directory], undefined, 64)).toBe("0: begun\nREGISTRY_UNAVAILABLE EMFILE\n3");
    },
  );

  it("skips the loopback addresses of another network, keeps its others", async () => {
    const host = thisHost();
    const servers = [await beacon("near"), await beacon("far")];
    const nodes = [
      { id: "loop4", address: "127.0.0.1:1", metadata: {} },
      { id: "loop6", address: "[::1]:1", metadata: {} },
      { id: "name", address: "localhost:1", metadata: {} },
      { id: "lan", address: "10.0.0.7:1", metadata: {} },
      { id: "unix", address: "unix:/run/x", metadata: {} },
    ];
    const write = (id: string, net: string, name: string): void =>
      writeFileSync(
        join(directory, `${id}.json`),
        JSON.stringify({ v: 1, id, pid: 1, at: 1, boot: host.boot, net, services: [{ ...greeter("x"), name, nodes }] }),
      );
    write("near", host.net, "near");
    write("far", "net:[1]", "far");
    const here = registry();
    expect((await here.getService("near"))[0]?.nodes).toHaveLength(5);
    expect((await here.getService("far"))[0]?.nodes.map(({ id }) => id)).toEqual(["lan", "unix"]);
    for (const server of servers) server.close();
  });

  it("leaves the record of another kernel alone, and removes one from before the last start", async () => {
    const write = (id: string): void =>
      writeFileSync(
        join(directory, `${id}.json`),
        JSON.stringify({ v: 1, id, at: 1, boot: "other", net: "", services: [greeter(id, "10.0.0.1:1")] }),
      );
    write("new");
    write("old");
    utimesSync(join(directory, "old.json"), 1, 1);
    expect(await ids(registry())).toEqual([]);
    expect(records()).toEqual(["new.json"]);
  });

  it("of two processes that speak of one node the later one counts, and its death leaves the other's", async () => {
    const [first, second, watching] = [await child(), await child(), await child()];
    await first.register(greeter("a", "127.0.0.1:1"));
    await second.register(greeter("a", "127.0.0.1:2"));
    const here = registry();
    expect((await here.getService("greeter"))[0]?.nodes.map(({ address }) => address)).toEqual(["127.0.0.1:2"]);
    await watching.watch();
    await second.kill();
    await watching.told("update a");
    expect(watching.events).toEqual(["update a"]);
    await eventually(
      async () => (await here.getService("greeter"))[0]?.nodes[0]?.address === "127.0.0.1:1",
      "the other one's address",
    );
  });

  it("has neither beacon nor record while it only looks up, and leaves no file behind", async () => {
    const looking = registry();
    await looking.getService("greeter");
    await looking.watch().ready;
    expect([records(), readdirSync(join(directory, "beacon"))]).toEqual([[], []]);
    await looking.register(greeter("a"));
    expect([records().length, readdirSync(join(directory, "beacon")).length]).toEqual([1, 1]);
    await looking.close();
    expect([records(), readdirSync(join(directory, "beacon"))]).toEqual([[], []]);
  });

  it("refuses a directory that is not this user's alone, and says why", async () => {
    const refused = async (path: string): Promise<string> => {
      const registry = localRegistry({ directory: path });
      const error: unknown = await registry.start().catch((e: unknown) => e);
      await expect(registry.register(greeter("a"))).rejects.toMatchObject({ code: "REGISTRY_UNAVAILABLE" });
      await expect(registry.getService("greeter")).rejects.toMatchObject({ code: "REGISTRY_UNAVAILABLE" });
      await expect(registry.watch().ready).rejects.toMatchObject({ code: "REGISTRY_UNAVAILABLE" });
      await registry.close();
      return (error as { detail: string }).detail;
    };
    chmodSync(directory, 0o755);
    expect(await refused(directory)).toContain("chmod 700");
    const target = newDirectory();
    const link = `${target}-link`;
    directories.push(link);
    symlinkSync(target, link);
    expect(await refused(link)).toContain("not a directory");
    expect(readdirSync(target)).toEqual([]);
    expect(await refused(join(directory, "x".repeat(100)))).toContain("too long");
    writeFileSync(join(target, "file"), "");
    expect(await refused(join(target, "file"))).toContain("not a directory");
    expect(await refused(join(target, "file", "below"))).toContain("cannot be used");
  });

  it.runIf(process.getuid?.() === 0)("refuses a directory of another user, even as root", async () => {
    chownSync(directory, 4242, 4242);
    await expect(registry().getService("greeter")).rejects.toMatchObject({
      code: "REGISTRY_UNAVAILABLE",
      detail: expect.stringContaining("another user"),
    });
  });

  it("does not go on with a directory that became somebody else's", async () => {
    const looking = registry();
    await looking.register(greeter("a"));
    chmodSync(directory, 0o777);
    await expect(looking.getService("greeter")).rejects.toMatchObject({ code: "REGISTRY_UNAVAILABLE" });
    chmodSync(directory, 0o700);
    expect(await ids(looking)).toEqual(["a"]);
  });

  it("refuses more than a record can hold, and keeps what was registered before", async () => {
    const one = registry();
    await one.register(greeter("a"));
    const big = greeter("b");
    big.nodes[0] = { id: "b", address: "127.0.0.1:1", metadata: { fill: "x".repeat(1 << 20) } };
    await expect(one.register(big)).rejects.toMatchObject({ code: "PAYLOAD_TOO_LARGE" });
    expect(await ids(one)).toEqual(["a"]);
    expect(await ids(registry())).toEqual(["a"]);
  });

  it("ends by itself when nobody waits, and not while somebody reads a watch", async () => {
    const idle = programs.inline(
      "idle",
      `import { localRegistry } from "./src/registry/local.ts";
       const registry = localRegistry({ directory: process.argv[2] });
       await registry.register(${JSON.stringify(greeter("idle"))}, { ttl: "10m" });
       registry.watch();
       console.log((await registry.getService("greeter")).length);`,
    );
    expect(await run(idle, [directory])).toBe("0: 1");
    const reading = programs.inline(
      "reading",
      `import { localRegistry } from "./src/registry/local.ts";
       const watcher = localRegistry({ directory: process.argv[2] }).watch();
       await watcher.ready;
       console.log("ready");
       for await (const { service } of watcher) {
         console.log(service.nodes[0].id);
         break;
       }`,
    );
    const other = await child();
    let told = Promise.resolve();
    const ended = run(reading, [directory], (line) => {
      if (line.startsWith("ready")) told = other.register(greeter("late"));
    });
    expect(await ended).toBe("0: ready\nlate");
    await told;
  });

  it("takes its directory by address or from MICRO_LOCAL_DIR", async () => {
    const other = registry();
    await other.register(greeter("a"));
    for (const made of [
      driver.fromAddress(directory, {}),
      driver.fromAddress(undefined, { MICRO_LOCAL_DIR: directory }),
    ]) {
      open.push(made);
      expect(await ids(made)).toEqual(["a"]);
    }
  });

  it("lets a node go when its own process no longer registers it, for the others too", async () => {
    const [here, there] = [registry(), registry()];
    await here.register(greeter("a"), { ttl: milliseconds("300ms") });
    const watcher = there.watch();
    await watcher.ready;
    expect(await ids(there)).toEqual(["a"]);
    const { value } = await watcher[Symbol.asyncIterator]().next();
    expect([value?.action, value?.service.nodes[0]?.id]).toEqual(["delete", "a"]);
  });

  /** Somebody alive, who has yet to say something. */
  async function beacon(id: string): Promise<Server> {
    mkdirSync(join(directory, "beacon"), { recursive: true, mode: 0o700 });
    const server = createServer((socket) => socket.on("error", () => {}).resume());
    await new Promise<void>((resolve) => server.listen(join(directory, "beacon", id), resolve));
    return server;
  }
});

/** Connects until nobody can any more. */
async function fill(path: string): Promise<Socket[]> {
  const sockets: Socket[] = [];
  for (;;) {
    const socket = connect(path);
    const code = await new Promise<string | undefined>((resolve) => {
      socket.once("connect", () => resolve(undefined));
      socket.once("error", (error: NodeJS.ErrnoException) => resolve(error.code));
    });
    socket.on("error", () => {});
    if (code === "EAGAIN") return sockets;
    if (code !== undefined || sockets.length > 5000) throw new Error(`cannot fill the backlog of ${path}: ${code}`);
    sockets.push(socket);
  }
}
