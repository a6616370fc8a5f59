/** Go's default registry and ours, both ways (wire spec §15, rows 43 to 47). */
import { randomBytes } from "node:crypto";
import { afterEach, expect, test } from "vitest";
import type { Registry, RegistryEvent, ServiceRecord, Value } from "../packages/ts-micro/src/registry.ts";
import { mdnsRegistry } from "../packages/ts-micro/src/registry/mdns.ts";
import { eventually } from "../packages/ts-micro/src/testing/suite.ts";
import { describeInNamespace } from "./netns.ts";
import { describeGo, goPeer, goVersions } from "./peer.ts";

const open = new Set<AsyncDisposable>();

function ours(): Registry {
  const registry = mdnsRegistry();
  open.add(registry);
  return registry;
}

afterEach(async () => {
  await Promise.all([...open].map((each) => each[Symbol.asyncDispose]()));
  open.clear();
});

function greeter(id: string, port: number, over: Partial<ServiceRecord> = {}): ServiceRecord {
  const metadata = { protocol: "mucp", transport: "http", server: "mucp", registry: "mdns", broker: "http" };
  const nodes = [{ id: `greeter-${id}`, address: `127.0.0.1:${port}`, metadata }];
  return { name: "greeter", version: "latest", metadata: {}, endpoints: [], nodes, ...over };
}

