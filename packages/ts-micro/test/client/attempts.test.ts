/** How attempts follow one another. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { createClient, type Client, type ClientOptions } from "../../src/index.ts";
import type { CallInterceptor } from "../../src/client.ts";
import type { EndpointRecord, Node } from "../../src/registry.ts";
import { memoryRegistry } from "../../src/registry/memory.ts";
import type { Selector } from "../../src/selector.ts";
import type { Filter } from "../../src/context.ts";
import { filterVersion } from "../../src/selector/filters.ts";
import { roundRobinSelector } from "../../src/selector/round-robin.ts";
import { virtualClock } from "../../src/testing/clock.ts";
import { eventually } from "../../src/testing/suite.ts";

const open: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const each of open.splice(0).toReversed()) await each.close();
});

type Answer = (request: IncomingMessage, response: ServerResponse, body: string) => void;

/** A Go node that answers like that. */
async function goNode(id: string, answer: Answer): Promise<Node> {
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => void chunks.push(chunk));
    request.on("end", () => answer(request, response, Buffer.concat(chunks).toString()));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  open.push({
    close: () => {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  });
  const address = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  return { id, address, metadata: { protocol: "mucp", transport: "http" } };
}

function header(request: IncomingMessage, more: Record<string, string> = {}): Record<string, string> {
  const id = request.headers["micro-id"] as string;
  const stream = (request.headers["micro-stream"] as string | undefined) ?? "";
  return { "Content-Type": "application/json", "Micro-Id": id, "Micro-Stream": stream, ...more };
}

const good: Answer = (request, response) => void response.writeHead(200, header(request)).end("{}\n");
const silent: Answer = () => {};

const idempotent: EndpointRecord["metadata"] = { idempotent: "true" };
const record = (nodes: readonly Node[], metadata = idempotent, version = "latest") => ({
  name: "x",
  version,
  metadata: {},
  endpoints: [{ name: "X.Get", metadata }],
  nodes: [...nodes],
});

function clientOf(services: ReturnType<typeof record>[], options: Partial<ClientOptions> = {}): Client {
  const registry = memoryRegistry({ services });
  const shared = { env: false as const, logLevel: "fatal" as const, registry, selector: roundRobinSelector() };
  const client = createClient({ ...shared, ...options });
  open.push(client);
  return client;
}

it("retries that there is no time for are not taken from the budget", async () => {
  const client = clientOf([record([await goNode("x-0", silent), await goNode("x-1", good)])], {
    attemptTimeout: "200ms",
  });
  expect(await client.call("x", "X.Get", {}, { timeout: "20s" })).toEqual({});
  const short = () => client.call("x", "X.Get", {}, { timeout: 30 }).catch(() => {});
  await Promise.all(Array.from({ length: 40 }, short));
  for (let n = 0; n < 6; n++) expect(await client.call("x", "X.Get", {}, { timeout: "20s" })).toEqual({});
});

it.each([
  "unknown method of payment: giro",
  "unknown service",
  '{"id":"go.micro.client","code":404,"detail":"unknown service Bank"}',
])("a Go handler that fails with %s has run, and runs once", async (text) => {
  let runs = 0;
  const fails: Answer = (request, response) => {
    runs++;
    response.writeHead(200, header(request, { "Micro-Error": text })).end("{}\n");
  };
  const nodes = await Promise.all([0, 1, 2].map((n) => goNode(`x-${n}`, fails)));
  await expect(clientOf([record(nodes, {})]).call("x", "X.Get", {})).rejects.toMatchObject({ attempts: 1 });
  expect(runs).toBe(1);
});

it("a Go node that has no such endpoint, while another has, is passed over", async () => {
  const lacks: Answer = (request, response) =>
    void response.writeHead(200, header(request, { "Micro-Error": "rpc: can't find method X.Get" })).end("{}\n");
  const client = clientOf([record([await goNode("x-0", lacks), await goNode("x-1", good)], {})]);
  for (let n = 0; n < 4; n++) expect(await client.call("x", "X.Get", {})).toEqual({});
});

/** By what timers are late, at most: what is sent is rounded up. */
const timer = 0.5;
/** The first by id that did not fail in this call. */
const inTurn: Selector = {
  ...roundRobinSelector(),
  select: (_, nodes, exclude) => {
    const sorted = nodes.toSorted((a, b) => (a.id < b.id ? -1 : 1));
    return sorted.find(({ id }) => exclude?.has(id) !== true) ?? (sorted[0] as Node);
  },
};

