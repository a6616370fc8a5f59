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

describe("withDefaults", () => {
  const clock = virtualClock();
  const all: WireDefaults = { tls: { ca }, cors: { origins: "*" }, poolSize: 3, poolTtl: "5s", clock };
  const transport = memoryTransport();

  it.each<[string, () => Protocol]>([
    ["fast", () => fast({ tls: {}, clock })],
    ["grpc", () => grpc({ tls: {}, clock })],
    ["http", () => http({ tls: {}, cors: { origins: [] }, poolSize: 1, poolTtl: 1, clock })],
    ["mucp", () => mucp({ transport, clock })],
    ["connect", () => connectProtocol({ cors: { origins: [] }, clock })],
    ["grpc-web", () => grpcWebProtocol({ cors: { origins: [] }, clock })],
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
