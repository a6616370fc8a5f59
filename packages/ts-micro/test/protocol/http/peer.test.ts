import { readFileSync } from "node:fs";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { afterEach, beforeAll, describe, expect, it } from "vitest";
import { Metadata } from "../../../src/metadata.ts";
import type { CallHead, Peer } from "../../../src/protocol.ts";
import { http, type HttpOptions } from "../../../src/protocol/http.ts";
import { eventually, within } from "../../../src/testing/suite.ts";
import { RawServer, type Raw } from "../../transport/raw.ts";

beforeAll(() => http().loadClient?.());

const closing: { close(): Promise<void> }[] = [];
const servers: RawServer[] = [];
afterEach(async () => {
  await Promise.all(closing.splice(0).map((each) => each.close()));
  for (const server of servers.splice(0)) await server[Symbol.asyncDispose]();
});

function dial(address: string, metadata: Record<string, string> = {}, options: HttpOptions = {}): Peer {
  const protocol = http(options);
  closing.push(protocol);
  return protocol.dial({ id: "web-1", address, metadata: { protocol: "http", ...metadata } });
}

async function server(serve: (request: string, connection: Raw) => string | undefined): Promise<RawServer> {
  const made = await RawServer.start((connection) => {
    let seen = 0;
    connection.socket.on("data", () => {
      const text = connection.text.slice(seen);
      const body = /content-length: (\d+)/i.exec(text);
      const end = text.indexOf("\r\n\r\n");
      if (end < 0 || text.length < end + 4 + Number(body?.[1] ?? 0)) return;
      seen += text.length;
      const answer = serve(text, connection);
      if (answer !== undefined) connection.socket.write(answer);
    });
  });
  servers.push(made);
  return made;
}

function head(init: Partial<CallHead> = {}): CallHead {
  return {
    service: "web",
    endpoint: "/demo",
    contentType: "application/json",
    kind: "unary",
    deadline: Infinity,
    metadata: undefined,
    id: "ts-1",
    ...init,
  };
}

const ok = (body: string, status = "200 OK", headers = ""): string =>
  `HTTP/1.1 ${status}\r\nContent-Length: ${Buffer.byteLength(body)}\r\n${headers}\r\n${body}`;
const body = Buffer.from('{"name":"x"}');

describe("a request", () => {
  it("is what Go's http client sends: POST to the endpoint, metadata as headers, Timeout in nanoseconds", async () => {
    const requests: string[] = [];
    const node = await server((request) => (requests.push(request), ok("{}")));
    const peer = dial(node.address);
    const metadata = Metadata.from({
      "X-User": "zoë",
      "Micro-Endpoint": "x",
      Connection: "close",
      "X-Control": "a\x01b",
    });
    const deadline = performance.now() + 5000;
    expect(Buffer.from((await peer.unary(head({ metadata, deadline }), body)).body).toString()).toBe("{}");
    const [line, ...headers] = (requests[0] ?? "").split("\r\n");
    expect(line).toBe("POST /demo HTTP/1.1");
    const names = Object.fromEntries(headers.slice(0, -2).map((each) => each.split(": ")));
    expect(names).toMatchObject({
      "X-User": Buffer.from("zoë").toString("latin1"),
      "X-Control": "a b",
      "content-type": "application/json",
      "content-length": "12",
      Host: node.address,
    });
    expect(Number(names["Timeout"])).toBeGreaterThan(4e9);
    expect(Number(names["Timeout"])).toBeLessThanOrEqual(5e9);
    expect(Object.keys(names).filter((name) => /^micro-(?!kind)/i.test(name))).toEqual([]);
    expect(headers.at(-1)).toBe('{"name":"x"}');
  });

  it.each([
    ["/demo?a=1", {}, "/demo?a=1"],
    ["demo", {}, "/demo"],
    ["Greeter.Hello", {}, "/Greeter.Hello"],
    ["Greeter.Hello", { "ts-wire": "0" }, "/web/Greeter.Hello"],
    ["/a b\r\nX: y/é", {}, "/a%20b%0D%0AX:%20y/%C3%A9"],
  ])("of endpoint %j at a node with %j goes to %s", async (endpoint, metadata, path) => {
    let line = "";
    const node = await server((request) => ((line = request.split("\r\n")[0] ?? ""), ok("{}")));
    await dial(node.address, metadata).unary(head({ endpoint }), body);
    expect(line).toBe(`POST ${path} HTTP/1.1`);
  });

  it("goes over a kept connection, and over more when several are under way", async () => {
    const node = await server(() => ok("{}"));
    const peer = dial(node.address);
    for (let n = 0; n < 5; n++) await peer.unary(head(), body);
    expect(node.connections).toHaveLength(1);
    await Promise.all(Array.from({ length: 8 }, () => peer.unary(head(), body)));
    expect(node.connections.length).toBeLessThanOrEqual(8);
    const few = dial(node.address, {}, { maxConnections: 2 });
    const before = node.connections.length;
    await Promise.all(Array.from({ length: 8 }, () => few.unary(head(), body)));
    expect(node.connections.length - before).toBe(2);
  });
});

