import { execFileSync } from "node:child_process";
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { networkInterfaces } from "node:os";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Registry, ServiceRecord, Watcher } from "../../../src/registry.ts";
import { mdnsRegistry, type MdnsRegistryOptions } from "../../../src/registry/mdns.ts";
import { virtualClock } from "../../../src/testing/clock.ts";
import { eventually } from "../../../src/testing/suite.ts";
import { decodePacket, labelsOf } from "../../../src/wire/dns.ts";
import { describeMulticast } from "./namespace.ts";

const registries = new Set<Registry>();
const sockets = new Set<Socket>();
const faults: unknown[] = [];
const fault = (error: unknown): unknown => faults.push(error);

function ours(options: MdnsRegistryOptions = {}): Registry {
  const registry = mdnsRegistry(options);
  registries.add(registry);
  return registry;
}

function ip(args: string): void {
  execFileSync("ip", args.split(" "), { stdio: ["ignore", "ignore", "pipe"] });
}

/** A cable from d0 to d1; d0 gets the address. */
async function wire(address: string, flags = ""): Promise<void> {
  ip("link add d0 type veth peer name d1");
  ip(`addr add ${address} dev d0 ${flags}`.trim());
  ip("link set d0 up");
  ip("link set d1 up");
  await eventually(() => networkInterfaces()["d0"] !== undefined, "d0 is up");
}

/** Names announced from this address from now on. */
async function heard(address: string): Promise<() => string[]> {
  const names: string[] = [];
  const socket = createSocket({ type: "udp4", reuseAddr: true }).bind(5353, "224.0.0.251");
  await once(socket, "listening");
  sockets.add(socket);
  socket.addMembership("224.0.0.251", address);
  socket.on("message", (bytes, from) => {
    const { response, answers } = decodePacket(bytes);
    if (response && from.address === address) names.push(...answers.flatMap(({ name }) => labelsOf(name)));
  });
  return () => names;
}

function record(id: string, address = "127.0.0.1:7001"): ServiceRecord {
  const nodes = [{ id, address, metadata: { protocol: "mucp" } }];
  return { name: "greeter", version: "latest", metadata: {}, endpoints: [], nodes };
}

async function ids(registry: Registry): Promise<string> {
  const records = await registry.getService("greeter");
  return records
    .flatMap(({ nodes }) => nodes.map(({ id }) => id))
    .sort()
    .join();
}

const unavailable = { code: "REGISTRY_UNAVAILABLE" };

beforeEach(() => {
  process.on("uncaughtException", fault).on("unhandledRejection", fault);
});

afterEach(async () => {
  await Promise.all([...registries].map((registry) => registry.close()));
  registries.clear();
  for (const socket of sockets) socket.close();
  sockets.clear();
  for (const args of ["link set lo up", "link set lo multicast on"]) ip(args);
  for (const args of ["link del d0", "route add 224.0.0.0/4 dev lo"]) {
    try {
      ip(args);
    } catch {
      // was not there, or is
    }
  }
  process.off("uncaughtException", fault).off("unhandledRejection", fault);
  expect(faults.splice(0)).toEqual([]);
});

