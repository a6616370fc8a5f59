/** The http broker between services of ours and Go (wire spec §6.3, §15 rows 53 to 55). */
import { create, toBinary } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { httpBroker } from "../packages/ts-micro/src/broker/http.ts";
import { createService, type Context, type Registry, type Service } from "../packages/ts-micro/src/index.ts";
import { memoryRegistry } from "../packages/ts-micro/src/registry/memory.ts";
import { eventually } from "../packages/ts-micro/src/testing/suite.ts";
import type { GoService } from "./peer-types.ts";
import { describeGo, goPeer, type GoPeer, goVersions } from "./peer.ts";
import { HelloRequestSchema } from "./proto/gen/greeter_pb.ts";
import { clientOf, goRecords, LIMIT_MS, ourRecord } from "./world.ts";

const topic = "news";
const broker = "micro.http.broker";

interface Got {
  readonly name: string;
  readonly ctx: Context;
}

/** A service that subscribes; what comes goes into `got`. */
async function subscriber(registry: Registry, got: Got[], queue?: string, descriptor?: object): Promise<Service> {
  const service = createService({
    name: "reader",
    address: "127.0.0.1:0",
    registry,
    env: false,
    settle: 0,
    logLevel: "fatal",
  });
  const options = { ...(queue === undefined ? {} : { queue }), ...(descriptor === undefined ? {} : { descriptor }) };
  service.subscribe<{ name: string }>(topic, ({ name }, ctx) => void got.push({ name, ctx }), options as object);
  service.handle("Reader", { ping: () => ({}) });
  await service.start();
  return service;
}

const names = (got: readonly Got[]): string[] => got.map(({ name }) => name).sort();
const published = (n: number): string[] => Array.from({ length: n }, (_, i) => `m${i}`).sort();

