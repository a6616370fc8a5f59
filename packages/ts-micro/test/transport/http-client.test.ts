import { readFileSync } from "node:fs";
import { createServer as createTlsServer, type TLSSocket } from "node:tls";
import type { AddressInfo } from "node:net";
import { AsyncLocalStorage } from "node:async_hooks";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Clock } from "../../src/clock.ts";
import { enableAmbient, ambientContext, runAmbient } from "../../src/internal/ambient.ts";
import { virtualClock } from "../../src/testing/clock.ts";
import { eventually } from "../../src/testing/suite.ts";
import type { CallContext } from "../../src/context.ts";
import type { Transport } from "../../src/transport.ts";
import { httpTransport, type HttpTransportOptions } from "../../src/transport/http.ts";
import type { Node } from "../../src/wire/registry-record.ts";
import { faultProxy } from "../fault-proxy.ts";
import { capture, RawServer, text, User, type Raw } from "./raw.ts";

let transport: Transport;
let server: RawServer;

const reply = (body: string, header = ""): string =>
  `HTTP/1.1 200 OK\r\n${header}Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
const node = (address = server.address, metadata: Record<string, string> = {}): Node => ({
  id: "n",
  address,
  metadata,
});
const bytes = (value: string): Uint8Array => Buffer.from(value);

/** Answers every whole request. */
function answering(make: (request: string, connection: Raw) => string | undefined) {
  return (connection: Raw): void => {
    let at = 0;
    connection.socket.on("data", () => {
      for (;;) {
        const rest = connection.text.slice(at);
        const head = rest.indexOf("\r\n\r\n");
        if (head < 0) return;
        const length = Number(/Content-Length: (\d+)/.exec(rest)?.[1] ?? 0);
        if (rest.length < head + 4 + length) return;
        at += head + 4 + length;
        const answer = make(rest.slice(0, head + 4 + length), connection);
        if (answer !== undefined) connection.socket.write(Buffer.from(answer, "latin1"));
      }
    });
  };
}

async function setup(serve: (connection: Raw) => void, options: HttpTransportOptions = {}): Promise<void> {
  server = await RawServer.start(serve);
  transport = httpTransport(options);
}

async function dial(reuse = true, target = node()): Promise<User> {
  return new User(await transport.dial(target, { reuse, deadline: Infinity }));
}

/** One whole unary exchange. */
async function call(body = "x"): Promise<string> {
  const user = await dial();
  await user.connection.send({ header: { "Micro-Id": "1" }, body: bytes(body) });
  await user.count(1);
  user.connection.release();
  return text(user.messages[0]);
}

beforeEach(() => {
  transport = httpTransport();
});

afterEach(async () => {
  await transport.close();
  await server?.[Symbol.asyncDispose]();
});

describe("what the http client writes", () => {
  it("a POST to / with Host and Content-Length, headers in canonical form, in one piece", async () => {
    const seen: string[] = [];
    await setup(
      answering((request) => {
        seen.push(request);
        return reply("");
      }),
    );
    const user = await dial();
    await user.connection.send({ header: { "micro-id": "1", "X-Utf": "ü" }, body: bytes("") });
    await user.count(1);
    expect(seen[0]).toBe(
      `POST / HTTP/1.1\r\nHost: ${server.address}\r\nMicro-Id: 1\r\nX-Utf: \u00c3\u00bc\r\nContent-Length: 0\r\n\r\n`,
    );
  });
});

describe("what the http client reads", () => {
  it.each(["v4-unary-json", "v4-unary-protobuf", "v4-errors-micro", "v4-stream-server", "v5-stream-bidi"])(
    "the answers of a real Go server in %s, byte by byte and in one piece, are the same messages",
    async (name) => {
      const { response } = capture(name);
      const parts = response.toString("latin1").split(/(?=HTTP\/1\.1 )/);
      await setup((connection) => {
        if (server.connections.length === 1) for (const byte of response) connection.socket.write(Buffer.of(byte));
        else connection.socket.write(response);
      });
      const [dribble, whole] = [await dial(false), await dial(false)];
      for (const user of [dribble, whole]) {
        await user.count(parts.length);
        expect(user.messages.map(text)).toEqual(
          parts.map((part) => Buffer.from(part.slice(part.indexOf("\r\n\r\n") + 4), "latin1").toString()),
        );
        for (const [i, part] of parts.entries()) {
          for (const line of part.slice(0, part.indexOf("\r\n\r\n")).split("\r\n").slice(1)) {
            const colon = line.indexOf(": ");
            expect(user.messages[i]?.header[line.slice(0, colon)]).toBe(line.slice(colon + 2));
          }
        }
      }
    },
  );

  it("chunked answers, interim ones before them, and bodies that run until the end", async () => {
    await setup(
      answering((request, { socket }) => {
        if (request.endsWith("chunked"))
          return "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n";
        if (request.endsWith("interim"))
          return `HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n${reply("abc")}`;
        socket.end("HTTP/1.1 200 OK\r\n\r\nabc");
        return undefined;
      }),
    );
    expect([await call("chunked"), await call("interim"), await call("until close")]).toEqual(["abc", "abc", "abc"]);
    expect(await call("chunked")).toBe("abc");
    expect(server.connections.length).toBe(2);
  });

  it("a status other than 200 is PROTOCOL with status line and body, and ends the connection", async () => {
    await setup(answering(() => "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 4\r\n\r\nboom"));
    const user = await dial();
    await user.connection.send({ header: {}, body: bytes("x") });
    const error = await user.closed();
    expect(error).toMatchObject({ code: "PROTOCOL", refused: false });
    expect(error.detail).toBe("500 Internal Server Error: boom");
    await server.connections[0]?.end();
  });

  it("bytes that are no HTTP are PROTOCOL, and a body above the limit is PAYLOAD_TOO_LARGE", async () => {
    await setup(
      answering((request) => (request.endsWith("big") ? reply("b".repeat(1001)) : "garbage\r\n\r\n")),
      {
        maxBody: 1000,
      },
    );
    for (const [body, code] of [
      ["x", "PROTOCOL"],
      ["big", "PAYLOAD_TOO_LARGE"],
    ] as const) {
      const user = await dial();
      await user.connection.send({ header: {}, body: bytes(body) });
      expect((await user.closed()).code).toBe(code);
    }
  });

  it.each(["fin", "rst"] as const)(
    "%s before the answer, and inside it, is CONNECTION_LOST and not refused",
    async (how) => {
      await setup(answering(() => reply("a long enough answer")));
      const proxy = await faultProxy(server.address);
      for (const cut of [0, 10, 45]) {
        proxy.onLink = (link) => link.truncateDown(cut, how);
        const user = await dial(true, node(proxy.address));
        await user.connection.send({ header: {}, body: bytes("x") });
        const error = await user.closed();
        expect(error).toMatchObject({ code: "CONNECTION_LOST", refused: false });
        if (how === "fin" && cut > 0) expect(error.detail).toContain("inside a message");
        expect(user.messages).toEqual([]);
      }
      await proxy.close();
    },
  );
});

describe("the pool", () => {
  it("gives the connection that was used last first", async () => {
    await setup(answering((_, connection) => reply(String(server.connections.indexOf(connection)))));
    const users = [await dial(), await dial(), await dial()];
    for (const user of users) {
      await user.connection.send({ header: {}, body: bytes("x") });
      await user.count(1);
    }
    for (const i of [0, 2, 1]) users[i]?.connection.release();
    expect(await call()).toBe("1");
    const first = await dial();
    expect(await call()).toBe("2");
    first.connection.destroy();
  });

  it("keeps no more than poolSize idle ones for more than a second, and drops those that were idle longest", async () => {
    const clock = virtualClock();
    await setup(
      answering((_, connection) => reply(String(server.connections.indexOf(connection)))),
      { poolSize: 2, clock },
    );
    const users = [await dial(), await dial(), await dial()];
    for (const user of users) {
      await user.connection.send({ header: {}, body: bytes("x") });
      await user.count(1);
    }
    for (const user of users) user.connection.release();
    await clock.advance(1001);
    await server.connections[0]?.end();
    expect(server.connections.map(({ ending }) => ending !== undefined)).toEqual([true, false, false]);
  });

  it("lends an idle connection at once, once, and none when there is none", async () => {
    await setup(answering(() => reply("y")));
    expect(transport.lease?.(node())).toBeUndefined();
    await call();
    const lent = transport.lease?.(node());
    expect(lent?.remote).toBe(server.address);
    expect(transport.lease?.(node())).toBeUndefined();
    lent?.destroy();
    await transport.close();
    expect(transport.lease?.(node())).toBeUndefined();
  });

  it("uses no connection longer than poolTtl after it was dialled, and ends the aged by itself", async () => {
    const clock = virtualClock();
    await setup(
      answering(() => reply("y")),
      { clock },
    );
    await call();
    await clock.advance(50_000);
    await call();
    expect(server.connections.length).toBe(1);
    await clock.advance(10_001);
    await server.connections[0]?.end();
    await call();
    expect(server.connections.length).toBe(2);
    await transport.close();
    expect(clock.pending()).toBe(0);
  });

  it("does not take back a connection that grew too old in use", async () => {
    const clock = virtualClock();
    await setup(
      answering(() => reply("y")),
      { clock },
    );
    const user = await dial();
    await user.connection.send({ header: {}, body: bytes("x") });
    await user.count(1);
    await clock.advance(60_001);
    user.connection.release();
    await server.connections[0]?.end();
    await call();
    expect(server.connections.length).toBe(2);
  });

  const spoils: [string, (connection: Raw | undefined) => void][] = [
    ["FIN", (connection: Raw | undefined) => void connection?.socket.end()],
    ["RST", (connection: Raw | undefined) => void connection?.socket.resetAndDestroy()],
    ["an answer nobody asked for", (connection: Raw | undefined) => void connection?.socket.write(reply("z"))],
    [
      "an interim answer",
      (connection: Raw | undefined) => void connection?.socket.write("HTTP/1.1 100 Continue\r\n\r\n"),
    ],
    ["half a head", (connection: Raw | undefined) => void connection?.socket.write("HTTP/1.1 2")],
  ];

  it.each(spoils)("drops an idle connection on %s", async (_, spoil) => {
    await setup(answering(() => reply("y")));
    await call();
    const proxyless = server.connections[0];
    spoil(proxyless);
    await proxyless?.end();
    // Until the client's end has heard of it too, a call may still be lost on it.
    expect(await eventually(() => call().catch(() => undefined), "a call on another connection")).toBe("y");
    expect(server.connections.length).toBe(2);
  });

  it("does not keep a connection after Connection: close, either side's", async () => {
    await setup(answering((request) => reply("y", request.endsWith("ask") ? "Connection: close\r\n" : "")));
    await call("ask");
    await call("x");
    expect(server.connections.length).toBe(2);
    const user = await dial();
    await user.connection.send({ header: { Connection: "close" }, body: bytes("x") });
    await user.count(1);
    user.connection.release();
    await call("x");
    expect(server.connections.length).toBe(3);
  });

  it("keeps a connection once, when it is given back from inside its last message", async () => {
    await setup(answering(() => reply("y")));
    const connection = await transport.dial(node(), { reuse: true, deadline: Infinity });
    const user = new User(connection, () => connection.release());
    await connection.send({ header: {}, body: bytes("x") });
    await user.count(1);
    for (const each of [await dial(), await dial()]) {
      await each.connection.send({ header: {}, body: bytes("x") });
      await each.count(1);
    }
    expect(server.connections.length).toBe(2);
  });

  it("does not keep a connection given back before its answer", async () => {
    await setup(answering((request) => (request.endsWith("slow") ? undefined : reply("y"))));
    const user = await dial();
    await user.connection.send({ header: {}, body: bytes("slow") });
    await server.connections[0]?.until((text) => text.endsWith("slow"));
    user.connection.destroy();
    expect(await call()).toBe("y");
    expect(server.connections.length).toBe(2);
  });
});

describe("dialling", () => {
  it("a refused dial is UNAVAILABLE and refused, and so is an unknown host", async () => {
    await setup(() => {});
    const { address } = server;
    await server[Symbol.asyncDispose]();
    for (const place of [address, "unix:/nowhere/at-all.sock", "host.invalid:80"])
      await expect(dial(true, node(place))).rejects.toMatchObject({ code: "UNAVAILABLE", refused: true });
    await expect(dial(true, node("no address"))).rejects.toMatchObject({ code: "BAD_REQUEST" });
  });

  // A TLS dial to a server that never answers the handshake hangs for as long as it is let.
  async function hanging(options: { deadline?: number; signal?: AbortSignal }, clock: Clock): Promise<unknown> {
    await setup(() => {}, { clock, tls: {} });
    const dialling = transport
      .dial(node(), { reuse: true, deadline: Infinity, ...options })
      .catch((error: unknown) => error);
    await eventually(() => server.connections.length === 1, "the dial has come");
    return dialling;
  }

  it("dialTimeout is UNAVAILABLE, the caller's deadline is TIMEOUT, both refused, and no socket is left", async () => {
    for (const [deadline, code] of [
      [Infinity, "UNAVAILABLE"],
      [1_000, "TIMEOUT"],
    ] as const) {
      const clock = virtualClock();
      const dialling = hanging({ deadline }, clock);
      await eventually(() => clock.pending() > 0 && server?.connections.length === 1, "the dial is under way");
      await clock.advance(deadline === Infinity ? 4_900 : 900);
      expect(server.connections[0]?.ending).toBeUndefined();
      await clock.advance(200);
      expect(await dialling).toMatchObject({ code, refused: true });
      await server.connections[0]?.end();
      await server[Symbol.asyncDispose]();
    }
  });

  it("an abort ends the dial with CANCELLED, and the socket with it", async () => {
    const clock = virtualClock();
    const controller = new AbortController();
    const dialling = hanging({ signal: controller.signal }, clock);
    await eventually(() => clock.pending() > 0 && server?.connections.length === 1, "the dial is under way");
    controller.abort();
    expect(await dialling).toMatchObject({ code: "CANCELLED" });
    await server.connections[0]?.end();
    expect(clock.pending()).toBe(0);
  });

  it("sockets do not inherit the context of the call that opened them", async () => {
    enableAmbient();
    const storage = new AsyncLocalStorage();
    expect(storage.getStore()).toBeUndefined();
    await setup(answering(() => reply("y")));
    const context = { service: "a" } as CallContext;
    let during: unknown = "unset";
    await runAmbient(context, async () => {
      const connection = await transport.dial(node(), { reuse: true, deadline: Infinity });
      await new Promise<void>((resolve) => {
        connection.receive({
          message: () => {
            during = ambientContext();
            resolve();
          },
          closed: () => resolve(),
        });
        void connection.send({ header: {}, body: bytes("x") });
      });
      expect(ambientContext()).toBe(context);
    });
    expect(during).toBeUndefined();
  });

  it("sockets, idle or in use, do not keep the process alive", async () => {
    await setup(answering(() => reply("y")));
    const held = (): number => process.getActiveResourcesInfo().filter((name) => name === "TCPSocketWrap").length;
    await eventually(() => held() === 0, "the sockets of other tests are gone");
    await call();
    // The server's end counts, ours does not.
    expect(held()).toBe(1);
    const user = await dial();
    expect(held()).toBe(1);
    user.connection.release();
  });
});

describe("TLS", () => {
  const pem = (name: string): Buffer => readFileSync(new URL(`../fixtures/tls/${name}.pem`, import.meta.url));
  const seen: { servername: string | false | null; alpn: string | false | null }[] = [];

  async function secure(options: HttpTransportOptions): Promise<{ port: number; close: () => void }> {
    transport = httpTransport(options);
    seen.length = 0;
    const tls = createTlsServer({ cert: pem("server"), key: pem("server-key"), ALPNProtocols: ["http/1.1"] });
    tls.on("secureConnection", (socket: TLSSocket) => {
      seen.push({
        servername: (socket as unknown as { servername: string | false }).servername,
        alpn: socket.alpnProtocol,
      });
      socket.on("error", () => {});
      socket.once("data", () => socket.write(reply("secret")));
    });
    await new Promise<void>((resolve) => tls.listen(0, "127.0.0.1", resolve));
    return { port: (tls.address() as AddressInfo).port, close: () => tls.close() };
  }

  it("a node that says secure=true is dialled with TLS and verified", async () => {
    const { port, close } = await secure({});
    const dialling = dial(true, node(`127.0.0.1:${port}`, { secure: "true" }));
    await expect(dialling).rejects.toMatchObject({ code: "UNAVAILABLE", refused: true });
    await expect(dialling).rejects.toThrow(/certificate|signature|issuer/i);
    close();
  });

  it("sends the name of a host and none for an IP address, and says http/1.1", async () => {
    const { port, close } = await secure({ tls: { ca: pem("ca") } });
    for (const host of ["localhost", "127.0.0.1"]) {
      const user = await dial(true, node(`${host}:${port}`));
      await user.connection.send({ header: {}, body: bytes("x") });
      await user.count(1);
      expect(text(user.messages[0])).toBe("secret");
      user.connection.destroy();
    }
    expect(seen).toEqual([
      { servername: "localhost", alpn: "http/1.1" },
      { servername: false, alpn: "http/1.1" },
    ]);
    close();
  });

  it("rejectUnauthorized: false is the way out, and is said once", async () => {
    const { port, close } = await secure({ tls: { rejectUnauthorized: false } });
    const warnings: string[] = [];
    const listen = (warning: Error & { code?: string }): void => void warnings.push(warning.code ?? warning.name);
    process.on("warning", listen);
    for (let i = 0; i < 2; i++) {
      const user = await dial(false, node(`127.0.0.1:${port}`));
      await user.connection.send({ header: {}, body: bytes("x") });
      await user.count(1);
      user.connection.destroy();
    }
    await eventually(() => warnings.length > 0, "the warning");
    process.off("warning", listen);
    expect(warnings).toEqual(["TS_MICRO_TLS_UNVERIFIED"]);
    close();
  });
});
