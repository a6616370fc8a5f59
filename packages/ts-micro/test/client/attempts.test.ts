/** How attempts follow one another. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, expect, it } from "vitest";
import { createClient, type Client, type ClientOptions } from "../../src/index.ts";
import type { EndpointRecord, Node } from "../../src/registry.ts";
import { memoryRegistry } from "../../src/registry/memory.ts";
import { roundRobinSelector } from "../../src/selector/round-robin.ts";

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