describe("an answer", () => {
  it.each([
    ["404 Not Found", "no such page", { status: 404, code: "NOT_FOUND", detail: "no such page", id: "web" }],
    [
      "409 Conflict",
      '{"id":"shop","code":409,"detail":"sold"}',
      { status: 409, code: "CONFLICT", detail: "sold", id: "shop" },
    ],
    ["418 I'm a teapot", "", { status: 418, code: "BAD_REQUEST", detail: "418 I'm a teapot" }],
    ["502 Bad Gateway", "<html>", { status: 502, code: "INTERNAL", detail: "<html>" }],
    ["503 Service Unavailable", '{"error":"busy"}', { status: 503, code: "UNAVAILABLE", detail: '{"error":"busy"}' }],
  ])("of status %s is an error", async (status, text, error) => {
    const node = await server(() => ok(text, status));
    const peer = dial(node.address);
    await expect(peer.unary(head(), body)).rejects.toMatchObject({ ...error, layer: "remote", refused: false });
    expect(peer.pending).toBe(0);
  });

  it("that refuses is known by its header", async () => {
    const node = await server(() => ok("", "503 Service Unavailable", "Micro-Refused: 1\r\n"));
    await expect(dial(node.address).unary(head(), body)).rejects.toMatchObject({ code: "UNAVAILABLE", refused: true });
  });

  it("of 204 is an empty reply; a redirect is not followed", async () => {
    const empty = await server(() => "HTTP/1.1 204 No Content\r\n\r\n");
    expect((await dial(empty.address).unary(head(), body)).body).toHaveLength(0);
    const elsewhere = await server(() => ok("", "307 Temporary Redirect", "Location: http://127.0.0.1:1/\r\n"));
    await expect(dial(elsewhere.address).unary(head(), body)).rejects.toMatchObject({
      code: "PROTOCOL",
      detail: expect.stringContaining("redirects are not followed") as string,
    });
  });

  it("that is too large is given up, one that is cut or garbage too", async () => {
    const large = await server(() => ok("x".repeat(2000)));
    await expect(dial(large.address, {}, { maxBody: 1000 }).unary(head(), body)).rejects.toMatchObject({
      code: "PAYLOAD_TOO_LARGE",
    });
    const cut = await server((_, { socket }) => void socket.end("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"));
    await expect(dial(cut.address).unary(head(), body)).rejects.toMatchObject({
      code: "CONNECTION_LOST",
      refused: false,
    });
    const garbage = await server(() => "what?\r\n\r\n");
    await expect(dial(garbage.address).unary(head(), body)).rejects.toMatchObject({
      code: "CONNECTION_LOST",
      refused: false,
    });
  });

  it("that never comes ends at the deadline, and its connection is not used again", async () => {
    let count = 0;
    const node = await server(() => (count++ === 0 ? undefined : ok("{}")));
    const peer = dial(node.address);
    const late = peer.unary(head({ deadline: performance.now() + 60 }), body);
    await expect(late).rejects.toMatchObject({ code: "TIMEOUT", refused: false });
    await peer.unary(head(), body);
    expect(node.connections).toHaveLength(2);
    expect(peer.pending).toBe(0);
  });

  it("of a stream that is cut is no clean end", async () => {
    const node = await server((_, { socket }) => {
      socket.end('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8\r\n{"n":1}\n\r\n');
      return undefined;
    });
    const stream = dial(node.address).stream(head({ kind: "server" }));
    await stream.send(body);
    expect(Buffer.from((await stream.read()) ?? []).toString()).toBe('{"n":1}');
    await expect(stream.read()).rejects.toMatchObject({ code: "CONNECTION_LOST" });
  });

  it.each([true, false])("of a stream whose connection is gone before it was read (complete: %s)", async (complete) => {
    const sent = Array.from({ length: 300 }, (_, n) => `{"n":${100 + n}}`);
    const chunks = sent.map((line) => `a\r\n${line}\n\r\n`).join("");
    const node = await server((_, { socket }) => {
      const begin = "HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
      socket.end(`${begin}${chunks}${complete ? "0\r\n\r\n" : ""}`);
      return undefined;
    });
    const stream = dial(node.address).stream(head({ kind: "server" }));
    await stream.send(body);
    await node.connections[0]?.end();
    await eventually(() => node.connections[0]?.socket.closed, "the connection is gone");
    await new Promise((resolve) => setImmediate(resolve));
    const got: string[] = [];
    const reading = (async () => {
      for (let each = await stream.read(); each !== undefined; each = await stream.read())
        got.push(Buffer.from(each).toString());
    })();
    if (!complete) return expect(reading).rejects.toMatchObject({ code: "CONNECTION_LOST" });
    await reading;
    expect(got).toEqual(sent);
  });

  it("takes no more requests when the connection is gone behind a complete answer", async () => {
    const answer = `{"n":1}\n`.repeat(12_000);
    const node = await server((_, { socket }) => {
      socket.end(`HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: ${answer.length}\r\n\r\n${answer}`);
      return undefined;
    });
    const stream = dial(node.address).stream(head({ kind: "bidi" }));
    await stream.send(body);
    await eventually(() => node.connections[0]?.socket.closed, "the connection is gone");
    await new Promise((resolve) => setImmediate(resolve));
    await expect(within(stream.send(body), "it is told")).rejects.toMatchObject({ code: "INVALID_STATE" });
  });
});

describe("a node with TLS", () => {
  const pem = (name: string): string => readFileSync(new URL(`../../fixtures/tls/${name}`, import.meta.url), "utf8");

  it("is called with TLS, and its certificate is verified", async () => {
    const secure = createServer({ cert: pem("server.pem"), key: pem("server-key.pem") }, (_req, res) =>
      res.end('{"tls":true}'),
    );
    await new Promise<void>((resolve) => secure.listen(0, "127.0.0.1", resolve));
    const address = `localhost:${(secure.address() as AddressInfo).port}`;
    await expect(dial(address, { secure: "true" }).unary(head(), body)).rejects.toMatchObject({
      code: "UNAVAILABLE",
      refused: true,
    });
    const reply = await dial(address, {}, { tls: { ca: pem("ca.pem") } }).unary(head(), body);
    expect(Buffer.from(reply.body).toString()).toBe('{"tls":true}');
    secure.closeAllConnections();
    await new Promise((resolve) => secure.close(resolve));
  });
});
