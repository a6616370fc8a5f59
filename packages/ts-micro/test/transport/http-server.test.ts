import type { Socket } from "node:net";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { systemClock, type Clock } from "../../src/clock.ts";
import { listen, type PortListener } from "../../src/server/listener.ts";
import { virtualClock } from "../../src/testing/clock.ts";
import { eventually } from "../../src/testing/suite.ts";
import type { Connection, Message } from "../../src/transport.ts";
import { httpTransport, type HttpTransportOptions } from "../../src/transport/http.ts";
import { Reader } from "../support/reader.ts";
import { capture, raw, text, User, type Raw } from "./raw.ts";

let listener: PortListener | undefined;
let users: User[];
let clients: Raw[];
let sockets: Socket[];

async function serve(
  onMessage: (message: Message, connection: Connection) => void = () => {},
  options: HttpTransportOptions = {},
): Promise<string> {
  const clock: Clock = options.clock ?? systemClock;
  const acceptor = httpTransport(options).acceptor?.((connection) => users.push(new User(connection, onMessage)));
  if (acceptor === undefined) throw new Error("the http transport has an acceptor");
  const accept = acceptor.accept.bind(acceptor);
  acceptor.accept = (socket, bytes, release) => {
    sockets.push(socket);
    accept(socket, bytes, release);
  };
  listener = await listen({ address: "127.0.0.1:0", acceptors: [acceptor], clock });
  return listener.address;
}

async function dial(): Promise<Raw> {
  const client = await raw(listener?.address ?? "");
  clients.push(client);
  return client;
}

/** The connection of the server's side, once it is known. */
function user(index = 0): Promise<User> {
  return eventually(() => users[index], "the server's connection");
}

const echo = (message: Message, connection: Connection): void => void connection.send(message).catch(() => {});
const ok = (body: string, header = ""): string =>
  `POST / HTTP/1.1\r\nHost: x\r\n${header}Content-Length: ${body.length}\r\n\r\n${body}`;

beforeEach(() => {
  users = [];
  clients = [];
  sockets = [];
});

afterEach(async () => {
  for (const client of clients) client.socket.destroy();
  await listener?.close();
  listener = undefined;
});

describe("real Go bytes at the http server", () => {
  const json = { Accept: "application/json", "Content-Type": "application/json", "Micro-Service": "greeter" };
  const expected: Record<string, { header: Record<string, string>; body: string }[]> = {
    "v4-unary-json": [
      { header: { ...json, "Micro-Endpoint": "Greeter.Hello", "Micro-Id": "0" }, body: '{"name":"John"}\n' },
      { header: { ...json, "Micro-Endpoint": "Greeter.Nothing", "Micro-Id": "1" }, body: "{}\n" },
      { header: { ...json, "Micro-Endpoint": "Greeter.Hello", "Micro-Id": "2" }, body: '{"name":"Two"}\n' },
    ],
    "v4-unary-protobuf": [
      { header: { "Micro-Id": "0", "Content-Length": "6" }, body: "\n\x04John" },
      { header: { "Micro-Id": "1", "Transfer-Encoding": "chunked" }, body: "" },
      { header: { "Micro-Id": "2", "Content-Length": "5" }, body: "\n\x03Two" },
    ],
    "v4-stream-client": [
      { header: { ...json, "Micro-Stream": "0" }, body: "{}\n" },
      { header: { "Micro-Stream": "0" }, body: '{"text":"m0"}\n' },
      { header: { "Micro-Stream": "0" }, body: '{"text":"m1","n":1}\n' },
      { header: { "Micro-Stream": "0" }, body: '{"text":"m2","n":2}\n' },
      { header: { "Micro-Stream": "0" }, body: '{"text":"end"}\n' },
      { header: { "Micro-Stream": "0", "Micro-Error": "EOS" }, body: "" },
    ],
  };

  it.each(Object.keys(expected))("%s, byte by byte and in one piece, gives the messages that Go sent", async (name) => {
    const { request } = capture(name);
    await serve((_, connection) => connection.busy(true));
    const dribble = await dial();
    for (const byte of request) dribble.socket.write(Buffer.of(byte));
    const whole = await dial();
    await whole.write(request);
    for (const i of [0, 1]) {
      const want = expected[name] ?? [];
      const { messages, count } = await (async () => {
        const each = await user(i);
        await each.count(want.length);
        return { messages: each.messages, count: each.messages.length };
      })();
      expect(count).toBe(want.length);
      for (const [k, { header, body }] of want.entries()) {
        expect(messages[k]?.header).toMatchObject(header);
        expect(text(messages[k])).toBe(body);
      }
    }
  });

  it("Connection: close is answered, then the connection is closed", async () => {
    await serve(echo);
    const client = await dial();
    await client.write(capture("v4-conn-close").request);
    expect(await client.end()).toBe("fin");
    expect(client.text).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
    expect((await (await user()).closed()).code).toBe("CONNECTION_LOST");
  });

  it.each(
    capture("v4-handwritten")
      .items.filter(({ name }) => !/half-close|HTTP\/1\.0|Connection: /.test(name))
      .map(({ name, request }) => [name, request] as const),
  )("the hand-written request '%s' is answered and the connection stays", async (_, request) => {
    await serve(echo);
    const client = await dial();
    await client.write(request);
    await client.write(ok("last"));
    await client.until((text) => text.endsWith("last"));
    expect(client.ending).toBeUndefined();
  });
});

