import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import { HelloRequestSchema, HelloResponseSchema, Greeter } from "../../../../../interop/proto/gen/greeter_pb.ts";
import { fromBinary, toBinary, create } from "@bufbuild/protobuf";
import { createService, endpoint, errors, type Context, type Service } from "../../../src/index.ts";
import { http } from "../../../src/protocol/http.ts";
import { listen } from "../../../src/server/listener.ts";
import { eventually } from "../../../src/testing/suite.ts";
import { Greeter as Captured } from "../greeter.ts";
import { raw } from "../../transport/raw.ts";
import { alone, greeter, post, Seen } from "./world.ts";

const seen = new Seen();
let service: Service;
let url = "";

beforeAll(async () => {
  service = greeter({}, seen).handle("Math", {
    half: endpoint({ request: z.object({ n: z.number() }), response: z.object({ half: z.number() }) }, ({ n }) => ({
      half: n / 2,
    })),
    deny() {
      throw errors.forbidden("math", "no <numbers> today – é");
    },
    odd() {
      throw new Error("odd");
    },
    nothing() {},
    async *long({ detail }: { detail: string }, ctx: Context) {
      ctx.responseTrailer.set("X-Long", "t".repeat(16_000));
      yield { n: 1 };
      throw new Error(detail);
    },
  } as never);
  await service.start();
  url = `http://${service.server.address}`;
});
afterAll(() => service.stop());

async function call(path: string, init: RequestInit & { json?: unknown } = {}): Promise<Response> {
  const { json, headers, ...rest } = init;
  const body = json === undefined ? {} : { body: JSON.stringify(json) };
  return fetch(url + path, {
    method: "POST",
    ...rest,
    ...body,
    headers: { "content-type": "application/json", ...(headers as Record<string, string>) },
  });
}

