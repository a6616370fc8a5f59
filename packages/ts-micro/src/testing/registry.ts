import assert from "node:assert/strict";
import { milliseconds } from "../duration.ts";
import type { EndpointRecord, Registry, ServiceRecord, Value } from "../registry.ts";
import { holders, idsOf, node, nodesOf, rejects, Stage } from "./registry/stage.ts";
import { defineSuite, eventually, type Runner, type Skips } from "./suite.ts";

/** What a registry is asked to show. */
export interface RegistrySuite {
  /** A registry on a namespace of its own; those of one namespace share a world. */
  create(namespace: string): Registry | Promise<Registry>;
  /** The backend's smallest time to live, or how late it may notice that one is over, ms. Default 0. */
  ttlGranularityMs?: number;
  /** How late a watcher may be told, ms. Default 0. */
  watchLagMs?: number;
  /** Whether it carries the metadata of the service, not only that of nodes. Default true; mdns does not. */
  serviceMetadata?: boolean;
  /** How time passes, for registries on a clock of the test's. Default: by waiting. */
  pass?(ms: number): Promise<void>;
  skip?: Skips<RegistryPromise>;
}

export type RegistryPromise =
  | "a service that was registered is found as it was given"
  | "an unknown service is an empty answer"
  | "nodes of one version are one record, merged by id"
  | "two versions are two records"
  | "registering a node again replaces its address and metadata"
  | "a service is listed until its last node has gone"
  | "deregister removes the nodes given and leaves the others"
  | "a service without nodes is unknown"
  | "deregistering what is not there is no error"
  | "endpoints arrive with their types to depth 3 and their metadata"
  | "metadata keeps its Unicode, its empty values and its odd keys"
  | "fifty nodes registered at once are all found"
  | "answers are copies, and what becomes of a record after register does not show"
  | "a node whose time to live is over is gone, one without stays"
  | "a node that is registered again and again outlives its time to live"
  | "three registries of one world see each other's nodes come and go"
  | "a watch tells of a node that comes"
  | "a watch tells of a node that changes"
  | "a watch tells of a node that goes, by its id"
  | "a watch tells of a node whose time to live is over"
  | "a watch of one service tells of no other"
  | "a watch without a service tells of all of them"
  | "every change after ready is seen, at each of 20 times"
  | "two watchers see the same, each in copies of its own"
  | "aborting the signal of a watch ends it without an error"
  | "closing a watch ends it without an error, twice as well as once"
  | "leaving the loop ends the watch"
  | "close ends the watches, without an error"
  | "start and close may be called twice"
  | "after close everything is INVALID_STATE"
  | "a caller that has given up gets CANCELLED"
  | "a record without a name, a node or the node's id is BAD_REQUEST"
  | "nothing keeps the process alive once the answers are in";