describe("requests and answers of the http server", () => {
  it("an answer is one write, status 200 and a length, empty bodies included", async () => {
    await serve((message, connection) => {
      void connection.send({ header: { "Micro-Id": "1" }, body: message.body });
    });
    const client = await dial();
    await client.write(ok(""));
    await client.until((text) => text.endsWith("\r\n\r\n"));
    expect(client.text).toBe("HTTP/1.1 200 OK\r\nMicro-Id: 1\r\nContent-Length: 0\r\n\r\n");
    const [socket] = sockets;
    if (socket === undefined) throw new Error("the socket was accepted");
    const write = vi.spyOn(socket, "write");
    await client.write(ok("body"));
    await client.until((text) => text.endsWith("body"));
    expect(write).toHaveBeenCalledTimes(1);
  });

  it("requests pipelined on one connection are all served, and answers go out in the order of sending", async () => {
    const waiting: (() => void)[] = [];
    await serve((message, connection) => {
      waiting.push(() => void connection.send(message));
      if (waiting.length === 3) for (const answer of waiting.toReversed()) answer();
    });
    const client = await dial();
    await client.write(ok("1") + ok("2") + ok("3"));
    await client.until((text) => text.split("HTTP/1.1 200 OK").length === 4);
    expect(client.text.match(/\r\n\r\n(\d)/g)?.map((each) => each.at(-1))).toEqual(["3", "2", "1"]);
  });

  it("reading stops while 128 requests are unanswered, and goes on with the answers", async () => {
    await serve();
    const client = await dial();
    client.socket.write(ok("x".repeat(10_000)).repeat(1000));
    const { messages, connection } = await user();
    await eventually(async () => {
      const before = sockets[0]?.bytesRead ?? 0;
      await new Promise((resolve) => setTimeout(resolve, 50));
      return before > 0 && sockets[0]?.bytesRead === before;
    }, "reading stops");
    expect(messages.length).toBe(128);
    expect(sockets[0]?.bytesRead).toBeLessThan(3 << 20);
    for (let i = 0; i < 1000; i++) {
      await eventually(() => messages.length > i, `request ${i}`);
      await connection.send({ header: {}, body: Buffer.from("y") });
    }
    await client.until((text) => text.split("200 OK").length === 1001);
    expect(messages.length).toBe(1000);
  });

  it("reading stops while a client does not read its answers, so that memory stays bounded", async () => {
    const answer = Buffer.alloc(64 * 1024);
    let served = 0;
    await serve((_, connection) => {
      served++;
      void connection.send({ header: {}, body: answer }).catch(() => {});
    });
    const client = await dial();
    client.socket.pause();
    client.socket.write(ok("x").repeat(2000));
    await eventually(async () => {
      const before = served;
      await new Promise((resolve) => setTimeout(resolve, 50));
      return served === before && served > 0;
    }, "the server stops");
    expect(served).toBeLessThan(500);
    expect(sockets[0]?.writableLength).toBeLessThan(4 << 20);
    client.socket.removeAllListeners("data").resume();
    await eventually(() => served === 2000, "the rest is served");
  });

  it.each([true, false])("a long answer is cut off by its idle limit unless its client reads: %s", async (reads) => {
    const clock = virtualClock();
    const body = Buffer.alloc(48 << 20, 7);
    const idle = { clock, maxBody: body.length, idleTimeout: "10s" } as const;
    await serve((_, connection) => void connection.send({ header: {}, body }).catch(() => {}), idle);
    const client = await dial();
    const reader = new Reader(client.socket);
    await client.write(ok("x"));
    await eventually(() => sockets[0]?.writableLength, "more than the system takes");
    for (let n = 0; n < 8; n++) {
      if (reads) await reader.reads(4 << 20);
      await clock.advance(9000);
    }
    expect(sockets[0]?.destroyed).toBe(!reads);
    reader.socket.resume();
    if (reads) await eventually(() => reader.got > body.length, "all of it comes");
  });

  it("HTTP/1.0 is answered and closed, and Expect: 100-continue gets its 100", async () => {
    await serve(echo);
    const old = await dial();
    await old.write("POST / HTTP/1.0\r\nContent-Length: 1\r\n\r\nx");
    expect(await old.end()).toBe("fin");
    expect(old.text).toMatch(/200 OK[^]*\r\n\r\nx$/);
    const careful = await dial();
    await careful.write("POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n");
    await careful.until((text) => text.endsWith("\r\n\r\n"));
    expect(careful.text).toBe("HTTP/1.1 100 Continue\r\n\r\n");
    await careful.write("y");
    await careful.until((text) => /200 OK[^]*\r\n\r\ny$/.test(text));
  });

  it("Connection: close waits for the end of a stream", async () => {
    await serve((_, connection) => connection.busy(true));
    const client = await dial();
    await client.write(ok("open", "Connection: close\r\n"));
    const { connection } = await user();
    for (const part of ["a", "b"]) await connection.send({ header: {}, body: Buffer.from(part) });
    await client.until((text) => text.endsWith("b"));
    expect(client.ending).toBeUndefined();
    connection.busy(false);
    expect(await client.end()).toBe("fin");
  });

  it("a head of 1 MiB passes and one byte more does not", async () => {
    await serve(echo);
    const bare = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nX-Big: \r\n\r\n".length;
    for (const [extra, want] of [
      [0, "HTTP/1.1 200 OK"],
      [1, "HTTP/1.1 413 "],
    ] as const) {
      const client = await dial();
      client.socket.write(ok("", `X-Big: ${"b".repeat((1 << 20) - bare + extra)}\r\n`));
      await client.until((text) => text.startsWith("HTTP/1.1 "));
      expect(client.text.slice(0, want.length)).toBe(want);
    }
  });

  it("a body above the limit gets an error that a caller of mucp can read, before its end has come", async () => {
    await serve(echo, { maxBody: 1000 });
    const client = await dial();
    await client.write(
      "POST / HTTP/1.1\r\nHost: x\r\nMicro-Endpoint: A.B\r\nMicro-Id: 7\r\nMicro-Stream: s\r\nContent-Length: 1001\r\n\r\n",
    );
    expect(await client.end()).toBe("fin");
    expect(client.text).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
    expect(client.text).toContain('Micro-Error: {"id":"ts.micro.transport.http","code":413,');
    expect(client.text).toContain("Micro-Id: 7\r\nMicro-Stream: s\r\nContent-Length: 0\r\n\r\n");
    expect((await (await user()).closed()).code).toBe("PAYLOAD_TOO_LARGE");
    const plain = await dial();
    await plain.write("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1001\r\n\r\n");
    await plain.until((text) => text.startsWith("HTTP/1.1 413 "));
  });

  it("malformed bytes after a request are answered with 400 and the connection is closed", async () => {
    await serve(echo);
    const client = await dial();
    await client.write(`${ok("x")}POST / HTTP/9.9\r\n\r\n`);
    expect(await client.end()).toBe("fin");
    expect(client.text).toMatch(/200 OK[^]*HTTP\/1\.1 400 Bad Request/);
    expect((await (await user()).closed()).code).toBe("PROTOCOL");
  });

  it("messages and the end that come before receive are kept for it", async () => {
    const acceptor = httpTransport().acceptor?.((connection) => {
      setTimeout(() => users.push(new User(connection)), 20);
    });
    listener = await listen({ address: "127.0.0.1:0", acceptors: acceptor === undefined ? [] : [acceptor] });
    const staying = await dial();
    await staying.write(ok("1") + ok("2"));
    await (await user()).count(2);
    const going = await dial();
    await going.write(ok("3"));
    going.socket.resetAndDestroy();
    const late = await user(1);
    await late.closed();
    expect([...(users[0]?.messages ?? []), ...late.messages].map(text)).toEqual(["1", "2", "3"]);
  });

  it("no 400 is put between the answers of a call under way", async () => {
    await serve((_, connection) => connection.busy(true));
    const client = await dial();
    await client.write(`${ok("x")}garbage without end\r\n\r\n`);
    expect(await client.end()).toBe("fin");
    expect(client.text).toBe("");
  });
});

