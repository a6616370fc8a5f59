import { readFileSync } from "node:fs";
import { afterEach, describe, expect, it } from "vitest";
import type { BrokerEvent } from "../../src/broker.ts";
import { httpBroker, type HttpBroker, type HttpBrokerOptions } from "../../src/broker/http.ts";
import type { Node, Registry, ServiceRecord } from "../../src/registry.ts";
import { memoryRegistry } from "../../src/registry/memory.ts";
import { text } from "../../src/testing/broker.ts";
import { eventually } from "../../src/testing/suite.ts";
import { RawPeer, announce, exchange } from "./peer.ts";

interface Capture {
  readonly exchanges: readonly { readonly dir: string; readonly hex?: string }[];
  readonly decoded: readonly ServiceRecord[];
  readonly server_saw: readonly { readonly metadata: Record<string, string> }[];
}

function capture(name: string): Capture {
  return JSON.parse(readFileSync(new URL(`../fixtures/wire/${name}.json`, import.meta.url), "utf8")) as Capture;
}

function requests(of: Capture): Buffer[] {
  return of.exchanges.flatMap(({ dir, hex }) =>
    dir === "c>s" && hex !== undefined && hex !== "" ? [Buffer.from(hex, "hex")] : [],
  );
}

const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close();
});

function open(options: Partial<HttpBrokerOptions> = {}): { broker: HttpBroker; registry: Registry } {
  const registry = memoryRegistry();
  const broker = httpBroker({ registry, address: "127.0.0.1:0", ...options });
  closing.push(
    () => registry.close(),
    () => broker.close(),
  );
  return { broker, registry };
}

async function subscribed(
  topic: string,
  options: Partial<HttpBrokerOptions> = {},
): Promise<{ broker: HttpBroker; registry: Registry; events: BrokerEvent[]; node: Node; record: ServiceRecord }> {
  const { broker, registry } = open(options);
  const events: BrokerEvent[] = [];
  await broker.subscribe(topic, async (event) => void events.push(event));
  const [record] = await registry.getService("micro.http.broker");
  const node = record?.nodes[0];
  if (record === undefined || node === undefined) throw new Error("not registered");
  return { broker, registry, events, record, node };
}

const names = ["json", "protobuf", "grpc-client"].flatMap((name) =>
  ["v4", "v5"].map((version) => `${version}-http-broker-publish-${name}`),
);

