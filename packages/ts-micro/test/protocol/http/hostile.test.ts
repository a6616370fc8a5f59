import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { http, type HttpOptions } from "../../../src/protocol/http.ts";
import { mucp } from "../../../src/protocol/mucp.ts";
import { listen, type PortListener } from "../../../src/server/listener.ts";
import type { HttpRoute } from "../../../src/server.ts";
import { eventually, within } from "../../../src/testing/suite.ts";
import { httpTransport } from "../../../src/transport/http.ts";
import { damager, generator, throwAt } from "../../support/damage.ts";
import { capture, raw, type Raw } from "../../transport/raw.ts";
import { Greeter } from "../greeter.ts";
import { answers, mucpHello, post } from "./world.ts";

const trouble: unknown[] = [];
const onTrouble = (error: unknown): void => void trouble.push(error);
const open: Raw[] = [];
const ports: PortListener[] = [];

beforeAll(() => {
  process.on("uncaughtException", onTrouble);
  process.on("unhandledRejection", onTrouble);
});
afterEach(async () => {
  for (const { socket } of open.splice(0)) socket.destroy();
  await Promise.all(ports.splice(0).map((port) => port.close()));
  expect(trouble.splice(0)).toEqual([]);
});
afterAll(() => {
  process.off("uncaughtException", onTrouble);
  process.off("unhandledRejection", onTrouble);
});

/** The greeter of the captures on one port, by mucp and plain HTTP. */
async function serve(
  options: HttpOptions = {},
  extra: readonly HttpRoute[] = [],
): Promise<PortListener & { greeter: Greeter }> {
  const greeter = await Greeter.create();
  const protocols = [mucp({ transport: httpTransport() }), http(options)];
  for (const protocol of protocols) await protocol.start();
  const routes = [...extra, ...protocols.flatMap((protocol) => protocol.routes?.(greeter) ?? [])];
  const acceptors = protocols.map((protocol) => protocol.acceptor!(greeter, routes));
  const port = await listen({ address: "127.0.0.1:0", acceptors, headTimeout: options.headTimeout ?? "5s" });
  ports.push(port);
  return Object.assign(port, { greeter });
}

async function client(port: PortListener): Promise<Raw> {
  const socket = await raw(port.address);
  open.push(socket);
  return socket;
}

const hello = post("/Plain.Hello", '{"name":"x"}');

describe("time", () => {
  it("a slow head is cut off, however it dribbles: the first one, and one behind an answer", async () => {
    const port = await serve({ headTimeout: 300 });
    const first = await client(port);
    const second = await client(port);
    await second.write(hello);
    await second.until((text) => answers(text).length === 1);
    for (const socket of [first, second]) await socket.write("GET /x HTTP/1.1\r\nX: ");
    const dribble = setInterval(() => {
      first.socket.write("a");
      second.socket.write("a");
    }, 20);
    expect(await first.end()).toMatch(/fin|rst|closed/);
    expect(await second.end()).toMatch(/fin|rst|closed/);
    clearInterval(dribble);
    expect(answers(second.text)[1]?.status).toBe(408);
  });

  it("a slow body is cut off", async () => {
    const port = await serve({ requestTimeout: 400, headTimeout: 300 });
    const socket = await client(port);
    await socket.write(hello.slice(0, -3));
    await socket.end();
    expect(answers(socket.text)[0]?.status).toBe(408);
    expect(port.greeter.calls).toHaveLength(0);
  });

  it("an idle connection is let go after its limit, which is 120 s", async () => {
    const port = await serve({ idleTimeout: 200 });
    const socket = await client(port);
    await socket.write(hello);
    expect(await socket.end()).toBe("fin");
    const usual = await client(await serve());
    await usual.write(hello);
    await usual.until((text) => answers(text).length === 1);
    expect(usual.text).toContain("Keep-Alive: timeout=120\r\n");
  });

  it("a client that half-closed and is not answered counts as gone", async () => {
    let cancelled = 0;
    const never: HttpRoute = {
      name: "never",
      match: (_, path) => path === "/never",
      handle: (exchange) => new Promise((resolve) => exchange.cancellation.onCancel(() => resolve(void cancelled++))),
    };
    const socket = await client(await serve({}, [never]));
    socket.socket.end(post("/never", ""));
    await socket.end();
    await eventually(() => cancelled > 0, "the handler hears of it");
    expect(cancelled).toBe(1);
  });
});

