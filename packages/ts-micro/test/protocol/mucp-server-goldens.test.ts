import { connect } from "node:net";
import { once } from "node:events";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { AllKindsSchema } from "../../../../interop/proto/gen/greeter_pb.ts";
import { jsonCodec } from "../../src/codec/json.ts";
import { mucp } from "../../src/protocol/mucp.ts";
import { eventually } from "../../src/testing/suite.ts";
import type { Message } from "../../src/transport.ts";
import { httpTransport } from "../../src/transport/http.ts";
import { ResponseParser } from "../../src/wire/http1/response.ts";
import { headerRecord } from "../../src/wire/http1/headers.ts";
import { conversation, conversations, nth, repliesOf, requestsOf } from "../codec/captured.ts";
import { captureNames, connections } from "../wire/captures.ts";
import { Greeter } from "./greeter.ts";
import { mount, type Mounted } from "./over-http.ts";

let greeter: Greeter;
let place: Mounted;

beforeEach(async () => {
  greeter = await Greeter.create();
  place = await mount(mucp({ transport: httpTransport() }).acceptor!(greeter, []));
});

afterEach(() => place.close());

/** What the server says to these bytes; resolves when there are `count` replies. */
async function say(bytes: Buffer, count: number): Promise<Message[]> {
  const [host, port] = place.address.split(":");
  const socket = connect(Number(port), host);
  const replies: Message[] = [];
  const parser = new ResponseParser({
    message: ({ status, headers, body }) => {
      expect(status).toBe(200);
      replies.push({ header: headerRecord(headers), body: Buffer.from(body) });
    },
  });
  await once(socket, "connect");
  socket.on("data", (chunk) => parser.push(chunk));
  socket.write(bytes);
  try {
    await eventually(() => replies.length >= count, `${count} replies`);
    expect(replies.length).toBe(count);
    return replies;
  } finally {
    socket.destroy();
  }
}

/** What a Go client gets from a reply: its error, or its body (wire spec §1.7). */
function seen({ header, body }: Message): unknown {
  return header["Micro-Error"] ?? Buffer.from(body).toString("latin1");
}

// Where we answer what Go does not: panics, a second reply, wrong bodies of fast streams.
const rpc = captureNames(/^v[45]-(unary|stream|error|conn-close|proto-rpc|json-rpc|unknown)/);
const different =
  /-(allkinds|plain-json|errors-plain|stream-server-fast|half-close|bidi-client-close|json-rpc-legacy-node|errors-micro)/;