describe("draining", () => {
  it("answers what had begun to come, and what came with it, before it closes", async () => {
    await serve((message, connection) => {
      if (text(message) === "late") setTimeout(() => void connection.send(message), 5);
      else void connection.send(message);
    });
    const half = await dial();
    await half.write(ok("begun").slice(0, 10));
    await eventually(() => (sockets[0]?.bytesRead ?? 0) === 10, "half a head");
    const draining = listener?.drain();
    await half.write(ok("begun").slice(10) + ok("together") + ok("late"));
    expect(await half.end()).toBe("fin");
    await draining;
    expect(half.text.match(/\r\n\r\n[a-z]+/g)).toEqual(["\r\n\r\nbegun", "\r\n\r\ntogether", "\r\n\r\nlate"]);
  });

  it.each(["at once", "slowly", "never"])(
    "lets a client have a long answer that it reads %s",
    { timeout: 30_000 },
    async (how) => {
      const clock = virtualClock();
      const body = Buffer.alloc(48 << 20, 7);
      await serve((_, connection) => void connection.send({ header: {}, body }).catch(() => {}), {
        clock,
        maxBody: body.length,
      });
      const client = await dial();
      const reader = new Reader(client.socket);
      await client.write(ok("x"));
      await eventually(() => sockets[0]?.writableLength, "more than the system takes");
      let drained = false;
      const draining = listener?.drain().then(() => (drained = true));
      for (let n = 0; n < 8 && how !== "at once"; n++) {
        if (how === "slowly") await reader.reads(4 << 20);
        await clock.advance(3000);
      }
      expect(drained).toBe(how === "never");
      if (how !== "never") reader.socket.resume();
      await draining;
      await listener?.close();
      if (how === "never") expect(reader.got).toBeLessThan(body.length);
      else await eventually(() => reader.got > body.length, "all of it comes");
    },
  );

  it("answers the first call of a connection that comes while others are drained, and closes it then", async () => {
    await serve(echo);
    await listener?.drain();
    const late = await dial();
    await late.write(ok("x"));
    expect(await late.end()).toBe("fin");
    expect(late.text).toMatch(/\r\n\r\nx$/);
  });
});

