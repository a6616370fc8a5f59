import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Greeter } from "../../../../interop/proto/gen/greeter_pb.ts";
import { grpcWebProtocol } from "../../src/protocol/grpc-web.ts";
import { decodeStatus } from "../../src/wire/grpc/status.ts";
import { frame } from "../../src/wire/grpc/frame.ts";
import { framesOf } from "./frames.ts";
import { webWorld, type WebWorld } from "./web-world.ts";

const origin = "https://app.example.com";
let world: WebWorld;
beforeAll(async () => {
  world = await webWorld({ cors: { origins: [origin] } });
});
afterAll(() => world[Symbol.asyncDispose]());

interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Buffer;
}

async function post(path: string, body: Uint8Array, headers: Record<string, string> = {}): Promise<Answer> {
  const all = { "content-type": "application/grpc-web+json", ...headers };
  const answer = await fetch(`${world.url}${path}`, { method: "POST", body: new Uint8Array(body), headers: all });
  return { status: answer.status, headers: answer.headers, body: Buffer.from(await answer.arrayBuffer()) };
}

const json = (...messages: object[]): Buffer =>
  Buffer.concat(messages.map((each) => frame(Buffer.from(JSON.stringify(each)))));

/** The trailers that the last frame of an answer carries. */
function trailersOf(answer: Answer): Record<string, string> {
  const [flags, text] = framesOf(answer.body).at(-1) ?? [0, ""];
  expect(flags).toBe(0x80);
  return Object.fromEntries(
    text
      .split("\r\n")
      .filter((line) => line !== "")
      .map((line) => line.split(/: (.*)/s).slice(0, 2)),
  );
}

it("answers with the message and the trailers as frames", async () => {
  const answer = await post("/greeter.Greeter/Hello", json({ name: "Ada" }), { "x-grpc-web": "1" });
  expect([answer.status, answer.headers.get("content-type")]).toEqual([200, "application/grpc-web+json"]);
  expect(framesOf(answer.body)).toEqual([
    [0, '{"msg":"Hello Ada"}\n'],
    [0x80, "grpc-status: 0\r\n"],
  ]);
});

it.each(["application/grpc-web", "application/grpc-web+proto"])("speaks protobuf as %s", async (type) => {
  const { input, output } = Greeter.method.hello;
  const request = toBinary(input, create(input, { name: "Ada" }));
  const answer = await post("/greeter.Greeter/Hello", frame(request), { "content-type": type });
  const length = answer.body.readUInt32BE(1);
  expect(fromBinary(output, answer.body.subarray(5, 5 + length)).msg).toBe("Hello Ada");
  expect(answer.headers.get("content-type")).toBe("application/grpc-web+proto");
});

it("speaks base64, whose pieces are padded one by one", async () => {
  const bytes = json({ text: "a" }, { text: "b" });
  const pieces = [bytes.subarray(0, 4), bytes.subarray(4, 9), bytes.subarray(9)].map((each) => each.toString("base64"));
  const answer = await post("/Greeter/Chat", Buffer.from(pieces.join("")), {
    "content-type": "application/grpc-web-text+json",
  });
  expect(answer.headers.get("content-type")).toBe("application/grpc-web-text+json");
  const decoded = Buffer.concat(
    (answer.body.toString().match(/[^=]+=*/g) ?? []).map((each) => Buffer.from(each, "base64")),
  );
  expect(framesOf(decoded).map(([flags, text]) => [flags, text.trim()])).toEqual([
    [0, '{"text":"re: a"}'],
    [0, '{"text":"re: b"}'],
    [0x80, "grpc-status: 0"],
  ]);
});

it("reads messages one by one as a stream of the same path", async () => {
  const answer = await post("/Plain/Count", json({ to: 3 }));
  expect(framesOf(answer.body).map(([, text]) => text.trim())).toEqual([
    '{"n":1}',
    '{"n":2}',
    '{"n":3}',
    "grpc-status: 0",
  ]);
});

it("tells an error with the words for people, and Go Micro's error in the details", async () => {
  const trailers = trailersOf(await post("/Greeter/Fail", json({ kind: "notfound", detail: "no 100% user: ü" })));
  expect(trailers).toMatchObject({ "grpc-status": "5", "grpc-message": "no 100%25 user: %C3%BC", "x-cost": "4" });
  expect(decodeStatus(trailers)).toMatchObject({
    id: "greeter",
    code: "NOT_FOUND",
    status: 404,
    detail: "no 100% user: ü",
  });
});