describe("a server that hears what Go clients sent", () => {
  it.each(rpc.filter((name) => !different.test(name)))("answers %s as Go did", async (name) => {
    for (const [i, { request, response }] of connections(name).entries()) {
      const expected = repliesOf(response);
      const replies = await say(request, expected.length);
      expect(replies.map(seen), `connection ${i}`).toEqual(expected.map((reply) => asOurs(seen(reply))));
      for (const [n, { header }] of replies.entries()) {
        const theirs = nth(expected, n).header;
        expect(header["X-Micro-Error"]).toBe(header["Micro-Error"]);
        expect(header["Content-Type"]).toBe(theirs["Content-Type"]);
        const twins = Object.entries(theirs).filter(([name]) => /^X-Micro-(Endpoint|Method|Service)$/.test(name));
        expect(header).toMatchObject(Object.fromEntries(twins));
      }
    }
  });

  it("gives every typed error its exact JSON", async () => {
    const talks = conversations("v5-errors-micro").filter(
      ({ replies }) => !/panic|errors/.test(replies[0]?.header["Micro-Error"] ?? ""),
    );
    expect(talks.length).toBeGreaterThan(8);
    for (const [i, { replies }] of talks.entries()) {
      const bytes = nth(connections("v5-errors-micro"), i).request;
      expect((await say(bytes, 1)).map(seen)).toEqual([seen(nth(replies, 0))]);
    }
  });

  it("gives plain error texts as they are, a newline as a space, and no reply that looks like an end", async () => {
    const plain = (await say(nth(connections("v4-errors-plain"), 0).request, 1)).map(seen);
    expect(plain).toEqual(["just text"]);
    expect((await say(nth(connections("v4-errors-plain"), 1).request, 1)).map(seen)).toEqual(["two lines"]);
    const eos = plainError("EOS");
    expect(seen(nth(await say(eos, 1), 0))).toContain('"detail":"EOS"');
  });

  it("gives v5 the JSON of all kinds back byte for byte", async () => {
    const { request, response } = nth(connections("v5-unary-allkinds-json"), 0);
    const expected = repliesOf(response).map(seen);
    expect((await say(request, 1)).map(seen)).toEqual(expected);
  });

  it("reads the JSON of all kinds that a v4 client sends and a v4 server refuses", async () => {
    const { request } = nth(connections("v4-unary-allkinds-json"), 0);
    const codec = jsonCodec();
    await codec.load?.();
    const reply = nth(await say(request, 1), 0);
    expect(codec.decode(reply.body, AllKindsSchema)).toEqual(
      codec.decode(nth(conversation("v5-unary-allkinds-json").requests, 0).body, AllKindsSchema),
    );
  });

  it("calls by json-rpc alone, for nodes that say no protocol", async () => {
    const { request, response } = nth(connections("v4-json-rpc-legacy-node"), 0);
    const expected = repliesOf(response);
    expect((await say(request, expected.length)).map(seen)).toEqual(expected.map(seen));
    expect(greeter.calls[0]?.head.contentType).toBe("application/json-rpc");
  });

  it("sends whole messages and a true end where a fast Go stream damages them", async () => {
    for (const name of ["v4-stream-server-fast", "v5-stream-server-fast"]) {
      const replies = await say(nth(connections(name), 0).request, 6);
      const bodies = replies
        .slice(0, 5)
        .map(({ body }) => Number((JSON.parse(Buffer.from(body).toString()) as { n?: string }).n ?? 0));
      expect(bodies).toEqual([0, 1, 2, 3, 4]);
      expect(replies[5]?.header["Micro-Error"]).toBe("EOS");
    }
  });

  it("ends a stream whose client has closed its side, where Go says nothing", async () => {
    const { request, response } = nth(connections("v4-stream-bidi-client-close"), 0);
    expect((await say(request, 2)).map(seen)).toEqual([...repliesOf(response).map(seen), "EOS"]);
  });

  it("answers a client stream whose end is an EOS message, which Go leaves without an answer", async () => {
    const replies = await say(nth(connections("v5-stream-half-close"), 0).request, 2);
    expect(JSON.parse(Buffer.from(nth(replies, 0).body).toString())).toEqual({ count: "3" });
    expect(nth(replies, 1).header["Micro-Error"]).toBe("EOS");
  });

  it("echoes octets, and answers their error, which Go cannot", async () => {
    for (const name of ["v4-octet-stream", "v5-octet-stream"]) {
      const { request, response } = nth(connections(name), 0);
      const replies = await say(request, 2);
      expect(seen(nth(replies, 0))).toBe(seen(nth(repliesOf(response), 0)));
      expect(nth(replies, 1).header["Micro-Error"]).toContain('"id":"raw"');
    }
  });

  it("tells a client with a content type it does not have, as Go tells it", async () => {
    const { request } = nth(connections("v4-mucp-grpc-proto"), 0);
    const reply = nth(await say(firstRequest(request), 1), 0);
    expect(reply.header["Content-Type"]).toBe("text/plain");
    expect(seen(reply)).toBe("unsupported Content-Type: application/grpc+proto");
  });
});