describe("clients that go away", () => {
  it.each([
    ["FIN", (client: Raw) => client.socket.end()],
    ["RST", (client: Raw) => client.socket.resetAndDestroy()],
  ] as const)("%s while a call is under way is told once, with CONNECTION_LOST", async (_, leave) => {
    await serve();
    const client = await dial();
    await client.write(ok("x"));
    const each = await user();
    await each.count(1);
    leave(client);
    expect((await each.closed()).code).toBe("CONNECTION_LOST");
    await expect(each.connection.send({ header: {}, body: Buffer.from("late") })).rejects.toMatchObject({
      code: "CONNECTION_LOST",
    });
    await eventually(() => listener?.connections === 0, "no socket is left");
  });

  it("FIN inside a message is told too, and the message is not", async () => {
    await serve();
    const client = await dial();
    await client.write(ok("first") + ok("whole").slice(0, -1));
    client.socket.end();
    const each = await user();
    expect((await each.closed()).detail).toContain("inside a message");
    expect(each.messages.map(text)).toEqual(["first"]);
  });

  it("an answer sent just before close still reaches a client that goes on sending", async () => {
    await serve((message, connection) => {
      void connection.send(message);
      connection.close();
    });
    const client = await dial();
    client.socket.write(ok("first"));
    client.socket.write(Buffer.alloc(1 << 20, "POST "));
    expect(await client.end()).toBe("fin");
    expect(client.text).toMatch(/\r\n\r\nfirst$/);
  });
});