/** Everything that a registry promises (`Registry` in registry.ts). */
export function registryConformance(t: Runner, suite: RegistrySuite): void {
  const ttl = Math.max(milliseconds(suite.ttlGranularityMs ?? 0), 400);
  defineSuite<Stage, RegistryPromise>(t, {
    name: "registry conformance",
    skip: suite.skip,
    setup: () => new Stage(suite),
    teardown: (stage) => stage.close(),
    promises: {
      "a service that was registered is found as it was given": async (stage) => {
        const registry = await stage.open();
        const metadata: Record<string, string> = suite.serviceMetadata === false ? {} : { team: "core", tier: "1" };
        const given = stage.record({
          version: "1.2.3",
          metadata,
          nodes: [node("n-1", "127.0.0.1:7001", { zone: "a" })],
          endpoints: [{ name: "Greeter.Hello", metadata: { stream: "true" } }],
        });
        await registry.register(given);
        const [record, ...more] = await stage.found(registry, given.name, (records) => records.length > 0);
        assert.deepEqual(record, given);
        assert.equal(more.length, 0);
      },

      "an unknown service is an empty answer": async (stage) => {
        const registry = await stage.open();
        assert.deepEqual(await registry.getService(stage.name("nobody")), []);
      },

      "nodes of one version are one record, merged by id": async (stage) => {
        const registry = await stage.open();
        await registry.register(stage.record({ nodes: [node("a"), node("b", "127.0.0.1:7002")] }));
        await registry.register(stage.record({ nodes: [node("c", "127.0.0.1:7003")] }));
        const records = await stage.found(registry, stage.name(), (found) => idsOf(found).length === 3);
        assert.equal(records.length, 1);
        assert.deepEqual(idsOf(records), ["a", "b", "c"]);
      },

      "two versions are two records": async (stage) => {
        const registry = await stage.open();
        await registry.register(stage.record({ version: "1", nodes: [node("a")] }));
        await registry.register(stage.record({ version: "2", nodes: [node("b")] }));
        const records = await stage.found(registry, stage.name(), (found) => idsOf(found).length === 2);
        const versions = records.map(({ version, nodes }) => `${version}: ${nodes.map(({ id }) => id).join()}`);
        assert.deepEqual(versions.sort(), ["1: a", "2: b"]);
      },

      "registering a node again replaces its address and metadata": async (stage) => {
        const registry = await stage.open();
        await registry.register(stage.record({ nodes: [node("a", "127.0.0.1:7001", { zone: "a" })] }));
        await stage.nodes(registry, stage.name(), ["a"]);
        const changed = node("a", "127.0.0.1:7999", { region: "b" });
        await registry.register(stage.record({ nodes: [changed] }));
        const moved = (records: ServiceRecord[]): boolean => nodesOf(records)[0]?.address === changed.address;
        assert.deepEqual(nodesOf(await stage.found(registry, stage.name(), moved)), [changed]);
      },

      "a service is listed until its last node has gone": async (stage) => {
        const registry = await stage.open();
        const [one, two] = ["one", "two"].map((word) => stage.record({ name: stage.name(word), nodes: [node(word)] }));
        assert.ok(one && two);
        await registry.register(one);
        await registry.register(two);
        const listed = async (expected: readonly string[]): Promise<boolean> => {
          const names = new Set((await registry.listServices()).map(({ name }) => name));
          return [one, two].every(({ name }) => names.has(name) === expected.includes(name));
        };
        await eventually(() => listed([one.name, two.name]), "both are listed");
        await registry.deregister(one);
        await eventually(() => listed([two.name]), "the one with a node is listed");
      },

      "deregister removes the nodes given and leaves the others": async (stage) => {
        const registry = await stage.open();
        await registry.register(stage.record({ nodes: [node("a"), node("b"), node("c")] }));
        await registry.deregister(stage.record({ nodes: [node("b")] }));
        await stage.nodes(registry, stage.name(), ["a", "c"]);
      },

      "a service without nodes is unknown": async (stage) => {
        const registry = await stage.open();
        await registry.register(stage.record({ nodes: [node("a")] }));
        await stage.nodes(registry, stage.name(), ["a"]);
        await registry.deregister(stage.record({ nodes: [node("a")] }));
        await stage.found(registry, stage.name(), (records) => records.length === 0);
      },

      "deregistering what is not there is no error": async (stage) => {
        const registry = await stage.open();
        await registry.deregister(stage.record({ nodes: [node("a")] }));
        await registry.register(stage.record({ nodes: [node("a")] }));
        await registry.deregister(stage.record({ nodes: [node("z")] }));
        await stage.nodes(registry, stage.name(), ["a"]);
      },

      "endpoints arrive with their types to depth 3 and their metadata": async (stage) => {
        const registry = await stage.open();
        const endpoints: EndpointRecord[] = [
          { name: "Greeter.Hello", request: tree("Request", 3), response: tree("Response", 2), metadata: {} },
          { name: "Greeter.Count", request: tree("Context", 0), metadata: { stream: "true", kind: "server" } },
          { name: "OnOrder", metadata: { topic: "orders.created", subscriber: "true" } },
        ];
        await registry.register(stage.record({ nodes: [node("a")], endpoints }));
        const [record] = await stage.found(registry, stage.name(), (records) => records.length > 0);
        const byName = (a: EndpointRecord, b: EndpointRecord): number => (a.name < b.name ? -1 : 1);
        assert.deepEqual([...(record?.endpoints ?? [])].sort(byName), [...endpoints].sort(byName));
      },

      "metadata keeps its Unicode, its empty values and its odd keys": async (stage) => {
        const registry = await stage.open();
        const metadata = { grüße: "世界 🚀", empty: "", "a.b/c": "x=y;z", constructor: "own", line: "one\ntwo" };
        await registry.register(stage.record({ nodes: [node("a", "127.0.0.1:1", metadata)] }));
        const [found] = await stage.nodes(registry, stage.name(), ["a"]);
        assert.deepEqual({ ...found?.metadata }, { protocol: "mucp", ...metadata });
      },

      "fifty nodes registered at once are all found": async (stage) => {
        const registry = await stage.open();
        const ids = Array.from({ length: 50 }, (_, i) => `n-${i}`);
        await Promise.all(
          ids.map((id, i) => registry.register(stage.record({ nodes: [node(id, `127.0.0.1:${7000 + i}`)] }))),
        );
        await stage.nodes(registry, stage.name(), ids);
      },

      "answers are copies, and what becomes of a record after register does not show": async (stage) => {
        const registry = await stage.open();
        const given = stage.record({
          nodes: [node("a", "127.0.0.1:7001")],
          endpoints: [{ name: "A.B", request: tree("R", 1), metadata: {} }],
        });
        await registry.register(given);
        spoil(given);
        const found = await stage.found(registry, stage.name(), (records) => records.length > 0);
        const before = structuredClone(found);
        assert.equal(found[0]?.nodes[0]?.address, "127.0.0.1:7001");
        for (const record of found) spoil(record);
        assert.deepEqual(await registry.getService(stage.name()), before);
        for (const record of await registry.listServices()) spoil(record);
        assert.deepEqual(await registry.getService(stage.name()), before);
      },

      "a node whose time to live is over is gone, one without stays": async (stage) => {
        const registry = await stage.open();
        await registry.register(stage.record({ nodes: [node("mortal")] }), { ttl });
        await registry.register(stage.record({ nodes: [node("lasting")] }));
        await stage.found(registry, stage.name(), (records) => idsOf(records).includes("lasting"));
        await gone(stage, registry, "mortal", ttl / 4);
        await stage.nodes(registry, stage.name(), ["lasting"]);
      },

      "a node that is registered again and again outlives its time to live": async (stage) => {
        const registry = await stage.open();
        const long = Math.max(ttl, suite.pass === undefined ? 2000 : 0);
        const refreshed = stage.record({ nodes: [node("refreshed")] });
        await registry.register(refreshed, { ttl: long });
        await registry.register(stage.record({ nodes: [node("left")] }), { ttl: long });
        await stage.nodes(registry, stage.name(), ["left", "refreshed"]);
        await gone(stage, registry, "left", long / 10, () => registry.register(refreshed, { ttl: long }));
        await stage.nodes(registry, stage.name(), ["refreshed"]);
      },

      "three registries of one world see each other's nodes come and go": async (stage) => {
        const registries = [await stage.open(), await stage.open(), await stage.open()];
        const ids = ["a", "b", "c"];
        await Promise.all(
          registries.map((registry, i) => registry.register(stage.record({ nodes: [node(ids[i] ?? "")] }))),
        );
        for (const registry of registries) await stage.nodes(registry, stage.name(), ids);
        await registries[1]?.deregister(stage.record({ nodes: [node("b")] }));
        for (const registry of registries) await stage.nodes(registry, stage.name(), ["a", "c"]);
      },

      "a watch tells of a node that comes": async (stage) => {
        const [here, there] = [await stage.open(), await stage.open()];
        const seen = await stage.watch(here);
        await there.register(stage.record({ version: "7", nodes: [node("a", "127.0.0.1:7007")] }));
        const { service } = await seen.event("create", "a");
        assert.deepEqual([service.name, service.version], [stage.name(), "7"]);
        assert.deepEqual(service.nodes, [node("a", "127.0.0.1:7007")]);
      },

      "a watch tells of a node that changes": async (stage) => {
        const [here, there] = [await stage.open(), await stage.open()];
        await there.register(stage.record({ nodes: [node("a", "127.0.0.1:7001")] }));
        await stage.nodes(here, stage.name(), ["a"]);
        const { events } = await stage.watch(here, { service: stage.name() });
        await there.register(stage.record({ nodes: [node("a", "127.0.0.1:7002", { zone: "b" })] }));
        const told = await eventually(
          () =>
            events.find(({ action, service }) => action !== "delete" && service.nodes[0]?.address === "127.0.0.1:7002"),
          "the event of the change",
        );
        assert.deepEqual(told.service.nodes, [node("a", "127.0.0.1:7002", { zone: "b" })]);
      },

      "a watch tells of a node that goes, by its id": async (stage) => {
        const [here, there] = [await stage.open(), await stage.open()];
        await there.register(stage.record({ nodes: [node("a"), node("b")] }));
        await stage.nodes(here, stage.name(), ["a", "b"]);
        const seen = await stage.watch(here);
        await there.deregister(stage.record({ nodes: [node("a")] }));
        const { service } = await seen.event("delete", "a");
        assert.deepEqual([service.name, service.version], [stage.name(), "latest"]);
        assert.ok(!service.nodes.some(({ id }) => id === "b"));
      },

      "a watch tells of a node whose time to live is over": async (stage) => {
        const [here, there] = [await stage.open(), await stage.open()];
        const seen = await stage.watch(here, { service: stage.name() });
        await there.register(stage.record({ nodes: [node("a")] }), { ttl });
        await seen.event("create", "a");
        await gone(stage, here, "a", ttl / 4);
        await seen.event("delete", "a");
      },

      "a watch of one service tells of no other": async (stage) => {
        const registry = await stage.open();
        const mine = await stage.watch(registry, { service: stage.name("mine") });
        const all = await stage.watch(registry);
        await registry.register(stage.record({ name: stage.name("other"), nodes: [node("o")] }));
        await all.event("create", "o");
        await registry.register(stage.record({ name: stage.name("mine"), nodes: [node("m")] }));
        await mine.event("create", "m");
        assert.deepEqual([...new Set(mine.events.map(({ service }) => service.name))], [stage.name("mine")]);
      },

      "a watch without a service tells of all of them": async (stage) => {
        const registry = await stage.open();
        const seen = await stage.watch(registry);
        for (const word of ["one", "two", "three"]) {
          await registry.register(stage.record({ name: stage.name(word), nodes: [node(word)] }));
          await seen.event("create", word);
        }
      },

      "every change after ready is seen, at each of 20 times": async (stage) => {
        const [here, there] = [await stage.open(), await stage.open()];
        for (let i = 0; i < 20; i++) {
          const seen = await stage.watch(here, { service: stage.name() });
          await there.register(stage.record({ nodes: [node(`n-${i}`)] }));
          await seen.event("create", `n-${i}`);
          await seen.watcher.close();
        }
      },

      "two watchers see the same, each in copies of its own": async (stage) => {
        const registry = await stage.open();
        const [one, two] = [await stage.watch(registry), await stage.watch(registry)];
        await registry.register(stage.record({ nodes: [node("a")] }));
        spoil((await one.event("create", "a")).service);
        assert.deepEqual((await two.event("create", "a")).service.nodes, [node("a")]);
      },

      "aborting the signal of a watch ends it without an error": async (stage) => {
        const registry = await stage.open();
        const control = new AbortController();
        const seen = await stage.watch(registry, { signal: control.signal });
        control.abort();
        await stage.within(seen.over, "the end of the watch");
        const late = registry.watch({ signal: control.signal });
        assert.deepEqual(await stage.within(late[Symbol.asyncIterator]().next(), "the end"), {
          done: true,
          value: undefined,
        });
      },

      "closing a watch ends it without an error, twice as well as once": async (stage) => {
        const registry = await stage.open();
        const seen = await stage.watch(registry);
        await seen.watcher.close();
        await stage.within(seen.over, "the end of the watch");
        await seen.watcher.close();
        // Before it saw anything, too; nobody waits for ever.
        const early = registry.watch();
        await early.close();
        await stage.within(
          early.ready.catch(() => {}),
          "the settling of ready",
        );
        assert.equal((await stage.within(early[Symbol.asyncIterator]().next(), "the end")).done, true);
      },

      "leaving the loop ends the watch": async (stage) => {
        const registry = await stage.open();
        const watcher = registry.watch();
        await watcher.ready;
        const read = (async () => {
          for await (const event of watcher) return event.service.nodes[0]?.id;
          return undefined;
        })();
        await registry.register(stage.record({ nodes: [node("a")] }));
        assert.equal(await stage.within(read, "the first event"), "a");
        assert.equal((await stage.within(watcher[Symbol.asyncIterator]().next(), "the end")).done, true);
      },

      "close ends the watches, without an error": async (stage) => {
        const registry = await stage.open();
        const seen = await stage.watch(registry);
        await registry.close();
        await stage.within(seen.over, "the end of the watch");
      },

      "start and close may be called twice": async (stage) => {
        const registry = await stage.open();
        await registry.start();
        await registry.register(stage.record({ nodes: [node("a")] }));
        await Promise.all([registry.close(), registry.close()]);
        await registry.close();
      },

      "after close everything is INVALID_STATE": async (stage) => {
        const registry = await stage.open();
        await registry.close();
        await rejects(registry.register(stage.record({ nodes: [node("a")] })), "INVALID_STATE");
        await rejects(registry.deregister(stage.record({ nodes: [node("a")] })), "INVALID_STATE");
        await rejects(registry.getService("x"), "INVALID_STATE");
        await rejects(registry.listServices(), "INVALID_STATE");
        const watcher = registry.watch();
        await rejects(watcher.ready, "INVALID_STATE");
        await rejects(watcher[Symbol.asyncIterator]().next(), "INVALID_STATE");
      },

      "a caller that has given up gets CANCELLED": async (stage) => {
        const registry = await stage.open();
        const signal = AbortSignal.abort();
        await rejects(registry.getService("x", { signal }), "CANCELLED");
        await rejects(registry.listServices({ signal }), "CANCELLED");
        await rejects(registry.register(stage.record({ nodes: [node("a")] }), { signal }), "CANCELLED");
      },

      "a record without a name, a node or the node's id is BAD_REQUEST": async (stage) => {
        const registry = await stage.open();
        await rejects(registry.register(stage.record({ name: "", nodes: [node("a")] })), "BAD_REQUEST");
        await rejects(registry.register(stage.record({ nodes: [] })), "BAD_REQUEST");
        await rejects(registry.register(stage.record({ nodes: [node("")] })), "BAD_REQUEST");
      },

      "nothing keeps the process alive once the answers are in": async (stage) => {
        const before = holders();
        const registry = await stage.open();
        await registry.register(stage.record({ nodes: [node("a")] }), { ttl: "1m" });
        await stage.nodes(registry, stage.name(), ["a"]);
        await registry.listServices();
        await eventually(() => holders() === before, `only [${before}] keeps the process alive`);
      },
    },
  });
}

/** Lets time pass in steps until the node is gone. */
async function gone(
  stage: Stage,
  registry: Registry,
  id: string,
  step: number,
  meanwhile: () => Promise<void> = async () => {},
): Promise<void> {
  await eventually(
    async () => {
      await meanwhile();
      await stage.pass(step);
      return !idsOf(await registry.getService(stage.name())).includes(id);
    },
    `node ${id} is gone`,
    Math.max(10_000, step * 100),
  );
}

function tree(name: string, depth: number): Value {
  const values = depth === 0 ? [] : [tree("name", depth - 1), { name: "tags", type: "[]string", values: [] }];
  return { name, type: depth === 0 ? "string" : name, values };
}

/** Writes into every part of a record. */
function spoil(record: ServiceRecord): void {
  record.metadata["spoilt"] = "yes";
  for (const { request, metadata } of record.endpoints) {
    metadata["spoilt"] = "yes";
    request?.values.splice(0);
  }
  for (const each of record.nodes) {
    each.address = "spoilt";
    each.metadata["spoilt"] = "yes";
  }
  record.nodes.length = 0;
}