describe("a server that hears requests written by hand", () => {
  /** What the server says to an item of the captures; `count` replies. */
  async function hand(what: string, count: number): Promise<Message[]> {
    const found = connections("v5-handwritten").find(({ name }) => name.endsWith(`: ${what}`));
    if (found === undefined) throw new Error(`no item ${what}`);
    return say(found.request, count);
  }

  const same = [
    "minimal",
    "only Micro-Method",
    "no Micro-Service",
    "X-Micro-Endpoint only",
    "lower-case header names",
    "no Content-Type, protobuf body",
    "unknown content type",
    "charset parameter",
    "empty body JSON",
    "no endpoint, JSON object",
    "no micro headers, json-rpc body",
    "Timeout abc",
    "chunked request",
    "GET /foo/bar?x",
    "HTTP/1.0",
    "Connection: close",
    "Connection: close on the second request",
    "no Host on the second request",
    "Micro-Topic on the RPC connection",
    "Micro-Topic unknown",
    "Micro-Topic failing subscriber",
    "Micro-Stream on a unary call",
    "error then success on one connection",
    "late EOS",
    "stream, Micro-Error other from the client",
  ];

  it.each(same)("%s: answers as Go does", async (what) => {
    const found = nth(
      connections("v5-handwritten").filter(({ name }) => name.endsWith(`: ${what}`)),
      0,
    );
    const expected = repliesOf(found.response);
    const replies = await say(found.request, expected.length);
    expect(replies.map((reply) => asOurs(seen(reply)))).toEqual(expected.map((reply) => asOurs(seen(reply))));
    expect(replies.map(({ header }) => header["Content-Type"])).toEqual(
      expected.map(({ header }) => header["Content-Type"]),
    );
  });

  it("serves a second call beside a stream on one connection", async () => {
    const replies = await hand("second stream on a connection after the first ended", 3);
    const of = (stream: string): unknown[] =>
      replies.filter(({ header }) => header["Micro-Stream"] === stream).map((reply) => seen(reply));
    expect([of("1"), of("2")]).toEqual([["{}\n", "EOS"], ['{"msg":"Hello B"}\n']]);
  });

  it("keeps a numeric id of json-rpc exact", async () => {
    const reply = nth(await hand("json-rpc numeric id", 1), 0);
    expect(JSON.parse(Buffer.from(reply.body).toString())).toMatchObject({ id: "12345678", error: null });
  });

  it("answers what Go leaves unanswered: json-rpc without params, octets for a message", async () => {
    expect(seen(nth(await hand("json-rpc without params", 1), 0))).toContain('"code":400');
    expect(seen(nth(await hand("octet-stream to a protobuf handler", 1), 0))).toContain('"code":400');
  });

  it("answers pipelined requests without a stream id one after another", async () => {
    const replies = await hand("pipelined, no stream id", 2);
    expect(replies.map(seen)).toEqual(['{"attempt":"1"}\n', '{"msg":"Hello B"}\n']);
  });

  it("answers pipelined requests with stream ids so that they can be told apart", async () => {
    const replies = await hand("pipelined, distinct stream ids", 2);
    expect(new Map(replies.map((reply) => [reply.header["Micro-Stream"], seen(reply)]))).toEqual(
      new Map([
        ["p1", '{"attempt":"1"}\n'],
        ["p2", '{"msg":"Hello B"}\n'],
      ]),
    );
  });

  it("sees an expired Timeout as a deadline that has passed", async () => {
    await hand("Timeout 1 ns, handler that looks at ctx", 1);
    expect(nth(greeter.calls, 0).head.deadline).toBeLessThan(performance.now());
  });

  it("gives the handler all headers, Local and Remote as metadata", async () => {
    await hand("repeated header", 1);
    const [first] = greeter.calls;
    expect(first?.head.metadata?.toObject()).toMatchObject({
      "Content-Type": "application/json",
      "Micro-Endpoint": "Greeter.Echo",
      "X-A": "1",
      "X-Utf": "é",
      Local: place.address,
      Remote: first?.remote,
    });
  });
});

/** A request to fail with this text alone. */
function plainError(detail: string): Buffer {
  const body = JSON.stringify({ kind: "plain", detail });
  const head = "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nMicro-Endpoint: Greeter.Fail\r\n";
  return Buffer.from(`${head}Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
}

/** The first request of a connection. */
function firstRequest(bytes: Buffer): Buffer {
  for (let end = 1; end <= bytes.length; end++)
    if (requestsOf(bytes.subarray(0, end)).length === 1) return bytes.subarray(0, end);
  throw new Error("no request");
}

/** v4 writes the struct's JSON, v5 and we write proto JSON. */
function asOurs(value: unknown): unknown {
  return typeof value === "string" ? value.replace(/"(n|count)":(\d+)/g, '"$1":"$2"') : value;
}