describe("a server that closes", () => {
  it("a paused connection goes too, as soon as its client has gone", async () => {
    const clock = virtualClock();
    await serve(
      (_, connection) => {
        connection.pause();
        connection.close();
      },
      { clock },
    );
    const client = await dial();
    await client.write(ok("x"));
    await client.end();
    client.socket.end("more that nobody reads");
    await eventually(() => listener?.connections === 0, "the socket is gone");
    // Time stood still: it was not the limit for sockets that will not go.
    expect(clock.now()).toBe(0);
  });
});

describe("limits in time", () => {
  it("a head that dribbles in is cut by one deadline, on the first request and on a later one", async () => {
    const clock = virtualClock();
    await serve(echo, { clock });
    const first = await dial();
    await first.write("POST / HTTP/1.1\r\n");
    const later = await dial();
    await later.write(`${ok("x")}POST`);
    await later.until((text) => text.endsWith("x"));
    await user(1);
    for (let i = 0; i < 9; i++) {
      await clock.advance(500);
      await Promise.all([first.write(`X-${i}: `), later.write("T")]);
    }
    await eventually(() => sockets.every((socket) => socket.bytesRead > 20), "the bytes have come");
    expect([first.ending, later.ending]).toEqual([undefined, undefined]);
    await clock.advance(600);
    await Promise.all([first.end(), later.end()]);
    expect((await (await user(1)).closed()).detail).toContain("too slow (head)");
  });

  it("an idle connection lives for 120 s and not much longer", async () => {
    const clock = virtualClock();
    await serve(echo, { clock });
    const client = await dial();
    for (let i = 0; i < 2; i++) {
      await client.write(ok(`${i}`));
      await client.until((text) => text.endsWith(`${i}`));
      await clock.advance(119_000);
      expect(client.ending).toBeUndefined();
    }
    await clock.advance(2_000);
    expect(await client.end()).toBe("fin");
    expect((await (await user()).closed()).code).toBe("CONNECTION_LOST");
  });

  it("a call under way has no limit of the transport's", async () => {
    const clock = virtualClock();
    await serve(() => {}, { clock });
    const client = await dial();
    await client.write(ok("x"));
    const each = await user();
    await each.count(1);
    await clock.advance(3_600_000);
    expect(client.ending).toBeUndefined();
    await each.connection.send({ header: {}, body: Buffer.from("at last") });
    await client.until((text) => text.endsWith("at last"));
  });

  it("a body that stands still is cut", async () => {
    const clock = virtualClock();
    await serve(echo, { clock });
    const client = await dial();
    await client.write(ok("12345").slice(0, -1));
    const each = await user();
    await eventually(() => (sockets[0]?.bytesRead ?? 0) > 10, "the bytes have come");
    await clock.advance(121_000);
    expect((await each.closed()).detail).toContain("too slow (body)");
    await client.end();
  });

  it("a socket that does not go after its end is destroyed, and no timer is left", async () => {
    const clock = virtualClock();
    await serve(
      (message, connection) => {
        void connection.send(message);
        connection.close();
      },
      { clock },
    );
    const client = await dial();
    await client.write(ok("x"));
    await client.end();
    expect(listener?.connections).toBe(1);
    await clock.advance(6_000);
    await eventually(() => listener?.connections === 0, "the socket is gone");
    await listener?.close();
    expect(clock.pending()).toBe(0);
  });
});
