import type { IncomingMessage, ServerResponse } from "node:http";
import { getRequestListener } from "@hono/node-server";
import express from "express";
import fastify from "fastify";
import { Hono } from "hono";
import { afterEach, describe, expect, it } from "vitest";
import { createClient, createService, type CallOptions, type ServiceOptions } from "../../../src/index.ts";
import type { HttpServiceOptions } from "../../../src/server.ts";
import { memoryRegistry } from "../../../src/registry/memory.ts";
import { raw } from "../../transport/raw.ts";
import { alone, answers, post } from "../../protocol/http/world.ts";

const stops: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).toReversed()) await stop();
});

/** A service that is nothing but a web app, and a client that finds it by name. */
async function web(
  http: ServiceOptions["http"],
  name = "web",
): Promise<{
  call(path: string, body: unknown, options?: CallOptions): Promise<unknown>;
  address: string;
  record: unknown;
}> {
  const registry = memoryRegistry();
  const service = createService(alone({ name, registry, http }));
  stops.push(() => service.stop());
  await service.start();
  const client = createClient({ registry, env: false });
  stops.push(() => client.close());
  return {
    call: (path, body, options) => client.call(name, path, body, options),
    address: service.server.address,
    record: (await registry.getService(name))[0],
  };
}

const apps: Record<string, () => ServiceOptions["http"]> = {
  "a node:http handler": () => (req: IncomingMessage, res) => {
    if (req.url === "/fail") {
      res.writeHead(409, { "content-type": "text/plain" }).end("taken");
      return;
    }
    let text = "";
    req.on("data", (chunk: Buffer) => (text += chunk.toString()));
    req.on("end", () => {
      const { name } = JSON.parse(text) as { name: string };
      res.setHeader("content-type", "application/json");
      res.end(JSON.stringify({ msg: `Hello ${name}`, user: req.headers["x-user"], path: req.url }));
    });
  },
  "an Express app": () => {
    const app = express().use(express.json());
    app.post("/fail", (_req, res) => void res.status(409).send("taken"));
    app.post("/demo", (req, res) => {
      const { name } = req.body as { name: string };
      res.json({ msg: `Hello ${name}`, user: req.headers["x-user"], path: req.originalUrl });
    });
    return app;
  },
  "a Fastify app": () => {
    const app = fastify();
    app.post("/fail", (_req, reply) => reply.code(409).type("text/plain").send("taken"));
    // oxlint-disable-next-line oxc/no-async-endpoint-handlers -- it is Fastify, not Express
    app.post<{ Body: { name: string } }>("/demo", async (req) => ({
      msg: `Hello ${req.body.name}`,
      user: req.headers["x-user"],
      path: req.url,
    }));
    return app;
  },
  "a Hono app": () => {
    const app = new Hono();
    app.post("/fail", (c) => c.text("taken", 409));
    app.post("/demo", async (c) => {
      const { name } = await c.req.json<{ name: string }>();
      return c.json({ msg: `Hello ${name}`, user: c.req.header("x-user"), path: "/demo" });
    });
    return getRequestListener(app.fetch);
  },
};

describe.each(Object.entries(apps))("%s behind a service", (_, make) => {
  it("is called by name", async () => {
    const { call } = await web(make());
    const reply = await call("/demo", { name: "Ada" }, { metadata: { "X-User": "7" } });
    expect(reply).toEqual({ msg: "Hello Ada", user: "7", path: "/demo" });
  });

  it("fails with its status and text", async () => {
    const { call } = await web(make());
    await expect(call("/fail", {})).rejects.toMatchObject({
      code: "CONFLICT",
      status: 409,
      detail: "taken",
      layer: "remote",
    });
  });

  it("is reached as any web app, beside the service's own paths", async () => {
    const { address } = await web(make());
    const response = await fetch(`http://${address}/demo`, {
      method: "POST",
      body: '{"name":"x"}',
      headers: { "content-type": "application/json" },
    });
    expect(await response.json()).toMatchObject({ msg: "Hello x" });
    expect(await (await fetch(`http://${address}/health`)).json()).toEqual({ status: "ok" });
    expect(
      (
        await fetch(`http://${address}/Debug.Health`, {
          method: "POST",
          body: "{}",
          headers: { "content-type": "application/json" },
        })
      ).status,
    ).toBe(200);
  });
});