describe.each([false, true])("the time of an attempt of an idempotent call (with interceptors: %s)", (careful) => {
  const callInterceptors: CallInterceptor[] = careful ? [(attempt, next) => next(attempt)] : [];

  it("is twice that of the one before, up to the deadline", async () => {
    for (const [options, told] of [
      [{}, [5000, 10_000, 20_000, 60_000 - 35_000 - 1]],
      [{ attemptTimeout: "1s" }, [1000, 2000, 4000, 8000]],
    ] as const) {
      const clock = virtualClock();
      const given: number[] = [];
      const note: Answer = (request) => void given.push(Number(request.headers["timeout"]) / 1e6);
      const nodes = await Promise.all([0, 1, 2, 3].map((n) => goNode(`x-${n}`, note)));
      const client = clientOf([record(nodes)], { clock, selector: inTurn, callInterceptors });
      const call = client
        .call("x", "X.Get", {}, { timeout: "1m", retries: 3, ...options })
        .catch((error: unknown) => error);
      for (const [n, ms] of told.entries()) {
        await eventually(() => given.length > n, `attempt ${n + 1}`);
        await clock.advance(ms + timer);
      }
      expect(await call).toMatchObject({ code: "TIMEOUT", attempts: 4 });
      expect(given).toEqual(told);
    }
  });

  it("may end at the server first, which is as if it had ended here", async () => {
    const clock = virtualClock();
    const blamed: string[] = [];
    const selector: Selector = { ...inTurn, ended: (_service, { id }, _ms, error) => void (error && blamed.push(id)) };
    const late: Answer = (request, response) =>
      void clock.advance(4995).then(() => {
        const text = '{"id":"x","code":408,"detail":"X.Get: the deadline has passed"}';
        response.writeHead(200, header(request, { "Micro-Error": text })).end("{}\n");
      });
    const nodes = [await goNode("x-0", late), await goNode("x-1", good)];
    const client = clientOf([record(nodes)], { clock, selector, callInterceptors });
    expect(await client.call("x", "X.Get", {})).toEqual({});
    expect(blamed).toEqual(["x-0"]);
  });

  it("is not up because a handler says so", async () => {
    const fails: Answer = (request, response) => {
      const text = '{"id":"x","code":408,"detail":"the database did not answer"}';
      response.writeHead(200, header(request, { "Micro-Error": text })).end("{}\n");
    };
    const nodes = [await goNode("x-0", fails), await goNode("x-1", good)];
    const client = clientOf([record(nodes)], { clock: virtualClock(), selector: inTurn, callInterceptors });
    await expect(client.call("x", "X.Get", {})).rejects.toMatchObject({ id: "x", layer: "remote", attempts: 1 });
  });
});

it.each([
  ["v1", "v2"],
  ["v2", "v1"],
])("an endpoint is idempotent if it is in all versions that have it (%s, %s)", async (...order) => {
  let runs = 0;
  const lost: Answer = (request) => {
    runs++;
    request.socket.destroy();
  };
  const nodes = { v1: await goNode("x-1", lost), v2: await goNode("x-2", lost) };
  const of = { v1: record([nodes.v1], {}, "v1"), v2: record([nodes.v2], idempotent, "v2") };
  const versions = order.map((version) => of[version as "v1" | "v2"]);
  await expect(clientOf(versions).call("x", "X.Get", {})).rejects.toMatchObject({ code: "CONNECTION_LOST" });
  expect(runs).toBe(1);
  const filters = [filterVersion("v2")];
  await expect(clientOf(versions).call("x", "X.Get", {}, { filters, retries: 1 })).rejects.toMatchObject({
    attempts: 2,
  });
});

it("filters of the client are applied to what the registry says, those of a call for each call", async () => {
  const applied = { client: 0, call: 0 };
  const counting = (whose: keyof typeof applied): Filter => {
    return (services) => (applied[whose]++, services);
  };
  const registry = memoryRegistry({ services: [record([await goNode("x-0", good)])] });
  const client = clientOf([], { registry, filters: [counting("client")] });
  for (let n = 0; n < 50; n++) await client.call("x", "X.Get", {});
  // The first look-up, and the watch's first word.
  expect(applied.client).toBeLessThan(5);
  for (let n = 0; n < 5; n++) await client.call("x", "X.Get", {}, { filters: [counting("call")] });
  expect(applied.call).toBeGreaterThanOrEqual(5);
  const before = applied.client;
  await registry.register(record([await goNode("x-1", good)]));
  await eventually(async () => (await client.call("x", "X.Get", {}), applied.client > before), "the client's turn");
});