describeGo("the http broker", () => {
  describe.each(goVersions)("with Go %s", (version) => {
    test(
      `row 53 ${version}: what Go publishes reaches each subscriber of ours once, and of a queue one`,
      async () => {
        await using registry = memoryRegistry();
        const got: Got[][] = [[], [], [], []];
        const services = [
          await subscriber(registry, got[0] as Got[]),
          await subscriber(registry, got[1] as Got[]),
          await subscriber(registry, got[2] as Got[], "q"),
          await subscriber(registry, got[3] as Got[], "q"),
        ];
        try {
          await using go = await goPeer({ version });
          await go.nodes(broker, await goRecords(registry, broker));
          const n = 20;
          for (let i = 0; i < n; i++)
            expect(await go.publish({ topic, body: { name: `m${i}` }, metadata: { "X-Who": "go" } })).toBeNull();
          const queued = (): Got[] => [...(got[2] as Got[]), ...(got[3] as Got[])];
          const all = (): boolean => [got[0], got[1], queued()].every((each) => (each as Got[]).length >= n);
          await eventually(all, "everything has arrived", 60_000);
          for (const each of [got[0], got[1], queued()]) expect(names(each as Got[])).toEqual(published(n));
          const metadata = got[0]?.[0]?.ctx.metadata;
          expect(["micro-topic", "content-type", "x-who"].map((key) => metadata?.get(key))).toEqual([
            ...[topic, "application/json", "go"],
          ]);
        } finally {
          await Promise.all(services.map((service) => service.stop()));
        }
      },
      LIMIT_MS,
    );

    test(`row 53 ${version}: what Go publishes in protobuf is read by the subscriber's descriptor`, async () => {
      await using registry = memoryRegistry();
      const got: Got[] = [];
      await using _ = await subscriber(registry, got, undefined, HelloRequestSchema);
      await using go = await goPeer({ version });
      await go.nodes(broker, await goRecords(registry, broker));
      const contentType = "application/protobuf";
      expect(await go.publish({ topic, body: { name: "proto" }, contentType })).toBeNull();
      await eventually(() => got.length === 1, "it has arrived", 60_000);
      expect(names(got)).toEqual(["proto"]);
    });

    test(
      `row 54 ${version}: what we publish reaches Go's subscribers, in JSON and protobuf`,
      async () => {
        await using go = await goPeer({
          ...{ version, serve: true, name: "reader" },
          subscribers: [{ topic }, { topic: "raw", kind: "frame" }],
        });
        const registry = memoryRegistry();
        for (const name of [`"${topic}-`, '"raw-']) await registry.register(ourRecord(await registered(go, name)));
        await using http = httpBroker({ registry });
        await using client = clientOf([], { registry, broker: http });
        const metadata = { "X-Who": "ts" };
        await client.publish(topic, { name: "json" }, { metadata });
        const json = await go.event("received", ({ topic: of }) => of === topic);
        expect(json).toMatchObject({ body: { name: "json" }, metadata: { "Micro-Topic": topic, "X-Who": "ts" } });
        const contentType = "application/protobuf";
        const body = toBinary(HelloRequestSchema, create(HelloRequestSchema, { name: "proto" }));
        await client.publish(topic, body, { contentType });
        const proto = await go.event("received", ({ topic: of }) => of === topic);
        expect(proto).toMatchObject({ body: { name: "proto" }, metadata: { "Content-Type": contentType } });
        const bytes = Uint8Array.of(0, 255, 10, 13);
        await client.publish("raw", bytes, { contentType: "application/octet-stream" });
        expect(await go.event("received", ({ topic: of }) => of === "raw")).toMatchObject({ hex: "00ff0a0d" });
        await registry.close();
      },
      LIMIT_MS,
    );

    test(`row 54 ${version}: of a Go queue one subscriber gets each message of ours, and broadcast all`, async () => {
      await using one = await goPeer({ version });
      await using two = await goPeer({ version });
      const registry = memoryRegistry();
      for (const go of [one, two])
        for (const queue of ["", "q"]) {
          await go.subscribe({ topic: `${topic}${queue}`, ...(queue === "" ? {} : { queue }) });
          await registry.register(ourRecord(await registered(go, `"${topic}${queue}-`)));
        }
      await using http = httpBroker({ registry });
      await using client = clientOf([], { registry, broker: http });
      for (let i = 0; i < 10; i++) {
        await client.publish(topic, { name: `m${i}` });
        await client.publish(`${topic}q`, { name: `m${i}` });
      }
      const texts = (go: GoPeer, of: string): string[] =>
        go
          .events("message")
          .flatMap((event) => (event["topic"] === of ? [(JSON.parse(String(event["text"])) as Got).name] : []));
      const queued = (): string[] => [one, two].flatMap((go) => texts(go, `${topic}q`)).sort();
      await eventually(
        () => queued().length >= 10 && [one, two].every((go) => texts(go, topic).length >= 10),
        "all came",
        60_000,
      );
      expect(queued()).toEqual(published(10));
      for (const go of [one, two]) expect(texts(go, topic).sort()).toEqual(published(10));
      await registry.close();
    });

    test(`row 55 ${version}: a wrong id is taken and dropped, a missing topic is a 500, another method a 405; as Go does`, async () => {
      await using registry = memoryRegistry();
      const got: Got[] = [];
      await using _ = await subscriber(registry, got);
      const [ours] = await registry.getService(broker);
      await using go = await goPeer({ version });
      await go.subscribe({ topic });
      const theirs = await registered(go, `"${topic}-`);
      const Body = Buffer.from('{"name":"x"}').toString("base64");
      for (const node of [ours?.nodes[0], theirs.nodes[0]]) {
        if (node === undefined) throw new Error("no subscription");
        const ask = async (id: string, Header: object, method = "POST"): Promise<{ status: number; body: string }> => {
          const body = method === "GET" ? null : JSON.stringify({ Header, Body });
          const response = await fetch(`http://${node.address}/?id=${encodeURIComponent(id)}`, { method, body });
          return { status: response.status, body: await response.text() };
        };
        const header = { "Micro-Topic": topic, "Content-Type": "application/json" };
        expect(await ask("nobody", header)).toEqual({ status: 200, body: "" });
        expect(await ask(node.id, header)).toEqual({ status: 200, body: "" });
        const missing = await ask(node.id, {});
        expect([missing.status, JSON.parse(missing.body)]).toMatchObject([
          500,
          { id: "go.micro.broker", code: 500, detail: "Topic not found" },
        ]);
        const get = await ask(node.id, header, "GET");
        expect([get.status, JSON.parse(get.body)]).toMatchObject([
          405,
          { id: "go.micro.broker", code: 400, detail: "Method not allowed" },
        ]);
      }
      await eventually(() => got.length === 1, "the one for its id has arrived", 60_000);
      await go.event("message");
      expect(go.events("message")).toHaveLength(1);
      expect(names(got)).toEqual(["x"]);
    });
  });
});

/** The record that a subscription of Go registered. */
async function registered(go: GoPeer, part: string): Promise<GoService> {
  const event = await go.event("registered", (event) => JSON.stringify(event).includes(part));
  return event["service"] as unknown as GoService;
}