describeMulticast(import.meta.url, "mdns and the network", () => {
  describe("mdns", () => {
    it("where no interface is up everything says so, and works once there is one", async () => {
      ip("link set lo down");
      const registry = ours();
      await expect(registry.start()).rejects.toMatchObject(unavailable);
      await expect(registry.register(record("a"))).rejects.toMatchObject(unavailable);
      await expect(registry.getService("greeter")).rejects.toMatchObject(unavailable);
      await expect(registry.listServices()).rejects.toMatchObject(unavailable);
      const watcher = registry.watch();
      await expect(watcher.ready).rejects.toMatchObject(unavailable);
      await expect(watcher[Symbol.asyncIterator]().next()).rejects.toMatchObject(unavailable);
      await expect(registry.start()).rejects.toThrow(/no network interface.*MICRO_REGISTRY=local/);
      ip("link set lo up");
      await registry.start();
      await registry.register(record("a"));
      expect(await ids(ours())).toBe("a");
    });

    it("a node refused for want of a network is not there later by itself", async () => {
      ip("link set lo down");
      const registry = ours();
      await expect(registry.register(record("a"))).rejects.toMatchObject(unavailable);
      ip("link set lo up");
      await registry.start();
      expect(await ids(ours())).toBe("");
    });

    it("a node that could not be announced is not there later by itself", async () => {
      const registry = ours();
      await registry.start();
      ip("link set lo down");
      await expect(registry.register(record("a"))).rejects.toMatchObject(unavailable);
      ip("link set lo up");
      expect(await ids(ours())).toBe("");
    });

    it("a goodbye is enough for a watch whose time stands still", async () => {
      const clock = virtualClock();
      const watcher = ours({ clock }).watch();
      const events: string[] = [];
      void (async () => {
        for await (const { action, service } of watcher) events.push(`${action} ${service.nodes[0]?.id}`);
      })();
      let sees = false;
      void watcher.ready.then(() => (sees = true));
      await eventually(async () => {
        await clock.advance(10);
        return sees;
      }, "it sees");
      const [one, two] = [ours(), ours()];
      await one.register(record("deregistered"));
      await two.register(record("closed"));
      await eventually(() => events.length === 2, "both came");
      await one.deregister(record("deregistered"));
      await eventually(() => events[2] === "delete deregistered", "one went");
      await two.close();
      await eventually(() => events[3] === "delete closed", "the other went");
      expect(events).toHaveLength(4);
    });

    it("what a registry says itself counts more than what it hears of the same node", async () => {
      const [one, two] = [ours(), ours()];
      await one.register(record("a", "127.0.0.1:7001"));
      const events: string[] = [];
      const tell = async (name: string, watcher: Watcher): Promise<void> => {
        for await (const { action, service } of watcher) events.push(`${name} ${action} ${service.nodes[0]?.address}`);
      };
      const [mine, theirs] = [one.watch(), ours().watch()];
      await Promise.all([mine.ready, theirs.ready]);
      void tell("mine", mine);
      void tell("theirs", theirs);
      await two.register(record("a", "127.0.0.1:7002"));
      await eventually(() => events.includes("theirs update 127.0.0.1:7002"), "others hear both");
      expect((await one.getService("greeter"))[0]?.nodes).toMatchObject([{ address: "127.0.0.1:7001" }]);
      expect(events.filter((event) => event.startsWith("mine"))).toEqual([]);
    });

    it("a node that goes as soon as it came is told of once by the watch beside it", async () => {
      const registry = ours();
      const [mine, theirs] = [registry.watch(), ours().watch()];
      await Promise.all([mine.ready, theirs.ready]);
      const events: string[] = [];
      void (async () => {
        for await (const { action, service } of mine) events.push(`${action} ${service.nodes[0]?.id}`);
      })();
      const others = theirs[Symbol.asyncIterator]();
      for (const id of ["a", "b", "c"]) {
        await registry.register(record(id));
        await registry.deregister(record(id));
        expect((await others.next()).value?.action).toBe("create");
        expect((await others.next()).value?.action).toBe("delete");
      }
      await new Promise((resolve) => setImmediate(resolve));
      expect(events).toEqual(["a", "b", "c"].flatMap((id) => [`create ${id}`, `delete ${id}`]));
    });

    it("a port that somebody else holds alone is named; look-ups go on", async () => {
      const holder = createSocket("udp4").bind(5399, "0.0.0.0");
      await once(holder, "listening");
      const registry = ours({ port: 5399 });
      await expect(registry.register(record("a"))).rejects.toMatchObject(unavailable);
      await expect(registry.register(record("a"))).rejects.toThrow(/UDP port 5399.*EADDRINUSE/);
      expect(await registry.getService("greeter")).toEqual([]);
      holder.close();
      await registry.register(record("a"));
      expect(await ids(ours({ port: 5399 }))).toBe("a");
    });

    it("an interface that comes later is used, with nodes registered before", async () => {
      const clock = virtualClock();
      const registry = ours({ clock });
      await registry.register(record("a"));
      await wire("10.9.0.1/24");
      expect(await ids(ours({ interface: "d0" }))).toBe("");
      const announced = await heard("10.9.0.1");
      await clock.advance(10_000);
      await eventually(async () => (await ids(ours({ interface: "d0" }))) === "a", "found there");
      await eventually(() => announced().includes("greeter"), "it is announced there");
    });

    it("an interface that goes disturbs nobody, and one made anew in its place is used again", async () => {
      const clock = virtualClock();
      await wire("10.9.0.1/24");
      const registry = ours({ clock });
      await registry.register(record("a"));
      await eventually(async () => (await ids(ours({ interface: "d0" }))) === "a", "found there");
      ip("link del d0");
      expect(await ids(ours())).toBe("a");
      await clock.advance(10_000);
      expect(await ids(ours())).toBe("a");
      await wire("10.9.0.1/24");
      await clock.advance(10_000);
      await eventually(async () => (await ids(ours({ interface: "d0" }))) === "a", "found there again");
    });

    it("an interface made anew between two looks is used again, to be found and to find", async () => {
      const clock = virtualClock();
      await wire("10.9.0.1/24");
      await ours({ clock }).register(record("a"));
      const seeker = ours({ interface: "10.9.0.1" });
      await eventually(async () => (await ids(seeker)) === "a", "found there");
      ip("link del d0");
      await wire("10.9.0.1/24");
      await clock.advance(10_000);
      await eventually(async () => (await ids(ours({ interface: "10.9.0.1" }))) === "a", "found by a new registry");
      await eventually(async () => (await ids(seeker).catch(() => "")) === "a", "found by one that was there before");
      expect(await ids(seeker)).toBe("a");
    });

    it("an unknown interface is an error that names it", async () => {
      await expect(ours({ interface: "nope0" }).start()).rejects.toThrow(/interface nope0/);
    });

    it("registries on other ports or in other domains do not see each other", async () => {
      await ours().register(record("a"));
      expect(await ids(ours({ port: 5388 }))).toBe("");
      expect(await ids(ours({ domain: "elsewhere" }))).toBe("");
      expect(await ids(ours({ domain: "micro." }))).toBe("a");
      await ours({ port: 5388 }).register(record("b"));
      expect(await ids(ours({ port: 5388 }))).toBe("b");
      expect(await ids(ours())).toBe("a");
    });

    it("an IPv6 node is found at its address", async () => {
      await ours().register(record("six", "[fd00::7]:7001"));
      const [found] = await ours().getService("greeter");
      expect(found?.nodes[0]?.address).toBe("[fd00::7]:7001");
    });

    it("without IPv4 it works by IPv6 alone", async () => {
      await wire("fd00::1/64", "nodad");
      await ours({ interface: "d0" }).register(record("six", "[fd00::1]:7001"));
      const [found] = await eventually(async () => {
        const records = await ours({ interface: "d0" }).getService("greeter");
        return records.length > 0 && records;
      }, "found by IPv6");
      expect(found?.nodes[0]?.address).toBe("[fd00::1]:7001");
    });

    it("a host name is resolved when it is registered, and one that cannot be is refused", async () => {
      await ours().register(record("a", "localhost:7001"));
      const [found] = await ours().getService("greeter");
      expect(found?.nodes[0]?.address).toMatch(/^(127\.0\.0\.1|\[::1\]):7001$/);
      await expect(ours().register(record("b", "nobody.invalid:7001"))).rejects.toMatchObject({ code: "BAD_REQUEST" });
    });

    it("packets of nonsense change nothing", async () => {
      const registry = ours();
      await registry.register(record("a"));
      const socket = createSocket("udp4").bind(0);
      await once(socket, "listening");
      for (let i = 0; i < 2000; i++) {
        const bytes = Buffer.from(Array.from({ length: i % 400 }, () => Math.floor(Math.random() * 256)));
        if (bytes.length > 12) bytes.fill(0, 2, 4);
        socket.send(bytes, 5353, "127.0.0.1");
      }
      await new Promise((resolve) => socket.send(Buffer.alloc(0), 5353, "127.0.0.1", resolve));
      await eventually(async () => (await ids(ours())) !== "", "it answers as before");
      expect(await ids(registry)).toBe("a");
      socket.close();
    });
  });
});