describe("http broker and Go's bytes", () => {
  for (const name of names) {
    it(`what a Go publisher sends is delivered and answered with an empty 200 (${name})`, async () => {
      const golden = capture(name);
      const { broker, events, node } = await subscribed("news");
      const theirs = golden.decoded[0]?.nodes[0]?.id ?? "";
      expect(node.id).toHaveLength(theirs.length);
      const sent = requests(golden);
      const bytes = Buffer.from(Buffer.concat(sent).toString("latin1").replaceAll(theirs, node.id), "latin1");
      const answer = await exchange(broker.address, bytes, /(?:HTTP\/1\.1 200 OK[^]*\r\n\r\n){2}$/);
      await eventually(() => events.length === sent.length, "both messages");
      for (const [i, event] of events.entries()) {
        const body = JSON.parse(sent[i]?.toString().split("\r\n\r\n")[1] ?? "") as {
          Header: Record<string, string>;
          Body: string;
        };
        expect({ ...event.message.header }).toEqual(body.Header);
        expect(Buffer.from(event.message.body).toString("base64")).toBe(body.Body);
      }
      expect(answer.match(/HTTP\/1\.1 200 OK\r\n/g)).toHaveLength(2);
      expect(answer.match(/Content-Length: 0\r\n/g)).toHaveLength(2);
      expect(answer).not.toContain("Connection: close");
    });

    it(`what we publish is the request that Go sends, and reads (${name})`, async () => {
      const golden = requests(capture(name))[0]?.toString("latin1") ?? "";
      const [goldenHead, goldenBody] = golden.split("\r\n\r\n") as [string, string];
      const envelope = JSON.parse(goldenBody) as { Header: Record<string, string>; Body: string };
      const peer = await RawPeer.listen();
      const { broker, registry } = open();
      closing.push(() => peer.close());
      const id = /id=(\S+) /.exec(goldenHead)?.[1] ?? "";
      await announce(registry, "news", peer.address, { id });
      const { "Micro-Topic": _topic, ...header } = envelope.Header;
      await broker.publish("news", {
        header: { ...header, "micro-topic": "wrong" },
        body: Buffer.from(envelope.Body, "base64"),
      });
      const [request] = peer.requests;
      expect(request?.body).toBe(goldenBody);
      const lines = request?.head.split("\r\n") ?? [];
      expect(lines[0]).toBe(goldenHead.split("\r\n")[0]);
      expect(lines).toContain("Content-Type: application/json");
      expect(lines).toContain(`Content-Length: ${goldenBody.length}`);
      expect(lines).toContain(`Host: ${peer.address}`);
    });
  }

  it("a subscription is announced as Go announces it", async () => {
    const golden = capture("v4-http-broker-publish-json").decoded[0];
    const { record } = await subscribed("news");
    const [node] = record.nodes;
    expect({ ...record, nodes: [] }).toEqual({ ...golden, nodes: [] });
    expect(node?.metadata).toMatchObject(golden?.nodes[0]?.metadata ?? {});
    expect(node?.id).toMatch(/^news-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
    expect(node?.address).toMatch(/^127\.0\.0\.1:\d+$/);
  });

  it("the queue is the version, and each subscription has an id of its own that DNS can carry", async () => {
    const { broker, registry } = open();
    const long = `${"very-long-topic-name-".repeat(5)}.${"and-its-last-label".repeat(4)}`;
    for (const queue of ["q1", "q2"]) await broker.subscribe(long, async () => {}, { queue });
    await broker.subscribe(long, async () => {}, { queue: "q1" });
    const records = await registry.getService("micro.http.broker");
    expect(records.map((record) => `${record.version} ${record.nodes.length}`).sort()).toEqual(["q1 2", "q2 1"]);
    const nodes = records.flatMap((record) => record.nodes);
    expect(new Set(nodes.map((node) => node.id)).size).toBe(3);
    for (const { id, metadata } of nodes) {
      for (const label of id.split(".")) expect(label.length).toBeLessThan(64);
      expect(metadata["topic"]).toBe(long);
    }
  });
});

function post(id: string, body: string, head = ""): string {
  return `POST /?id=${encodeURIComponent(id)} HTTP/1.1\r\nHost: x\r\nContent-Length: ${Buffer.byteLength(body)}\r\n${head}\r\n${body}`;
}

const envelope = '{"Header":{"Micro-Topic":"news"},"Body":"eA=="}';

describe("http broker endpoint", () => {
  it("another method is 405 with Go's error", async () => {
    const { broker } = await subscribed("news");
    const answer = await exchange(broker.address, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", /\}\n$/);
    expect(answer).toMatch(/^HTTP\/1\.1 405 Method Not Allowed\r\n/);
    expect(answer).toContain("Content-Type: text/plain; charset=utf-8\r\nX-Content-Type-Options: nosniff\r\n");
    expect(answer).toContain(
      '\r\n\r\n{"id":"go.micro.broker","code":400,"detail":"Method not allowed","status":"Bad Request"}\n',
    );
  });

  it("a body that is no envelope is 500 with Go's error, and the connection goes on", async () => {
    const { broker, events, node } = await subscribed("news");
    const answer = await exchange(
      broker.address,
      post(node.id, "nonsense") + post(node.id, envelope),
      /200 OK[^]*\r\n\r\n$/,
    );
    expect(answer).toMatch(/^HTTP\/1\.1 500 Internal Server Error\r\n/);
    expect(answer).toContain('{"id":"go.micro.broker","code":500,"detail":"Error parsing request body: ');
    await eventually(() => events.length === 1, "the second request");
  });

  for (const header of ["{}", '{"micro-topic":"news"}', '{"Micro-Topic":""}', "null"]) {
    it(`without Micro-Topic in this spelling it is 500 Topic not found: ${header}`, async () => {
      const { broker, events, node } = await subscribed("news");
      const answer = await exchange(broker.address, post(node.id, `{"Header":${header},"Body":"eA=="}`), /\}\n$/);
      expect(answer).toMatch(/^HTTP\/1\.1 500 /);
      expect(answer).toContain(
        '{"id":"go.micro.broker","code":500,"detail":"Topic not found","status":"Internal Server Error"}\n',
      );
      expect(events).toEqual([]);
    });
  }

  it("a wrong or missing id, or another topic, is 200, delivers nothing, and says so to our publishers", async () => {
    const { broker, events, node } = await subscribed("news");
    for (const request of [
      post("news-unknown", envelope),
      post("", envelope),
      post(node.id, envelope.replace("news", "other")),
    ]) {
      const answer = await exchange(broker.address, request, /\r\n\r\n$/);
      expect(answer).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
      expect(answer).toContain("Micro-Refused: 1\r\n");
    }
    expect(events).toEqual([]);
  });

  it("envelope keys in any case, null and absent bodies, any path are taken", async () => {
    const { broker, events, node } = await subscribed("news");
    const bodies = [
      '{"header":{"Micro-Topic":"news"},"body":"eA=="}',
      '{"HEADER":{"Micro-Topic":"news"},"BODY":null}',
      '{"Header":{"Micro-Topic":"news"},"Other":[1]}',
    ];
    const all = bodies.map((body) => post(node.id, body).replace("POST /?", "POST /any/path?a=1&")).join("");
    await exchange(broker.address, all, /(?:HTTP\/1\.1 200 OK[^]*\r\n\r\n){3}$/);
    await eventually(() => events.length === 3, "all three");
    expect(events.map(({ message }) => Buffer.from(message.body).toString())).toEqual(["x", "", ""]);
  });

  it("a body in chunks is taken", async () => {
    const { broker, events, node } = await subscribed("news");
    const chunked = `POST /?id=${node.id} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n${envelope.length.toString(16)}\r\n${envelope}\r\n0\r\n\r\n`;
    expect(await exchange(broker.address, chunked, /\r\n\r\n$/)).toMatch(/^HTTP\/1\.1 200/);
    await eventually(() => events.length === 1, "the message");
  });

  it("200 comes even when the handler fails", async () => {
    const { broker, registry } = open();
    await broker.subscribe("news", async () => {
      throw new Error("no");
    });
    const id = (await registry.getService("micro.http.broker"))[0]?.nodes[0]?.id ?? "";
    expect(await exchange(broker.address, post(id, envelope), /\r\n\r\n$/)).toMatch(/^HTTP\/1\.1 200 OK/);
    await eventually(() => broker.counters.failed === 1, "the failure");
  });

  it("a request that a web page makes is 403", async () => {
    const { broker, events, node } = await subscribed("news");
    for (const head of ["Origin: http://evil.example\r\n", "Sec-Fetch-Site: cross-site\r\n"])
      expect(await exchange(broker.address, post(node.id, envelope, head), /\}\n$/)).toMatch(/^HTTP\/1\.1 403/);
    expect(events).toEqual([]);
  });

  it("a body past the limit is 413, announced or not, and closes the connection", async () => {
    const { broker, events, node } = await subscribed("news", { maxBytes: 1000 });
    const big = "x".repeat(5000);
    const chunked = `POST /?id=${node.id} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1388\r\n${big}\r\n`;
    for (const request of [post(node.id, big), chunked]) {
      const answer = await exchange(broker.address, request, /\}\n$/);
      expect(answer).toMatch(/^HTTP\/1\.1 413/);
      expect(answer).toContain("Connection: close\r\n");
    }
    expect(events).toEqual([]);
  });

  it("a body that is announced as too large is turned away before it is sent", async () => {
    const { broker, node } = await subscribed("news", { maxBytes: 1000 });
    const head = post(node.id, "x".repeat(5000)).split("\r\n\r\n")[0] ?? "";
    expect(await exchange(broker.address, `${head}\r\n\r\n`, /\}\n$/)).toMatch(/^HTTP\/1\.1 413/);
  });

  it("what is no HTTP is 400, and the listener goes on", async () => {
    const { broker, events, node } = await subscribed("news");
    expect(await exchange(broker.address, "\u0016\u0003garbage\r\n\r\n", /\r\n\r\n$/)).toMatch(/^HTTP\/1\.1 400/);
    await exchange(broker.address, post(node.id, envelope), /\r\n\r\n$/);
    await eventually(() => events.length === 1, "the message");
  });

  it("a handler that is too slow fills the buffer; then publishers are turned away with 503, and nothing is lost silently", async () => {
    const { broker, registry } = open({ buffer: 2, concurrency: 1 });
    let release = (): void => {};
    const blocked = new Promise<void>((resolve) => (release = resolve));
    await broker.subscribe("news", () => blocked);
    const id = (await registry.getService("micro.http.broker"))[0]?.nodes[0]?.id ?? "";
    const answers: string[] = [];
    for (let i = 0; i < 5; i++) answers.push(await exchange(broker.address, post(id, envelope), /\r\n\r\n$/));
    expect(answers.map((answer) => answer.slice(9, 12))).toEqual(["200", "200", "200", "503", "503"]);
    expect(answers[4]).toContain("Micro-Refused: 1\r\n");
    release();
  });

  it("only a process that subscribes listens", async () => {
    const { broker } = open();
    await broker.start();
    await broker.publish("news", text("x"));
    expect(broker.address).toBe("");
    await broker.subscribe("news", async () => {});
    expect(broker.address).toMatch(/^127\.0\.0\.1:\d+$/);
  });
});