describe("a service with a web app", () => {
  it("advertises what Go's http server does, unless it has endpoints", async () => {
    const { record } = await web(() => {});
    expect(record).toMatchObject({
      endpoints: [],
      nodes: [{ metadata: { protocol: "http", server: "http", transport: "http" } }],
    });
    const both = createService(alone({ http: (_req, res) => res.end("page") })).handle("Greeter", {
      hello: () => ({ msg: "hi" }),
    });
    stops.push(() => both.stop());
    await both.start();
    const [known] = await both.registry.getService("greeter");
    expect(known?.nodes[0]?.metadata).toMatchObject({ protocol: "mucp", server: "mucp" });
    const at = `http://${both.server.address}`;
    expect(await (await fetch(`${at}/anything`)).text()).toBe("page");
    const hello = await fetch(`${at}/greeter/Greeter.Hello`, {
      method: "POST",
      body: "{}",
      headers: { "content-type": "application/json" },
    });
    expect(await hello.json()).toEqual({ msg: "hi" });
  });

  it("answers 500 for a handler that throws, and cuts an answer off that it had begun", async () => {
    const { address, call } = await web(async (req, res) => {
      if (req.url === "/late") res.write("half");
      await Promise.resolve();
      throw new Error("oops");
    });
    await expect(call("/early", {})).rejects.toMatchObject({ status: 500, detail: "oops" });
    await expect(fetch(`http://${address}/late`).then((response) => response.text())).rejects.toThrow(
      /fetch failed|terminated/,
    );
  });

  it("gives connections of Upgrade to who wants them, and ignores it else", async () => {
    const upgrade: HttpServiceOptions = {
      app: (_req: IncomingMessage, res: ServerResponse) => res.end("plain"),
      upgrade: (_req, socket, head) => {
        socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n");
        socket.write(head);
        socket.pipe(socket);
      },
    };
    const { address } = await web(upgrade);
    const socket = await raw(address);
    await socket.write("GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nab");
    await socket.until((text) => text.endsWith("ab"));
    await socket.write("cd");
    await socket.until((text) => text.endsWith("abcd"));
    socket.socket.destroy();
    // As Java's client begins: the call is a service's own, whose routes want no upgrade.
    const java = await raw(address);
    const ask = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n";
    await java.write(post("/Debug.Health", '{"a":1}', ask));
    await java.until((text) => answers(text).length === 1);
    await java.write(post("/Debug.Health", "{}"));
    await java.until((text) => answers(text).length === 2);
    expect(answers(java.text).map(({ status, body }) => [status, body])).toEqual([
      [200, '{"status":"ok"}\n'],
      [200, '{"status":"ok"}\n'],
    ]);
    java.socket.destroy();
    const plain = await web((_req, res) => res.end("plain"));
    const ignored = await raw(plain.address);
    await ignored.write(
      "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 0\r\n\r\n",
    );
    await ignored.until((text) => text.includes("plain"));
    ignored.socket.destroy();
  });

  it("can switch its own paths off, or all of plain HTTP", async () => {
    const bare = await web({ app: (req, res) => res.end(`app ${req.url}`), health: false, metrics: false });
    for (const path of ["/health", "/ready", "/metrics"])
      expect(await (await fetch(`http://${bare.address}${path}`)).text()).toBe(`app ${path}`);
    const off = createService(alone({ http: false })).handle("Greeter", { hello: () => ({}) });
    stops.push(() => off.stop());
    await off.start();
    await expect(fetch(`http://${off.server.address}/health`)).rejects.toThrow(/fetch failed|terminated/);
    await expect(off.client.call("greeter", "Greeter.Hello", {})).resolves.toEqual({});
  });

  it("stops when what its app does is done", async () => {
    let finish = (): void => {};
    let running = (): void => {};
    const begun = new Promise<void>((resolve) => (running = resolve));
    const { address, call } = await web((_req, res) => {
      finish = () => res.end('{"done":true}');
      running();
    });
    const reply = call("/slow", {});
    await begun;
    const stopping = stops[0]?.();
    finish();
    expect(await reply).toEqual({ done: true });
    await stopping;
    await expect(fetch(`http://${address}/`)).rejects.toThrow(/fetch failed|terminated/);
  });
});

it("reads /ready and /metrics off a service", async () => {
  let healthy = true;
  const service = createService(
    alone({
      version: '1"0',
      registerInterval: 20,
      registerCheck: () => {
        if (!healthy) throw new Error("the database is away");
      },
    }),
  ).handle("Greeter", { hello: () => ({}), fail: () => Promise.reject(new Error("no")) });
  stops.push(() => service.stop());
  await service.start();
  const at = `http://${service.server.address}`;
  const ready = async (): Promise<[number, unknown]> => {
    const response = await fetch(`${at}/ready`);
    return [response.status, await response.json()];
  };
  expect(await ready()).toEqual([200, { status: "ok" }]);
  healthy = false;
  await expect
    .poll(ready)
    .toEqual([
      503,
      { status: "unavailable", reasons: ["it is not registered: register check failed: the database is away"] },
    ]);
  expect((await fetch(`${at}/health`, { method: "HEAD" })).status).toBe(200);
  healthy = true;
  await expect.poll(ready).toEqual([200, { status: "ok" }]);
  const init = { method: "POST", body: "{}", headers: { "content-type": "application/json" } };
  await fetch(`${at}/Greeter.Hello`, init);
  await fetch(`${at}/Greeter.Fail`, init);
  const text = await (await fetch(`${at}/metrics`)).text();
  expect(text).toContain('micro_server_requests_total{service="greeter",version="1\\"0"} 2\n');
  expect(text).toContain('micro_server_failures_total{service="greeter",version="1\\"0"} 1\n');
  for (const line of text.trimEnd().split("\n")) expect(line).toMatch(/^(# (HELP|TYPE) \w+ .+|\w+\{.*\} [\d.e+]+)$/);
});