describe("unary calls", () => {
  it.each([
    "/greeter/Greeter.Hello",
    "/greeter/Greeter/Hello",
    "/Greeter.Hello",
    "/greeter/greeter.hello",
    "/greeter/greeter/hello",
    "/greeter/Greeter%2EHello",
    "/greeter/Greeter.Hello?verbose=1",
  ])("are made with POST %s", async (path) => {
    const response = await call(path, { json: { name: "John" } });
    expect(response.status).toBe(200);
    expect(response.headers.get("content-type")).toBe("application/json");
    expect(await response.text()).toBe('{"msg":"Hello John"}\n');
  });

  it("take JSON with parameters, and no content type for JSON", async () => {
    const json = { body: '{"name":"x"}', headers: { "content-type": "Application/JSON; charset=utf-8" } };
    expect(await (await call("/Greeter.Hello", json)).json()).toEqual({ msg: "Hello x" });
    const response = await fetch(`${url}/Greeter.Hello`, { method: "POST", body: Buffer.from('{"name":"y"}') });
    expect(await response.json()).toEqual({ msg: "Hello y" });
  });

  it("take an empty body for the empty message, and answer an empty one with {}", async () => {
    expect(await (await call("/Greeter.Hello")).json()).toEqual({ msg: "Hello " });
    expect(await (await call("/Math.Nothing")).json()).toEqual({});
  });

  it("give errors as Go's JSON, with their status", async () => {
    const denied = await call("/Math.Deny", { json: {} });
    expect(denied.status).toBe(403);
    expect(denied.headers.get("content-type")).toBe("application/json");
    expect(await denied.text()).toBe(
      '{"id":"math","code":403,"detail":"no \\u003cnumbers\\u003e today – é","status":"Forbidden"}',
    );
    const broken = await call("/Math.Odd", { json: {} });
    expect(broken.status).toBe(500);
    expect(await broken.json()).toMatchObject({ id: "greeter", code: 500 });
    const wrong = await call("/Math.Half", { json: { n: "four" } });
    expect(wrong.status).toBe(400);
    const garbage = await call("/Math.Half", { body: "{" });
    expect(garbage.status).toBe(400);
    expect(await garbage.json()).toMatchObject({ code: 400 });
  });

  it("say what is wrong with the request itself", async () => {
    for (const path of [
      "/greeter/Greeter.Nope",
      "/nosuch/Greeter.Hello",
      "/nosuch/Greeter/Hello",
      "/Greeter/Greeter.Hello",
    ])
      expect((await call(path, { json: {} })).status).toBe(404);
    const get = await fetch(`${url}/greeter/Greeter.Hello`);
    expect(get.status).toBe(405);
    expect(get.headers.get("allow")).toBe("POST");
    const form = await call("/Greeter.Hello", {
      body: "a=b",
      headers: { "content-type": "application/x-www-form-urlencoded" },
    });
    expect(form.status).toBe(415);
    expect(await form.json()).toMatchObject({
      code: 415,
      detail: expect.stringContaining("application/json") as string,
    });
    expect(
      (await call("/greeter/Greeter.Wait", { json: {}, headers: { "content-type": "application/x-ndjson" } })).status,
    ).toBe(405);
  });

  it("refuse bodies above 4 MiB, and go on with the connection", async () => {
    const large = await call("/Greeter.Hello", { json: { name: "x".repeat(5 << 20) } });
    expect(large.status).toBe(413);
    expect(await large.json()).toMatchObject({ code: 413 });
    expect((await call("/Greeter.Hello", { json: {} })).status).toBe(200);
  });

  it("bring request headers as metadata, without those of the connection and the body", async () => {
    const headers = {
      "X-User": "zo\u00c3\u00ab",
      Authorization: "Bearer t",
      traceparent: "00-1",
      Cookie: "a=b",
      "Cache-Control": "no-cache",
    };
    await call("/Greeter.Hello", { json: {}, headers });
    const metadata = seen.metadata.at(-1) ?? {};
    expect(metadata).toMatchObject({
      "X-User": "zoë",
      Authorization: "Bearer t",
      Traceparent: "00-1",
      Remote: expect.stringContaining("127.0.0.1:") as string,
    });
    expect(Object.keys(metadata).sort()).toEqual([
      "Authorization",
      "Content-Type",
      "Local",
      "Remote",
      "Traceparent",
      "User-Agent",
      "X-User",
    ]);
  });

  it.each([
    ["5000000000", 5000],
    ["2s", 2000],
    ["1m30s", 90_000],
  ])("have the deadline of Timeout: %s", async (timeout, ms) => {
    const before = performance.now();
    await call("/Greeter.Hello", { json: {}, headers: { timeout } });
    const deadline = seen.deadlines.at(-1) ?? 0;
    expect(deadline).toBeGreaterThanOrEqual(before + ms);
    expect(deadline).toBeLessThan(performance.now() + ms);
  });

  it("ignore a Timeout that is none, as Go does", async () => {
    await call("/Greeter.Hello", { json: {}, headers: { timeout: "soon" } });
    expect(seen.deadlines.at(-1)).toBe(Infinity);
  });

  it("answer 408 at the deadline", async () => {
    const response = await call("/Greeter.Wait", { json: {}, headers: { timeout: "50ms" } });
    expect(response.status).toBe(408);
    expect(await response.json()).toMatchObject({ code: 408, status: "Request Timeout" });
  });

  it("are cancelled when the client leaves", async () => {
    const { cancelled, running } = seen;
    const leaving = new AbortController();
    const gone = call("/Greeter.Wait", { json: {}, signal: leaving.signal }).catch(() => {});
    await eventually(() => seen.running > running, "the call runs");
    leaving.abort();
    await gone;
    await eventually(() => seen.cancelled > cancelled, "the handler hears of it");
    expect(seen.cancelled).toBe(cancelled + 1);
  });
});

