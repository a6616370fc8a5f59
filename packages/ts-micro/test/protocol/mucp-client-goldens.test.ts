import { once } from "node:events";
import { createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Kind } from "../../src/context.ts";
import { Metadata } from "../../src/metadata.ts";
import type { CallHead, Peer, Protocol, RawStream } from "../../src/protocol.ts";
import { mucp } from "../../src/protocol/mucp.ts";
import { eventually, within } from "../../src/testing/suite.ts";
import type { Message, Transport } from "../../src/transport.ts";
import { httpTransport } from "../../src/transport/http.ts";
import { headerRecord } from "../../src/wire/http1/headers.ts";
import { RequestParser } from "../../src/wire/http1/request.ts";
import { nth, repliesOf } from "../codec/captured.ts";
import { connections } from "../wire/captures.ts";

beforeAll(() => mucp({ transport: httpTransport() }).loadClient?.());

let server: Server;
let sockets: Socket[];
let received: Message[];
let ended: number;
let answer: (socket: Socket, count: number) => void;
let transport: Transport;
let protocol: Protocol;
let peer: Peer;

// A server that says what Go said, whenever the test wants it.
beforeEach(async () => {
  sockets = [];
  received = [];
  ended = 0;
  answer = () => {};
  server = createServer((socket) => {
    sockets.push(socket);
    let count = 0;
    const parser = new RequestParser({
      message: ({ headers, body }) => {
        received.push({ header: headerRecord(headers), body: Buffer.from(body) });
        answer(socket, ++count);
      },
    });
    socket.on("data", (chunk) => parser.push(chunk));
    socket.on("end", () => ended++);
    socket.on("error", () => {});
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  transport = httpTransport();
  protocol = mucp({ transport, goHalfCloseGrace: 30 });
  const address = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  peer = protocol.dial({ id: "greeter-1", address, metadata: { protocol: "mucp", transport: "http" } });
});

afterEach(async () => {
  await protocol.close();
  await transport.close();
  for (const socket of sockets) socket.destroy();
  await new Promise((resolve) => server.close(resolve));
});

let ids = 0;

function head(endpoint: string, init: Partial<CallHead> = {}): CallHead {
  const id = `ts-golden-${++ids}`;
  const contentType = "application/json";
  return {
    service: "greeter",
    endpoint,
    contentType,
    kind: "unary",
    deadline: Infinity,
    metadata: undefined,
    id,
    ...init,
  };
}

const body = (text: string): Uint8Array => Buffer.from(text);
const text = (bytes: Uint8Array | undefined): string => Buffer.from(bytes ?? []).toString();

/** The bytes of each reply of a captured connection. */
function replyBytes(name: string, connection = 0): Buffer[] {
  const { response } = nth(connections(name), connection);
  const out: Buffer[] = [];
  let start = 0;
  for (let end = 1; end <= response.length; end++) {
    const part = response.subarray(start, end);
    // A prefix of a message does not parse; a head without length does, as a body until the end.
    if (!part.includes("\r\n\r\n")) continue;
    try {
      if (repliesOf(part).length !== 1) continue;
    } catch {
      continue;
    }
    out.push(part);
    start = end;
  }
  return out;
}

async function failure(work: Promise<unknown>): Promise<unknown> {
  return within(
    work.then(
      () => Promise.reject(new Error("it did not fail")),
      (error: unknown) => error,
    ),
    "a failure",
  );
}

describe("a client that hears what Go servers sent", () => {
  it("reads unary replies on one connection, stale headers and all", async () => {
    const replies = replyBytes("v4-unary-json");
    answer = (socket, count) => socket.write(nth(replies, count - 1));
    for (const expected of ['{"msg":"Hello John"}\n', "{}\n", '{"msg":"Hello Two"}\n'])
      expect(text((await peer.unary(head("Greeter.Hello"), body("{}\n"))).body)).toBe(expected);
    expect(sockets.length).toBe(1);
  });

  it("reads a reply that comes byte by byte", async () => {
    const reply = nth(replyBytes("v4-unary-json"), 0);
    answer = (socket) => {
      for (const byte of reply) socket.write(Buffer.from([byte]));
    };
    expect(text((await peer.unary(head("Greeter.Hello"), body("{}"))).body)).toBe('{"msg":"Hello John"}\n');
  });

  it("writes the request that Go's client writes, with an id that a Go server needs and the time that is left", async () => {
    answer = (socket) => socket.write(nth(replyBytes("v4-unary-json"), 0));
    const metadata = Metadata.from({ "x-user": "zoë", "Micro-From-Service": "shop" });
    const call = head("Greeter.Hello", { deadline: performance.now() + 5000, metadata });
    await peer.unary(call, body('{"name":"John"}\n'));
    const { header } = nth(received, 0);
    const { Timeout, Host, "Content-Length": _, ...rest } = header;
    expect(Host).toBeDefined();
    expect(Number(Timeout)).toBeGreaterThan(4e9);
    expect(Number(Timeout)).toBeLessThanOrEqual(5e9);
    expect(Timeout).toMatch(/^\d+$/);
    expect(rest).toEqual({
      Accept: "application/json",
      "Content-Type": "application/json",
      "Micro-Endpoint": "Greeter.Hello",
      "Micro-From-Service": "shop",
      "Micro-Id": call.id,
      "Micro-Method": "Greeter.Hello",
      "Micro-Service": "greeter",
      "Micro-Stream": call.id,
      "X-User": "zoë",
    });
    await peer.unary(head("Greeter.Hello"), body("{}"));
    expect(nth(received, 1).header["Timeout"]).toBeUndefined();
  });

  it.each([
    "v4-errors-micro",
    "v5-errors-micro",
    "v4-errors-plain",
    "v4-unknown",
    "v4-bad-body",
    "v5-bad-body",
    "v4-error-protobuf",
  ])("reads every error of %s", async (name) => {
    let seen = 0;
    for (const [i] of connections(name).entries()) {
      for (const [n, reply] of replyBytes(name, i).entries()) {
        const expected = nth(repliesOf(nth(connections(name), i).response), n).header["Micro-Error"];
        if (expected === undefined || expected === "context deadline exceeded") continue;
        answer = (socket) => socket.write(reply);
        const error = await failure(peer.unary(head("Greeter.Fail"), body("{}")));
        const json = expected.startsWith("{") ? (JSON.parse(expected) as Record<string, unknown>) : undefined;
        const known = json !== undefined && ("detail" in json || "id" in json);
        expect(error).toMatchObject({
          id: known ? (json["id"] ?? "") : "",
          status: known ? (json["code"] ?? 0) : 0,
          detail: known ? (json["detail"] ?? "") : expected,
          layer: "remote",
          refused: false,
        });
        seen++;
      }
    }
    expect(seen).toBeGreaterThan(0);
    expect(peer.pending).toBe(0);
  });

  it("reads Go's bare text of an expired deadline as TIMEOUT", async () => {
    answer = (socket) => socket.write(nth(replyBytes("v4-errors-plain", 3), 0));
    expect(await failure(peer.unary(head("Greeter.Fail"), body("{}")))).toMatchObject({
      code: "TIMEOUT",
      layer: "remote",
    });
  });

  it("reads a refusal of the content type", async () => {
    const reply = "HTTP/1.1 200 OK\r\nContent-Length: 44\r\nContent-Type: text/plain\r\n\r\n";
    answer = (socket) => socket.write(`${reply}unsupported Content-Type: application/x-nope`);
    const error = await failure(peer.unary(head("Greeter.Hello", { contentType: "application/x-nope" }), body("")));
    expect(error).toMatchObject({ code: "UNSUPPORTED", detail: "unsupported Content-Type: application/x-nope" });
  });

  it("says so when a unary call is answered with the end of a stream", async () => {
    answer = (socket) => socket.write(nth(replyBytes("v4-stream-server").toReversed(), 0));
    expect(await failure(peer.unary(head("Greeter.Stream"), body("{}")))).toMatchObject({ code: "PROTOCOL" });
  });

  it.each([
    ["garbage", "garbage\r\n\r\n", "PROTOCOL"],
    ["another status", "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 4\r\n\r\nboom", "PROTOCOL"],
    ["half a reply", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}", "CONNECTION_LOST"],
    ["a reply cut in its head", "HTTP/1.1 200 OK\r\nContent-Le", "CONNECTION_LOST"],
    ["nothing", "", "CONNECTION_LOST"],
  ])("settles when a server answers with %s and closes", async (_, reply, code) => {
    answer = (socket) => socket.end(reply);
    const error = await failure(peer.unary(head("Greeter.Hello"), body("{}")));
    expect(error).toMatchObject({ code, refused: false });
    expect(peer.pending).toBe(0);
  });

  it("never takes one reply too many for the next call's", async () => {
    const replies = replyBytes("v4-unary-json");
    answer = (socket, count) =>
      socket.write(Buffer.concat(count === 1 ? [nth(replies, 0), nth(replies, 2)] : [nth(replies, 1)]));
    expect(text((await peer.unary(head("Greeter.Hello"), body("{}"))).body)).toBe('{"msg":"Hello John"}\n');
    const next = await peer.unary(head("Greeter.Hello"), body("{}"));
    expect(text(next.body)).toBe('{"msg":"Hello John"}\n');
    expect(sockets.length).toBe(2);
  });

  it("never takes a reply that comes too late for the next call's", async () => {
    const replies = replyBytes("v4-unary-json");
    expect(
      await failure(peer.unary(head("Greeter.Slow", { deadline: performance.now() + 30 }), body("{}"))),
    ).toMatchObject({
      code: "TIMEOUT",
    });
    nth(sockets, 0).write(nth(replies, 2));
    answer = (socket) => socket.write(nth(replies, 0));
    expect(text((await peer.unary(head("Greeter.Hello"), body("{}"))).body)).toBe('{"msg":"Hello John"}\n');
    await eventually(() => ended > 0 || nth(sockets, 0).destroyed, "the first connection is closed");
  });
});

describe("a client of Go streams", () => {
  /** Answers with a whole captured connection when request `at` is there. */
  function replay(name: string, at: number): void {
    const { response } = nth(connections(name), 0);
    answer = (socket, count) => void (count === at && socket.write(response));
  }

  async function open(kind: Kind, endpoint: string, sends: string[]): Promise<RawStream> {
    const stream = peer.stream(head(endpoint, { kind }));
    for (const send of sends) await stream.send(body(send));
    return stream;
  }

  async function rest(stream: RawStream): Promise<string[]> {
    const out: string[] = [];
    for (
      let next = await within(stream.read(), "a message");
      next !== undefined;
      next = await within(stream.read(), "a message")
    )
      out.push(text(next));
    return out;
  }

  it.each(["v4-stream-server", "v5-stream-server"])(
    "reads the server stream of %s and closes as Go does",
    async (name) => {
      replay(name, 2);
      const stream = await open("server", "Greeter.Stream", ['{"count":3}\n']);
      stream.end();
      const expected = repliesOf(nth(connections(name), 0).response).slice(0, 3);
      expect(await rest(stream)).toEqual(expected.map((reply) => text(reply.body)));
      await eventually(() => ended === 1, "our FIN");
      expect(received.map(({ header }) => header["Micro-Error"])).toEqual([undefined, undefined, "EOS"]);
      expect(received.map((message) => text(message.body))).toEqual(["{}\n", '{"count":3}\n', ""]);
      const id = nth(received, 0).header["Micro-Id"];
      for (const { header } of received)
        expect(header).toMatchObject({
          "Micro-Id": id,
          "Micro-Stream": id,
          "Micro-Endpoint": "Greeter.Stream",
          "Micro-Service": "greeter",
        });
      expect(peer.pending).toBe(0);
    },
  );

  it("opens a protobuf stream with an empty message", async () => {
    replay("v4-stream-server-protobuf", 2);
    const stream = peer.stream(head("Greeter.Stream", { kind: "server", contentType: "application/protobuf" }));
    await stream.send(Buffer.from([8, 2]));
    expect((await rest(stream)).length).toBeGreaterThan(0);
    expect(nth(received, 0).body.length).toBe(0);
  });

  it.each(["v4-stream-server-error", "v5-stream-server-error"])(
    "reads what %s sent before its error, then the error",
    async (name) => {
      replay(name, 2);
      const stream = await open("server", "Greeter.Stream", ["{}"]);
      for (let i = 0; i < 2; i++) expect(await stream.read()).toBeDefined();
      expect(await failure(stream.read())).toMatchObject({
        id: "greeter",
        status: 404,
        detail: "stream failed",
        layer: "remote",
      });
      await eventually(() => ended === 1, "our FIN");
    },
  );

  it.each(["v4-stream-bidi", "v5-stream-bidi"])("talks as in %s", async (name) => {
    const replies = replyBytes(name);
    answer = (socket, count) => void (count > 1 && socket.write(nth(replies, count - 2)));
    const stream = await open("bidi", "Greeter.Chat", ['{"text":"a"}']);
    expect(text(await stream.read())).toContain("re: a");
    await stream.send(body('{"text":"b"}'));
    expect(text(await stream.read())).toContain("re: b");
    await stream.send(body('{"text":"quit"}'));
    expect(await within(stream.read(), "the end")).toBeUndefined();
    expect(await failure(stream.send(body("x")))).toMatchObject({ code: "INVALID_STATE" });
  });

  it.each(["v4-stream-client", "v5-stream-client"])("takes the first message of %s for the answer", async (name) => {
    replay(name, 3);
    const stream = await open("client", "Greeter.Collect", ['{"text":"m0"}', '{"text":"end"}']);
    stream.end();
    expect(await rest(stream)).toEqual([text(nth(repliesOf(nth(connections(name), 0).response), 0).body)]);
    await eventually(() => ended === 1, "our FIN");
    expect(received.filter(({ header }) => header["Micro-Error"] === "EOS").length).toBe(1);
  });

  it("takes silence after its own end for the end, since Go says nothing then", async () => {
    replay("v4-stream-bidi-client-close", 2);
    const stream = await open("bidi", "Greeter.Chat", ['{"text":"a"}']);
    expect(text(await stream.read())).toContain("re: a");
    stream.end();
    expect(await within(stream.read(), "the end")).toBeUndefined();
    await eventually(() => ended === 1, "our FIN");
    expect(peer.pending).toBe(0);
  });

  it("takes a FIN after its own end for the end, and before it for a loss", async () => {
    const reply = nth(replyBytes("v4-stream-bidi-client-close"), 0);
    answer = (socket, count) => {
      if (count === 2) socket.write(reply);
      if (count === 3) socket.end();
    };
    const ending = await open("bidi", "Greeter.Chat", ['{"text":"a"}']);
    ending.end();
    expect((await rest(ending)).length).toBe(1);
    const cut = await open("bidi", "Greeter.Chat", ['{"text":"a"}', '{"text":"b"}']);
    expect(text(await cut.read())).toContain("re: a");
    expect(await failure(cut.read())).toMatchObject({ code: "CONNECTION_LOST" });
  });

  it.each(["v4-stream-server-fast", "v5-stream-server-fast"])("survives the damaged messages of %s", async (name) => {
    replay(name, 2);
    const stream = await open("server", "Greeter.Stream", ["{}"]);
    const messages = await rest(stream);
    expect(messages.length).toBe(repliesOf(nth(connections(name), 0).response).length - 1);
  });

  it("closes the connection when it is cancelled", async () => {
    const stream = await open("bidi", "Greeter.Chat", ['{"text":"a"}']);
    await eventually(() => received.length === 2, "the stream arrives");
    const socket = nth(sockets, 0);
    const closed = once(socket, "close");
    stream.cancel((await failure(Promise.reject(new Error("enough")))) as never);
    await within(closed, "the connection closes");
    expect(peer.pending).toBe(0);
  });
});