describe("size", () => {
  it("a head above 64 KiB is refused with 431, one of mucp above 1 MiB too", async () => {
    const port = await serve();
    for (const size of [65 << 10, (1 << 20) + 1000]) {
      const socket = await client(port);
      const header = size > 1 << 20 ? "Micro-Endpoint: Greeter.Hello\r\n" : "";
      void socket.write(post("/Plain.Hello", "{}", `${header}X-Bomb: ${"x".repeat(size)}\r\n`));
      await socket.end();
      expect(answers(socket.text)[0]?.status).toBe(431);
    }
    const large = await client(port);
    await large.write(
      mucpHello("x", "7", `X-Large: ${"x".repeat(900 << 10)}\r\n`).replace("Greeter.Hello", "Plain.Hello"),
    );
    await large.until((text) => answers(text).length === 1);
    expect(answers(large.text)[0]?.status).toBe(200);
  });

  it("2,500 headers do no harm", async () => {
    const port = await serve();
    const socket = await client(port);
    const headers = Array.from({ length: 2500 }, (_, n) => `h${n}: 1\r\n`).join("");
    await socket.write(post("/Plain.Hello", "{}", headers));
    await socket.until((text) => answers(text).length === 1);
    expect(port.greeter.calls.length).toBeLessThanOrEqual(1);
  });

  it("a body without end is refused at its limit, read no longer than 5 s, and kept nowhere", async () => {
    const port = await serve({ maxBody: 100_000 });
    const socket = await client(port);
    await socket.write("POST /Plain.Hello HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    const chunk = `2710\r\n${"x".repeat(10_000)}\r\n`;
    const flood = setInterval(() => socket.socket.write(chunk), 1);
    await socket.until((text) => answers(text).length === 1);
    expect(answers(socket.text)[0]?.status).toBe(413);
    expect(await socket.end()).toMatch(/fin|rst|closed|EPIPE/);
    clearInterval(flood);
    expect(port.greeter.calls).toHaveLength(0);
  }, 20_000);

  it("a client that pipelines without end is cut off", async () => {
    const port = await serve({}, [
      { name: "never", match: (_, path) => path === "/never", handle: () => new Promise(() => {}) },
    ]);
    const socket = await client(port);
    void socket.write(post("/never", "").repeat(200));
    expect(await socket.end()).toMatch(/fin|rst|closed/);
    await eventually(() => port.connections === 0, "the connection is gone");
    await within(port.drain(), "the requests that were never answered are forgotten");
  });

  it("a client that does not read holds its stream back, and is cut off in the end", async () => {
    let sent = 0;
    let over = false;
    const flood: HttpRoute = {
      name: "flood",
      match: (_, path) => path === "/flood",
      async handle(exchange) {
        exchange.head(200, {});
        const chunk = Buffer.alloc(64 << 10);
        try {
          for (; ; sent += chunk.length) await exchange.write(chunk);
        } finally {
          over = true;
        }
      },
    };
    const port = await serve({ idleTimeout: 1000 }, [flood]);
    const socket = await client(port);
    socket.socket.pause();
    socket.socket.write(post("/flood", ""));
    await eventually(() => over, "the stream ends");
    // What the kernel takes on a loopback connection, and no more.
    expect(sent).toBeLessThan(64 << 20);
    await eventually(() => port.connections === 0, "the connection is gone");
  }, 30_000);
});

describe("smuggling", () => {
  const wrong: [what: string, head: string][] = [
    ["two different Content-Lengths", "Content-Length: 5\r\nContent-Length: 6"],
    ["Content-Length beside Transfer-Encoding", "Content-Length: 5\r\nTransfer-Encoding: chunked"],
    ["a list of Content-Lengths", "Content-Length: 5, 6"],
    ["a signed Content-Length", "Content-Length: +5"],
    ["a hexadecimal Content-Length", "Content-Length: 0x5"],
    ["Transfer-Encoding twice", "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity"],
    ["an unknown Transfer-Encoding", "Transfer-Encoding: xchunked"],
    ["a blank before the colon", "Content-Length : 5"],
    ["a folded header", "X: a\r\n b\r\nContent-Length: 5"],
    ["a folded Transfer-Encoding", "Transfer-Encoding:\r\n chunked"],
    ["a bare CR", "X: a\rContent-Length: 5"],
    ["a NUL", "X: a\0\r\nContent-Length: 5"],
    ["a header name with a blank", "Content Length: 5"],
  ];

  it.each(wrong)("%s: refused, and the connection closed, on plain HTTP and mucp", async (_, head) => {
    const port = await serve();
    for (const mark of ["", "Micro-Endpoint: Plain.Hello\r\n"]) {
      const socket = await client(port);
      // What a front end that reads it differently would take for a second request.
      void socket.write(
        `POST /Plain.Hello HTTP/1.1\r\nHost: x\r\n${mark}${head}\r\n\r\n0\r\n\r\n${post("/Raw.Echo", "{}")}`,
      );
      await socket.end();
      const statuses = answers(socket.text).map(({ status }) => status);
      expect(statuses.every((status) => status >= 400)).toBe(true);
      expect(statuses.length).toBeLessThanOrEqual(1);
    }
    expect(port.greeter.calls).toHaveLength(0);
  });

  it.each([
    ["bare LF", "POST /Plain.Hello HTTP/1.1\nHost: x\nContent-Length: 2\n\n{}"],
    ["no Host", "POST /Plain.Hello HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}"],
    ["no version", "POST /Plain.Hello\r\nHost: x\r\n\r\n"],
    ["something else", `HELO ${"x".repeat(100)}\r\n`],
  ])("%s is told at once that it is no request", async (_, bytes) => {
    const port = await serve();
    const socket = await client(port);
    await socket.write(bytes);
    await socket.end();
    expect([400, 505]).toContain(answers(socket.text)[0]?.status);
    expect(port.greeter.calls).toHaveLength(0);
  });
});

describe("draining", () => {
  it("answers what is under way with Connection: close, and lets idle connections go", async () => {
    let finish: (() => void) | undefined;
    const slow: HttpRoute = {
      name: "slow",
      match: (_, path) => path === "/slow",
      async handle(exchange) {
        await new Promise<void>((resolve) => (finish = resolve));
        exchange.head(200, { "content-length": "3" });
        exchange.end(Buffer.from("ok\n"));
      },
    };
    const port = await serve({}, [slow]);
    const idle = await client(port);
    await idle.write(hello);
    await idle.until((text) => answers(text).length === 1);
    const busy = await client(port);
    await busy.write(post("/slow", ""));
    await eventually(() => finish !== undefined, "it is under way");
    let drained = false;
    const draining = port.drain().then(() => (drained = true));
    expect(await idle.end()).toBe("fin");
    const late = await client(port);
    await late.write(hello);
    expect(await late.end()).toBe("fin");
    expect(answers(late.text)[0]?.headers).toMatch(/^Connection: close$/im);
    expect(drained).toBe(false);
    finish?.();
    await draining;
    expect(await busy.end()).toBe("fin");
    expect(answers(busy.text)[0]).toMatchObject({ status: 200, body: "ok\n" });
  });
});

describe("the port", () => {
  it("serves on after 10,000 damaged requests, with nothing left behind", async () => {
    const port = await serve();
    const warm = await client(port);
    await warm.write(hello);
    await warm.until((text) => answers(text).length === 1);
    warm.socket.destroy();
    await eventually(() => port.connections === 0, "quiet");
    const handles = process.getActiveResourcesInfo().length;
    const seeds = [
      ...["v4-unary-json", "v4-unary-protobuf", "v4-stream-client", "v4-conn-close"].map(
        (name) => capture(name).request,
      ),
      ...[hello, hello + hello, post("/Greeter.Stream", '{"count":3}'), hello + mucpHello("x"), mucpHello("x") + hello],
      `POST /Greeter.Chat HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"tex\r\n8\r\nt":"a"}\n\r\n0\r\n\r\n`,
      "GET /x HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n",
    ].map((bytes) => Buffer.from(bytes));
    const random = generator(77);
    const damaged = damager(seeds, random);
    let left = 10_000;
    const worker = async (): Promise<void> => {
      while (left-- > 0) await throwAt(port.address, damaged(), random);
    };
    await Promise.all(Array.from({ length: 32 }, worker));
    const after = await client(port);
    await after.write(mucpHello("x").replace("Greeter.Hello", "Plain.Hello") + hello);
    await after.until((text) => answers(text).length === 2);
    after.socket.destroy();
    await eventually(() => port.connections === 0, "every connection is gone");
    await eventually(() => process.getActiveResourcesInfo().length <= handles, "no handle is left");
    expect(port.connections).toBe(0);
  }, 120_000);
});