describeInNamespace(import.meta.url, "mDNS between TypeScript and Go", () => {
  describeGo("with real Go peers", () => {
    test.each(goVersions)(
      "row 43 %s: a Go server is found by us, with address, metadata and endpoints",
      async (version) => {
        await using peer = await goPeer({ version, serve: true, name: "greeter", registry: "mdns" });
        const [record, ...more] = await ours().getService("greeter");
        expect(more).toEqual([]);
        expect(record?.version).toBe(peer.service?.version);
        expect(record?.nodes).toEqual(
          peer.service?.nodes.map(({ id, address, metadata }) => ({ id, address, metadata: metadata ?? {} })),
        );
        expect(record?.endpoints.map(({ name }) => name).sort()).toEqual(
          peer.service?.endpoints?.map(({ name }) => name).sort(),
        );
        const stream = record?.endpoints.find(({ name }) => name === "Greeter.Stream");
        expect(stream?.metadata["stream"]).toBe("true");
      },
    );

    test.each(goVersions)("row 44 %s: Go finds our node within its window, as we registered it", async (version) => {
      await using peer = await goPeer({ version, registry: "mdns", cache: false });
      const metadata = { stream: "true" };
      const request = { name: "Request", type: "Request", values: [{ name: "name", type: "string", values: [] }] };
      const given = greeter("1", 4711, { endpoints: [{ name: "Greeter.Stream", request, metadata }] });
      await ours().register(given);
      const [found, ...more] = await peer.getService("greeter");
      expect(more).toEqual([]);
      expect(found?.version).toBe("latest");
      expect(found?.nodes).toEqual(given.nodes);
      expect(found?.endpoints).toMatchObject([{ name: "Greeter.Stream", metadata, request: { type: "Request" } }]);
    });

    test.each(goVersions)("row 45 %s: two nodes of ours and one of Go are three for both sides", async (version) => {
      await using server = await goPeer({ version, serve: true, name: "greeter", registry: "mdns" });
      await ours().register(greeter("1", 4711));
      await ours().register(greeter("2", 4712));
      const expected = ["127.0.0.1:4711", "127.0.0.1:4712", server.address].sort();
      const byUs = (await ours().getService("greeter")).flatMap(({ nodes }) => nodes);
      expect(byUs.map(({ address }) => address).sort()).toEqual(expected);
      const byGo = (await server.getService("greeter")).flatMap(({ nodes }) => nodes);
      expect(byGo.map(({ address }) => address).sort()).toEqual(expected);
    });

    test.each(goVersions)("row 46 %s: our goodbye takes the node out of Go's cache at once", async (version) => {
      await using peer = await goPeer({ version, registry: "mdns", cache: true });
      const [one, two] = [ours(), ours()];
      await one.register(greeter("1", 4711));
      const selected = async (): Promise<string> => {
        const { nodes } = await peer.select("greeter", 40);
        return [...new Set(nodes.map(({ id }) => id))].sort().join();
      };
      await eventually(async () => (await selected()) === "greeter-1", "Go selects the first", 60_000);
      const second = greeter("2", 4712);
      // Its cache watches from some time on, and hears of nothing that was before.
      const both = async (): Promise<boolean> => {
        await two.deregister(second);
        await two.register(second);
        return eventually(async () => (await selected()) === "greeter-1,greeter-2", "it heard of it", 2000).catch(
          () => false,
        );
      };
      await eventually(both, "Go selects both", 60_000);
      await one.close();
      await eventually(async () => (await selected()) === "greeter-2", "Go selects the one left", 30_000);
      expect(await selected()).toBe("greeter-2");
    });

    test.each(goVersions)("row 46 %s: a watch of Go sees our node come and go", async (version) => {
      await using peer = await goPeer({ version, registry: "mdns" });
      await peer.watch("greeter");
      const registry = ours();
      const record = greeter("1", 4711);
      await registry.register(record);
      const came = await peer.event<{ nodes: { id: string }[] }>("watched", ({ action }) => action === "create");
      expect(came["service"]?.nodes[0]?.id).toBe("greeter-1");
      await registry.deregister(record);
      const went = await peer.event<{ nodes: { id: string }[] }>("watched", ({ action }) => action === "delete");
      expect(went["service"]?.nodes[0]?.id).toBe("greeter-1");
    });

    test.each(goVersions)("row 46 %s: our watch sees a Go server come and say goodbye", async (version) => {
      const registry = ours();
      const watcher = registry.watch({ service: "greeter" });
      await watcher.ready;
      const events: RegistryEvent[] = [];
      void (async () => {
        for await (const event of watcher) events.push(event);
      })();
      const peer = await goPeer({ version, serve: true, name: "greeter", registry: "mdns" });
      const id = peer.service?.nodes[0]?.id;
      const seen = (action: string): Promise<RegistryEvent> =>
        eventually(() => events.find((e) => e.action === action && e.service.nodes[0]?.id === id), action, 30_000);
      expect((await seen("create")).service.nodes[0]?.address).toBe(peer.address);
      await peer.close();
      await seen("delete");
      expect(await registry.getService("greeter")).toEqual([]);
    });

    test.each(goVersions)(
      "row 46 %s: our watch misses a Go server that was killed",
      async (version) => {
        const watcher = ours().watch({ service: "greeter" });
        await watcher.ready;
        const peer = await goPeer({ version, serve: true, name: "greeter", registry: "mdns" });
        const events = watcher[Symbol.asyncIterator]();
        expect((await events.next()).value?.action).toBe("create");
        await peer.kill();
        const { value } = await events.next();
        expect([value?.action, value?.service.nodes[0]?.address]).toEqual(["delete", peer.address]);
      },
      200_000,
    );

    test.each(goVersions)(
      "row 44 %s: Go finds twenty nodes of twenty registries in one look-up",
      async (version) => {
        await using peer = await goPeer({ version, registry: "mdns", cache: false });
        const ids = Array.from({ length: 20 }, (_, i) => `n-${i}`);
        await Promise.all(ids.map((id, i) => ours().register(greeter(id, 4000 + i))));
        const found = await eventually(
          async () => {
            const nodes = (await peer.getService("greeter")).flatMap((service) => service.nodes);
            return nodes.length === 20 && nodes;
          },
          "all twenty",
          60_000,
        );
        expect(new Set(found.map(({ id }) => id)).size).toBe(20);
      },
      100_000,
    );

    test.each(goVersions)(
      "row 44 %s: Go knows a node by its UUID alone, when the service's name is long",
      async (version) => {
        await using peer = await goPeer({ version, registry: "mdns", cache: false });
        const name = "a.service.with-a-name-of-more-than-26";
        const uuid = "11111111-2222-4333-8444-555555555555";
        const nodes = [{ id: `${name}-${uuid}`, address: "127.0.0.1:4711", metadata: { protocol: "mucp" } }];
        await ours().register(greeter("", 0, { name, nodes }));
        const [byGo] = await peer.getService(name);
        expect(byGo?.nodes).toMatchObject([{ id: uuid, address: "127.0.0.1:4711", metadata: { protocol: "mucp" } }]);
        const [byUs] = await ours().getService(name);
        expect(byUs?.nodes).toEqual(nodes);
      },
    );

    test.each(goVersions)("row 44 %s: Go reads a record that had to be cut: names and kinds", async (version) => {
      await using peer = await goPeer({ version, registry: "mdns", cache: false });
      const field = (i: number): Value => ({ name: `field${(i * 7919) % 99_991}`, type: "string", values: [] });
      const endpoints = Array.from({ length: 100 }, (_, i) => ({
        name: `Greeter.Method${i}`,
        request: { name: "R", type: `Request${i}`, values: Array.from({ length: 10 }, (_, j) => field(10 * i + j)) },
        metadata: { stream: "true" },
      }));
      await ours().register(greeter("1", 4711, { endpoints }));
      const [found] = await peer.getService("greeter");
      expect(found?.nodes[0]?.metadata).toMatchObject({ protocol: "mucp", truncated: "true" });
      expect(found?.endpoints?.map(({ name }) => name)).toEqual(endpoints.map(({ name }) => name));
      expect(found?.endpoints?.[99]).toMatchObject({ metadata: { stream: "true" }, request: null });
    });

    test.each(goVersions)("row 44 %s: Go reads IPv6 addresses and large records", async (version) => {
      await using peer = await goPeer({ version, registry: "mdns", cache: false });
      const nodes = [
        { id: "six", address: "[::1]:4711", metadata: { protocol: "mucp", note: randomBytes(2500).toString("hex") } },
      ];
      await ours().register(greeter("", 0, { nodes }));
      expect((await peer.getService("greeter"))[0]?.nodes).toEqual(nodes);
    });

    test.each(goVersions)("row 47 %s: services are listed both ways with Go", async (version) => {
      await using peer = await goPeer({ version, serve: true, name: "go.srv.greeter", registry: "mdns" });
      const registry = ours();
      await registry.register(greeter("1", 4711, { name: "ts.srv.greeter" }));
      const names = ["go.srv.greeter", "ts.srv.greeter"];
      expect((await registry.listServices()).map(({ name }) => name).sort()).toEqual(names);
      expect((await peer.listServices()).sort()).toEqual(names);
    });
  });
});
