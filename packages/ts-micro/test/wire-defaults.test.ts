/** What a service or client says for all its wires reaches the protocols and transports that were given as objects, or by name. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { afterEach, describe, expect, it } from "vitest";
import { createClient, createService, type ClientOptions, type ServiceOptions } from "../src/index.ts";
import type { Protocol, WireDefaults } from "../src/protocol.ts";
import { connectProtocol } from "../src/protocol/connect.ts";
import { fast } from "../src/protocol/fast.ts";
import { grpcWebProtocol } from "../src/protocol/grpc-web.ts";
import { grpc } from "../src/protocol/grpc.ts";
import { http } from "../src/protocol/http.ts";
import { mucp } from "../src/protocol/mucp.ts";
import { memoryRegistry } from "../src/registry/memory.ts";
import { virtualClock } from "../src/testing/clock.ts";
import { grpcTransport } from "../src/transport/grpc.ts";
import { httpTransport } from "../src/transport/http.ts";
import { memoryTransport } from "../src/transport/memory.ts";

const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close();
});

const read = (name: string): Buffer => readFileSync(fileURLToPath(new URL(`fixtures/tls/${name}`, import.meta.url)));
const tls = { cert: read("server.pem"), key: read("server-key.pem") };
const ca = read("ca.pem");
const quiet = { env: false, logLevel: "fatal", broker: "memory" } as const;

async function world(serving: Partial<ServiceOptions>, calling: ClientOptions = {}) {
  const registry = memoryRegistry();
  const service = createService({ name: "echo", address: "127.0.0.1:0", settle: 0, registry, ...quiet, ...serving });
  service.handle("Echo", { hello: ({ name }: { name: string }) => ({ msg: `Hello ${name}` }) });
  closing.push(() => service.stop());
  await service.start();
  const client = createClient({ registry, ...quiet, ...calling });
  closing.push(() => client.close());
  const hello = () => client.call<{ msg: string }>("echo", "Echo.Hello", { name: "Ada" });
  return { service, hello, url: `http://${service.server.address}` };
}

describe("the authorities of a client", () => {
  it.each<[string, ClientOptions]>([
    ["fast", { protocols: [fast({ connections: 2 })] }],
    ["grpc", { protocols: [grpc({ gzip: true })] }],
    ["http", { protocols: [http({ maxConnections: 2 })] }],
    ["mucp over http", { protocols: [mucp({ transport: httpTransport({ maxHeader: 1 << 16 }) })] }],
    ["the transport http", { protocols: ["mucp"], transport: httpTransport({ maxHeader: 1 << 16 }) }],
  ])("are those of %s that was given as an object, and of no other", async (_, calling) => {
    const { hello } = await world({ tls }, { ...calling, tls: { ca } });
    expect(await hello()).toEqual({ msg: "Hello Ada" });
    const { hello: strange } = await world({ tls }, calling);
    await expect(strange()).rejects.toMatchObject({ code: "UNAVAILABLE" });
  });

  it.each(["grpc", "http"])("are those of the transport %s by its name", async (transport) => {
    const { hello } = await world({ tls, transport }, { transport, tls: { ca } });
    expect(await hello()).toEqual({ msg: "Hello Ada" });
  });

  it("are not those of a protocol that has its own", async () => {
    const own = fast({ tls: { ca: "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----" } });
    const { hello } = await world({ tls }, { protocols: [own], tls: { ca } });
    await expect(hello()).rejects.toMatchObject({ code: "UNAVAILABLE" });
  });
});

describe("the pages that may call a service", () => {
  const origin = "https://app.example.com";
  it.each<[string, Protocol, string]>([
    ["connect", connectProtocol({ maxMessageSize: 1 << 20 }), "/Echo/Hello"],
    ["http", http({ maxHeader: 1 << 16 }), "/echo/Echo.Hello"],
  ])("may call it by %s that was given as an object", async (_, protocol, path) => {
    const { url } = await world({ protocols: [protocol], cors: { origins: [origin] } });
    const call = (from: string) => {
      const headers = { "content-type": "application/json", origin: from };
      return fetch(url + path, { method: "POST", headers, body: '{"name":"Ada"}' });
    };
    expect((await call(origin)).status).toBe(200);
    expect((await call("https://other.example.com")).status).toBe(403);
  });
});

describe("maxMessageSize", () => {
  const text = "x".repeat(6 << 20);
  const limits = { maxMessageSize: 8 << 20 };

  async function echo(serving: Partial<ServiceOptions>, calling: ClientOptions) {
    const registry = memoryRegistry();
    const options = { address: "127.0.0.1:0", settle: 0, registry, ...quiet, ...serving };
    const service = createService({ ...options, name: "echo" }).handle("Echo", {
      back: ({ text }: { text: string }) => ({ text }),
      length: ({ text }: { text: string }) => ({ length: text.length }),
      make: ({ length }: { length: number }) => ({ text: "x".repeat(length) }),
    });
    closing.push(() => service.stop());
    await service.start();
    const client = createClient({ registry, ...quiet, ...calling });
    closing.push(() => client.close());
    return { url: `http://${service.server.address}`, Echo: client.service<typeof service>("echo").Echo };
  }

  describe.each<[string, ClientOptions]>([
    ["all protocols", {}],
    ...["fast", "mucp", "grpc", "http"].map((name): [string, ClientOptions] => [name, { protocols: [name] }]),
    ["a protocol given as an object", { protocols: [fast({ connections: 2 })] }],
  ])("of a client by %s", (_, calling) => {
    it("and of its service let 6 MiB pass, to and fro", async () => {
      const { Echo } = await echo(limits, { ...calling, ...limits });
      expect((await Echo.back({ text })).text.length).toBe(text.length);
    });

    it("is what it was without the option, at either end", async () => {
      const code = expect.stringMatching(/^(?:PAYLOAD_TOO_LARGE|RESOURCE_EXHAUSTED)$/);
      const neither = (await echo({}, calling)).Echo;
      await expect(neither.length({ text })).rejects.toMatchObject({ code });
      const server = (await echo({}, { ...calling, ...limits })).Echo;
      await expect(server.length({ text })).rejects.toMatchObject({ code });
      const client = (await echo(limits, calling)).Echo;
      await expect(client.make({ length: text.length })).rejects.toMatchObject({ code });
    });
  });

  it.each(["grpc", "http"])("is that of the transport %s by its name", async (transport) => {
    const { Echo } = await echo({ transport, ...limits }, { transport, protocols: ["mucp"], ...limits });
    expect((await Echo.back({ text })).text.length).toBe(text.length);
  });

  it("is that of Connect and gRPC-Web", async () => {
    const body = Buffer.from(JSON.stringify({ text }));
    const framed = Buffer.concat([Buffer.alloc(5), body]);
    framed.writeUInt32BE(body.length, 1);
    const statuses = async (serving: Partial<ServiceOptions>) => {
      const { url } = await echo(serving, {});
      const connect = { "content-type": "application/json", "connect-protocol-version": "1" };
      const web = { "content-type": "application/grpc-web+json" };
      const first = await fetch(`${url}/Echo/Length`, { method: "POST", headers: connect, body });
      await first.arrayBuffer();
      const second = await fetch(`${url}/Echo/Length`, { method: "POST", headers: web, body: framed });
      return [first.status, /grpc-status: ?(\d+)/.exec(await second.text())?.[1]];
    };
    expect(await statuses(limits)).toEqual([200, "0"]);
    expect(await statuses({})).toEqual([429, "8"]);
  });

  it("goes behind the limit of a protocol itself", async () => {
    const { Echo } = await echo(limits, { protocols: [fast({ maxBody: 5 << 20 })], ...limits });
    await expect(Echo.length({ text })).rejects.toMatchObject({ code: "PAYLOAD_TOO_LARGE" });
  });

  it.each([0, 1000, 16383, (1 << 30) + 1, 1.5, NaN, -1])("%s is BAD_REQUEST where it is given", (maxMessageSize) => {
    const wrong = expect.objectContaining({ code: "BAD_REQUEST", detail: expect.stringContaining("maxMessageSize") });
    expect(() => createClient({ ...quiet, maxMessageSize })).toThrow(wrong);
    const service = createService({ name: "x", registry: memoryRegistry(), ...quiet, maxMessageSize });
    expect(() => service.client).toThrow(wrong);
  });
});

describe("withDefaults", () => {
  const clock = virtualClock();
  const all: WireDefaults = {
    tls: { ca },
    cors: { origins: "*" },
    poolSize: 3,
    poolTtl: "5s",
    maxMessageSize: 1 << 20,
    clock,
  };
  const transport = memoryTransport();

  it.each<[string, () => Protocol]>([
    ["fast", () => fast({ tls: {}, maxBody: 1 << 20, clock })],
    ["grpc", () => grpc({ tls: {}, maxMessage: 1 << 20, clock })],
    ["http", () => http({ tls: {}, cors: { origins: [] }, poolSize: 1, poolTtl: 1, maxBody: 1 << 20, clock })],
    ["mucp", () => mucp({ transport, clock })],
    ["connect", () => connectProtocol({ cors: { origins: [] }, maxMessageSize: 1 << 20, clock })],
    ["grpc-web", () => grpcWebProtocol({ cors: { origins: [] }, maxMessageSize: 1 << 20, clock })],
  ])("gives %s itself when it says all of that, or nothing is set", (_, make) => {
    const protocol = make();
    expect(protocol.withDefaults?.(all)).toBe(protocol);
    expect(protocol.withDefaults?.({ tls: undefined })).toBe(protocol);
  });

  it("leaves a service and a client the very objects that need nothing", async () => {
    const given = fast({ connections: 2 });
    let started = 0;
    given.start = async () => void started++;
    await (await world({ protocols: [given] }, { protocols: [given] })).hello();
    expect(started).toBe(1);
  });

  it("makes one that is closed with what it was made for, and leaves the given one and its transport open", async () => {
    const over = httpTransport();
    const given = mucp({ transport: over });
    const { hello } = await world({ tls }, { protocols: [given], tls: { ca } });
    await hello();
    for (const close of closing.splice(0).toReversed()) await close();
    const node = { id: "x", address: "127.0.0.1:1", metadata: {} };
    await expect(over.dial(node, { reuse: true, deadline: Infinity })).rejects.toMatchObject({ code: "UNAVAILABLE" });
    const made = over.withDefaults?.({ poolSize: 1 });
    const bare = grpcTransport({ poolSize: 1 });
    expect(bare.withDefaults?.({ poolSize: 2 })).toBe(bare);
    await Promise.all([made?.close(), bare.close(), over.close(), given.close()]);
  });
});