it("tells metadata of the reply, which no handler can break out of", async () => {
  const answer = await post("/Greeter/Echo", json({ note: "trailer a\r\nx-evil: 1" }));
  expect(answer.headers.get("x-seen")).toBe("yes");
  expect(trailersOf(answer)).toMatchObject({ "grpc-status": "3", "x-cost": "3" });
  expect(Object.keys(trailersOf(answer)).filter((name) => /note|evil/.test(name))).toEqual([]);
});

it.each<[string, string, Buffer, Record<string, string>, string]>([
  ["an endpoint that is not there", "/Greeter/Bye", json({}), {}, "12"],
  ["no message", "/Greeter/Hello", Buffer.alloc(0), {}, "3"],
  ["two messages", "/Greeter/Hello", json({}, {}), {}, "3"],
  ["a message that is none", "/Greeter/Hello", frame(Buffer.from("{")), {}, "3"],
  ["half a message", "/Greeter/Hello", json({ name: "Ada" }).subarray(0, 9), {}, "3"],
  ["trailers of the client", "/Greeter/Hello", frame(Buffer.from("a: b"), 0x80), {}, "13"],
  ["a timeout that is none", "/Greeter/Hello", json({}), { "grpc-timeout": "1s" }, "3"],
  ["an encoding we lack", "/Greeter/Hello", json({}), { "grpc-encoding": "br" }, "12"],
  ["gzip that is none", "/Greeter/Hello", frame(Buffer.from("{}"), 1), { "grpc-encoding": "gzip" }, "13"],
  ["a message too long", "/Greeter/Hello", Buffer.from([0, 0xff, 0xff, 0xff, 0xff]), {}, "8"],
  [
    "gzip of one too long",
    "/Greeter/Hello",
    frame(gzipSync(Buffer.alloc(5 << 20)), 1),
    { "grpc-encoding": "gzip" },
    "8",
  ],
  ["its deadline", "/Greeter/Slow", json({}), { "grpc-timeout": "20m" }, "4"],
])("fails for %s", async (_, path, body, headers, status) => {
  const answer = await post(path, body, headers);
  expect([answer.status, trailersOf(answer)["grpc-status"]]).toEqual([200, status]);
});

it("fails for base64 that is none", async () => {
  const answer = await post("/Greeter/Hello", Buffer.from("###="), {
    "content-type": "application/grpc-web-text+json",
  });
  const decoded = { ...answer, body: Buffer.from(answer.body.toString(), "base64") };
  expect(trailersOf(decoded)["grpc-status"]).toBe("3");
});

it("does not know other messages than JSON and protobuf", async () => {
  expect((await post("/Greeter/Hello", json({}), { "content-type": "application/grpc-web+cbor" })).status).toBe(501);
});

describe("a page", () => {
  const preflight = (from: string): Promise<Response> =>
    fetch(`${world.url}/greeter.Greeter/Hello`, {
      method: "OPTIONS",
      headers: {
        origin: from,
        "access-control-request-method": "POST",
        "access-control-request-headers": "content-type,grpc-timeout,x-grpc-web",
      },
    });

  it("of a listed origin is let in, and reads all headers", async () => {
    const asked = await preflight(origin);
    expect([asked.status, asked.headers.get("access-control-allow-origin")]).toEqual([204, origin]);
    expect(asked.headers.get("access-control-allow-headers")).toBe("content-type,grpc-timeout,x-grpc-web");
    const { status, headers } = await post("/Greeter/Echo", json({}), { origin, "sec-fetch-site": "cross-site" });
    expect([status, headers.get("access-control-allow-origin")]).toEqual([200, origin]);
    expect(headers.get("access-control-expose-headers")).toBe("x-seen, grpc-accept-encoding");
  });

  it("of another is not", async () => {
    const other = "https://evil.example";
    expect((await preflight(other)).status).toBe(404);
    const { requests } = world.engine.stats;
    expect((await post("/Greeter/Hello", json({}), { origin: other })).status).toBe(403);
    expect((await post("/Greeter/Hello", json({}), { "sec-fetch-site": "same-origin" })).status).toBe(403);
    expect(world.engine.stats.requests).toBe(requests);
  });
});

it("is for callers of another kind: it does not dial", () => {
  expect(() => grpcWebProtocol().dial({ id: "a", address: "127.0.0.1:1", metadata: {} })).toThrow(
    /nodes are called by mucp/,
  );
});