describe("server streams", () => {
  it("are a JSON message a line", async () => {
    const response = await call("/greeter/Greeter.Count", { json: { to: 3 } });
    expect(response.headers.get("content-type")).toBe("application/x-ndjson");
    expect(await response.text()).toBe('{"n":1}\n{"n":2}\n{"n":3}\n');
  });

  it("are events for those who accept them", async () => {
    const response = await call("/greeter/Greeter.Count", {
      json: { to: 2 },
      headers: { accept: "text/event-stream" },
    });
    expect(response.headers.get("content-type")).toBe("text/event-stream");
    expect(await response.text()).toBe('data: {"n":1}\n\ndata: {"n":2}\n\n');
  });

  it("end with their error, as a status when nothing was sent", async () => {
    const early = await call("/greeter/Greeter.Count", { json: { to: 0, fail: true } });
    expect(early.status).toBe(500);
    expect(await early.json()).toMatchObject({ code: 500, detail: "no more" });
    const late = await call("/greeter/Greeter.Count", { json: { to: 1, fail: true } });
    const error = '{"id":"greeter","code":500,"detail":"no more","status":"Internal Server Error"}';
    expect(await late.text()).toBe(`{"n":1}\n{"error":${error}}\n`);
    const events = await call("/greeter/Greeter.Count", {
      json: { to: 1, fail: true },
      headers: { accept: "text/event-stream" },
    });
    expect(await events.text()).toBe(`data: {"n":1}\n\nevent: error\ndata: ${error}\n\n`);
  });

  it.each([
    ["a detail of 70,000 bytes", "x".repeat(70_000)],
    ["one of 15,000 characters that take three each", "€".repeat(15_000)],
  ])("end with their error for our clients too, with %s and full trailers", async (_, detail) => {
    const protocol = http();
    await protocol.loadClient?.();
    const node = { id: "n", address: service.server.address, metadata: { "ts-wire": "0" } };
    const head = { service: "greeter", endpoint: "Math.Long", contentType: "application/json", id: "ts-1" };
    const stream = protocol
      .dial(node)
      .stream({ ...head, kind: "server", deadline: Infinity, metadata: undefined } as const);
    await stream.send(Buffer.from(JSON.stringify({ detail })));
    expect(Buffer.from((await stream.read()) ?? []).toString()).toBe('{"n":1}');
    const start = expect.stringContaining(detail.slice(0, 1000)) as string;
    await expect(stream.read()).rejects.toMatchObject({ code: "INTERNAL", layer: "remote", detail: start });
    await protocol.close();
  });

  it.each([
    ["the last line", "", /\n{"error":{[^]*"detail":"no more"/, /^(?:trailer|micro-error):/im],
    ["a trailer, with TE: trailers", "TE: trailers\r\n", /^Micro-Error: {.*"detail":"no more"/m, /{"error":/],
  ])("tell their error once: in %s", async (_, te, once, never) => {
    const socket = await raw(service.server.address);
    await socket.write(post("/greeter/Greeter.Count", '{"to":1,"fail":true}', te));
    await socket.until((text) => text.endsWith("\r\n\r\n") && text.includes("\r\n0\r\n"));
    socket.socket.destroy();
    expect(socket.text).toMatch(once);
    expect(socket.text).not.toMatch(never);
  });

  it("that send nothing end with an empty answer", async () => {
    const response = await call("/greeter/Greeter.Count", { json: { to: 0 } });
    expect([response.status, await response.text()]).toEqual([200, ""]);
  });

  it("reach clients of HTTP/1.0, which know neither chunks nor trailers", async () => {
    const body = '{"to":2,"fail":true}';
    for (const te of ["", "TE: trailers\r\n"]) {
      const socket = await raw(service.server.address);
      await socket.write(post("/greeter/Greeter.Count", body, te).replace("HTTP/1.1", "HTTP/1.0"));
      expect(await socket.end()).toBe("fin");
      socket.socket.destroy();
      const [head, lines] = socket.text.split("\r\n\r\n");
      expect(head).toMatch(/^HTTP\/1\.1 200 OK\r\n[^]*^content-type: application\/x-ndjson$/m);
      expect(lines).toMatch(/^{"n":1}\n{"n":2}\n{"error":{.*"detail":"no more".*}}\n$/);
    }
  });

  it("are cancelled when the client leaves", async () => {
    const { cancelled } = seen;
    const leaving = new AbortController();
    const response = await call("/greeter/Greeter.Ticks", { json: {}, signal: leaving.signal });
    const reader = response.body?.getReader();
    await reader?.read();
    leaving.abort();
    await reader?.read().catch(() => {});
    await eventually(() => seen.cancelled > cancelled, "the handler hears of it");
    expect(seen.cancelled).toBe(cancelled + 1);
  });
});

describe("client and bidi streams", () => {
  let port: Awaited<ReturnType<typeof listen>>;
  beforeAll(async () => {
    const protocol = http();
    await protocol.start();
    const calls = await Captured.create();
    port = await listen({ address: "127.0.0.1:0", acceptors: [protocol.acceptor!(calls, protocol.routes!(calls))] });
  });
  afterAll(() => port.close());

  it("take a message a line", async () => {
    const lines = { method: "POST", headers: { "content-type": "application/x-ndjson" } };
    const collect = await fetch(`http://${port.address}/greeter/Greeter.Collect`, {
      ...lines,
      body: '{"text":"a"}\n{"text":"b"}\r\n{"text":"end"}',
    });
    expect(await collect.json()).toEqual({ count: "3", last: "end" });
    const chat = await fetch(`http://${port.address}/greeter/Greeter.Chat`, {
      ...lines,
      body: '{"text":"a"}\n{"text":"fail:conflict"}\n',
    });
    expect(await chat.text()).toBe(
      '{"text":"re: a"}\n{"error":{"id":"greeter","code":409,"detail":"chat failed","status":"Conflict"}}\n',
    );
    const json = await fetch(`http://${port.address}/greeter/Greeter.Chat`, {
      method: "POST",
      body: "{}",
      headers: { "content-type": "application/json" },
    });
    expect(json.status).toBe(405);
  });
});

describe("browsers", () => {
  it.each<[string, number, Record<string, string>]>([
    ["JSON without Origin", 200, { "sec-fetch-site": "same-origin" }],
    ["JSON with Origin", 403, { origin: "https://evil.example" }],
    ["text/plain of a page", 403, { "sec-fetch-site": "cross-site", "content-type": "text/plain" }],
  ])("%s: %i", async (_, status, headers) => {
    const { hello } = seen;
    const response = await call("/greeter/Greeter.Hello", { json: {}, headers });
    expect(response.status).toBe(status);
    expect(seen.hello).toBe(status === 200 ? hello + 1 : hello);
  });

  it("of an allowed origin are let in, with a preflight before", async () => {
    const protocol = http({ cors: { origins: ["https://app.example.com"] } });
    await protocol.start();
    const calls = await Captured.create();
    const port = await listen({
      address: "127.0.0.1:0",
      acceptors: [protocol.acceptor!(calls, protocol.routes!(calls))],
    });
    const origin = "https://app.example.com";
    const preflight = await fetch(`http://${port.address}/Plain.Hello`, {
      method: "OPTIONS",
      headers: { origin, "access-control-request-method": "POST" },
    });
    expect(preflight.status).toBe(204);
    expect(preflight.headers.get("access-control-allow-origin")).toBe(origin);
    const init = { method: "POST", body: "{}", headers: { origin, "content-type": "application/json" } };
    const response = await fetch(`http://${port.address}/Plain.Hello`, init);
    expect(response.headers.get("access-control-allow-origin")).toBe(origin);
    const stream = await fetch(`http://${port.address}/Greeter.Stream`, { ...init, body: '{"count":1}' });
    expect(stream.headers.get("access-control-allow-origin")).toBe(origin);
    const failed = await fetch(`http://${port.address}/Greeter.Fail`, { ...init, body: '{"kind":"conflict"}' });
    expect([failed.status, failed.headers.get("access-control-allow-origin")]).toEqual([409, origin]);
    await port.close();
  });
});

describe("protobuf services", () => {
  it("take both forms of a body", async () => {
    const typed = createService(alone()).implement(Greeter, {
      hello: ({ name }: { name: string }) => ({ msg: `Hello ${name}` }),
    } as never);
    await typed.start();
    const at = `http://${typed.server.address}/greeter/Greeter.Hello`;
    const body = toBinary(HelloRequestSchema, create(HelloRequestSchema, { name: "proto" }));
    const binary = await fetch(at, { method: "POST", body, headers: { "content-type": "application/protobuf" } });
    expect(binary.headers.get("content-type")).toBe("application/protobuf");
    expect(fromBinary(HelloResponseSchema, new Uint8Array(await binary.arrayBuffer())).msg).toBe("Hello proto");
    const json = await fetch(at, {
      method: "POST",
      body: '{"name":"json"}',
      headers: { "content-type": "application/json" },
    });
    expect(await json.json()).toEqual({ msg: "Hello json" });
    await typed.stop();
  });
});
