import { gunzipSync, gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { connectProtocol } from "../../src/protocol/connect.ts";
import { frame } from "../../src/wire/grpc/frame.ts";
import { framesOf } from "./frames.ts";
import { webWorld, type WebWorld } from "./web-world.ts";

let world: WebWorld;
beforeAll(async () => {
  world = await webWorld({ maxInFlight: 1 });
});
afterAll(() => world[Symbol.asyncDispose]());

type Answer = { status: number; headers: Headers; body: Buffer; json: unknown };

async function send(path: string, init: RequestInit): Promise<Answer> {
  const answer = await fetch(`${world.url}${path}`, init);
  const body = Buffer.from(await answer.arrayBuffer());
  const json = /json/.test(answer.headers.get("content-type") ?? "") ? tolerant(body) : undefined;
  return { status: answer.status, headers: answer.headers, body, json };
}

function tolerant(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString());
  } catch {
    return undefined;
  }
}

const type = (contentType: string): Record<string, string> => ({ "content-type": contentType });
const post = (
  path: string,
  body: string | Uint8Array<ArrayBuffer>,
  headers: Record<string, string> = type("application/json"),
): Promise<Answer> => send(path, { method: "POST", body, headers });

/** A call with JSON messages as frames, and the frames of its answer. */
async function stream(
  path: string,
  body: Buffer,
  headers: Record<string, string> = {},
): Promise<[status: number, ...frames: [flags: number, body: unknown][]]> {
  const all = { ...type("application/connect+json"), ...headers };
  const answer = await post(path, new Uint8Array(body), all);
  return [
    answer.status,
    ...framesOf(answer.body).map(([flags, text]) => [flags, JSON.parse(text)] as [number, unknown]),
  ];
}

const json = (...messages: object[]): Buffer =>
  Buffer.concat(messages.map((each) => frame(Buffer.from(JSON.stringify(each)))));

describe("a unary call by POST", () => {
  it.each([
    ["/greeter.Greeter/Hello", type("application/json")],
    ["/some.package.Greeter/Hello", type("application/json; charset=utf-8")],
    ["/Greeter/Hello", type("Application/JSON")],
    ["/Plain/Hello", {}],
  ])("reaches %s with %o", async (path, headers) => {
    const { status, json, headers: answer } = await post(path, Buffer.from('{"name":"Ada"}'), headers);
    expect([status, json, answer.get("content-type")]).toEqual([200, { msg: "Hello Ada" }, "application/json"]);
  });

  it("fails with Connect's JSON, and the error of Go Micro in its details", async () => {
    const { status, json } = await post("/Greeter/Fail", '{"kind":"notfound","detail":"no such user"}');
    expect([status, json]).toEqual([
      404,
      {
        code: "not_found",
        message: "no such user",
        details: [
          {
            type: "errors.Error",
            // The bytes of Go (wire spec §4.5).
            value: Buffer.from("0a07677265657465721094031a0c6e6f2073756368207573657222094e6f7420466f756e64", "hex")
              .toString("base64")
              .replaceAll("=", ""),
            debug: { id: "greeter", code: 404, detail: "no such user" },
          },
        ],
      },
    ]);
  });

  it.each<[string, string, Record<string, string>, number, string]>([
    ["JSON that is none", "{", type("application/json"), 400, "invalid_argument"],
    ["protobuf that is none", "{", type("application/proto"), 400, "invalid_argument"],
    [
      "a later version",
      "{}",
      { ...type("application/json"), "connect-protocol-version": "2" },
      400,
      "invalid_argument",
    ],
    [
      "a timeout that is none",
      "{}",
      { ...type("application/json"), "connect-timeout-ms": "1s" },
      400,
      "invalid_argument",
    ],
    ["an encoding we lack", "{}", { ...type("application/json"), "content-encoding": "br" }, 501, "unimplemented"],
    ["gzip that is none", "{}", { ...type("application/json"), "content-encoding": "gzip" }, 400, "invalid_argument"],
    ["a content type of streams", "{}", type("application/connect+json"), 415, "unimplemented"],
    ["a form", "name=Ada", type("application/x-www-form-urlencoded"), 415, "unimplemented"],
  ])("is refused for %s", async (_, body, headers, status, code) => {
    const { requests, failures } = world.engine.stats;
    const answer = await post("/Greeter/Hello", body, headers);
    expect([answer.status, answer.json]).toEqual([status, expect.objectContaining({ code })]);
    expect(world.engine.stats.requests - requests).toBe(world.engine.stats.failures - failures);
  });

  it("knows a stream from a call", async () => {
    const answer = await post("/Plain/Count", '{"to":2}');
    expect([answer.status, answer.json]).toEqual([
      415,
      expect.objectContaining({ message: expect.stringContaining("application/connect+json") as string }),
    ]);
  });

  it("to an endpoint that is not there is ours when it speaks Connect", async () => {
    expect((await post("/Greeter/Bye", "{}")).status).toBe(404);
    const known = { ...type("application/json"), "connect-protocol-version": "1" };
    for (const headers of [known, type("application/proto")]) {
      const { status, json } = await post("/Greeter/Bye", "{}", headers);
      expect([status, json]).toEqual([501, expect.objectContaining({ code: "unimplemented" })]);
    }
  });

  it("gets metadata of the reply as headers, which no handler can break out of", async () => {
    const { status, headers } = await post("/Greeter/Echo", JSON.stringify({ note: "trailer a\r\nx-evil: 1" }));
    const seen = Object.fromEntries([...headers].filter(([name]) => /^(x|trailer|grpc)-/.test(name)));
    expect([status, seen]).toEqual([400, { "x-seen": "yes", "trailer-x-cost": "3" }]);
  });

  it("fails when its handler adds more than every wire carries", async () => {
    const note = `trailer ${"x".repeat(17_000)}`;
    const { status, json, headers } = await post("/Greeter/Echo", JSON.stringify({ note }));
    expect([status, json]).toMatchObject([429, { code: "resource_exhausted" }]);
    expect([headers.get("x-seen"), headers.get("trailer-x-note")]).toEqual(["yes", null]);
  });

  it("gets gzip when it takes it and it is worth it", async () => {
    const call = (accept: string): Promise<Answer> =>
      post("/Plain/Hello", new Uint8Array(gzipSync(JSON.stringify({ name: "A".repeat(3000) }))), {
        ...type("application/json"),
        "content-encoding": "gzip",
        "accept-encoding": accept,
      });
    for (const [accept, encoding] of [
      ["br, gzip;q=0.5", "gzip"],
      ["gzip;q=0", null],
      ["br", null],
    ] as const) {
      const { headers, json } = await call(accept);
      expect([headers.get("content-encoding"), json]).toEqual([encoding, { msg: `Hello ${"A".repeat(3000)}` }]);
    }
    expect(
      (await post("/Plain/Hello", "{}", { ...type("application/json"), "accept-encoding": "gzip" })).headers.get(
        "content-encoding",
      ),
    ).toBeNull();
  });

  it("ends at its deadline", async () => {
    const answer = await post("/Greeter/Slow", "{}", { ...type("application/json"), "connect-timeout-ms": "20" });
    expect([answer.status, answer.json]).toEqual([504, expect.objectContaining({ code: "deadline_exceeded" })]);
  });

  it("that has not run says so", async () => {
    const running = world.running("Greeter.Slow");
    const busy = post("/Greeter/Slow", "{}", { ...type("application/json"), "connect-timeout-ms": "2000" });
    await running;
    const { status, headers } = await post("/Plain/Hello", "{}");
    expect([status, headers.get("micro-refused")]).toEqual([429, "1"]);
    const [, [, end]] = (await stream("/Plain/Count", json({ to: 1 }))) as [number, [number, object]];
    expect(end).toMatchObject({ error: { code: "resource_exhausted" }, metadata: { "micro-refused": ["1"] } });
    await busy;
  });

  it("leaves other paths to others", async () => {
    for (const path of ["/a/b/c", "/Greeter/Hello/", "/"]) expect((await post(path, "{}")).status).toBe(404);
  });
});

describe("a call by GET", () => {
  const get = (query: string, headers: Record<string, string> = {}): Promise<Answer> =>
    send(`/Greeter/Echo?${query}`, { headers });

  it("has its message in the query, as text or base64, plain or zipped", async () => {
    const message = '{"note":"ü &"}';
    const zipped = gzipSync(message).toString("base64url");
    for (const query of [
      `connect=v1&encoding=json&message=${encodeURIComponent(message)}`,
      `encoding=json&base64=1&message=${encodeURIComponent(Buffer.from(message).toString("base64"))}`,
      `connect=v1&encoding=json&base64=1&compression=gzip&message=${zipped}`,
    ])
      expect((await get(query)).json).toMatchObject({ note: "ü &" });
  });

  it.each<[string, string, string]>([
    ["no encoding", "message={}", "unimplemented"],
    ["an encoding we lack", "encoding=xml&message={}", "unimplemented"],
    ["no message", "encoding=json", "invalid_argument"],
    ["another version", "connect=v2&encoding=json&message={}", "invalid_argument"],
    ["base64 that is none", "encoding=json&base64=1&message=%", "invalid_argument"],
    ["a compression we lack", "encoding=json&message={}&compression=br", "unimplemented"],
  ])("is refused for %s", async (_, query, code) => {
    expect((await get(query)).json).toMatchObject({ code });
  });

  it("is kept apart by caches by what its handler names, too", async () => {
    const { headers } = await get(`connect=v1&encoding=json&message=${encodeURIComponent('{"note":"vary"}')}`);
    expect(headers.get("vary")).toBe("x-user, accept-encoding");
  });

  it("is for endpoints without side effects", async () => {
    const { status, headers, json } = await send("/Plain/Hello?connect=v1&encoding=json&message={}", {});
    expect([status, headers.get("allow"), json]).toEqual([
      405,
      "POST",
      { code: "unimplemented", message: "Plain.Hello is called by POST", details: expect.anything() as unknown },
    ]);
  });

  it.each(["same-origin", "none"])("is for pages of the service itself and the address bar (%s)", async (site) => {
    const { status, json } = await get("encoding=json&message={}", { "sec-fetch-site": site });
    expect([status, json]).toEqual([200, expect.objectContaining({ metadata: expect.anything() as unknown })]);
    const other = await send("/Plain/Hello?encoding=json&message={}", { headers: { "sec-fetch-site": site } });
    expect(other.status).toBe(403);
  });

  it("is for no other page: not even for one of a browser that sends no Origin with it", async () => {
    const { status, body } = await get("encoding=json&message={}", { "sec-fetch-site": "cross-site" });
    expect([status, body.toString()]).toEqual([403, expect.stringContaining("application/json")]);
  });
});

describe("a stream", () => {
  it("answers in frames, the last of which says how it ended", async () => {
    expect(await stream("/Plain/Count", json({ to: 2 }))).toEqual([200, [0, { n: 1 }], [0, { n: 2 }], [2, {}]]);
    expect(await stream("/Greeter/Stream", json({ count: "1", failWith: "no more" }))).toEqual([
      200,
      [0, {}],
      [
        2,
        {
          error: expect.objectContaining({ code: "already_exists", message: "no more" }) as object,
          metadata: { "x-cost": ["5"] },
        },
      ],
    ]);
  });

  it("takes and gives zipped messages beside plain ones", async () => {
    const zipped = frame(gzipSync('{"text":"b"}'), 1);
    const answer = await post("/Greeter/Collect", new Uint8Array(Buffer.concat([json({ text: "a" }), zipped])), {
      ...type("application/connect+json"),
      "connect-content-encoding": "gzip",
    });
    expect(framesOf(answer.body)[0]?.[1]).toContain('"count":"2"');
    const large = await post("/Greeter/Stream", new Uint8Array(json({ count: "1", size: "5000" })), {
      ...type("application/connect+json"),
      "connect-accept-encoding": "gzip",
    });
    expect([large.headers.get("connect-content-encoding"), large.body[0]]).toEqual(["gzip", 1]);
    expect(JSON.parse(gunzipSync(large.body.subarray(5, 5 + large.body.readUInt32BE(1))).toString())).toEqual({
      pad: "x".repeat(5000),
    });
  });

  it.each<[string, string, Buffer, Record<string, string>, string]>([
    ["an endpoint that is not there", "/Greeter/Bye", json({}), {}, "unimplemented"],
    ["no request", "/Plain/Count", Buffer.alloc(0), {}, "invalid_argument"],
    ["a body that ends too soon", "/Plain/Count", json({ to: 1 }).subarray(0, 8), {}, "invalid_argument"],
    ["an end frame of the client", "/Plain/Count", frame(Buffer.from("{}"), 2), {}, "internal"],
    ["a zipped message without an encoding", "/Plain/Count", frame(gzipSync("{}"), 1), {}, "internal"],
    ["a message too long", "/Plain/Count", Buffer.from([0, 0xff, 0xff, 0xff, 0xff]), {}, "resource_exhausted"],
    ["an encoding we lack", "/Plain/Count", json({}), { "connect-content-encoding": "br" }, "unimplemented"],
    ["a timeout that is none", "/Plain/Count", json({}), { "connect-timeout-ms": "-1" }, "invalid_argument"],
    [
      "its deadline",
      "/Greeter/Stream",
      json({ failWith: "forever" }),
      { "connect-timeout-ms": "20" },
      "deadline_exceeded",
    ],
  ])("ends with an error for %s", async (_, path, body, headers, code) => {
    const [status, ...frames] = await stream(path, body, headers);
    expect([status, frames]).toEqual([
      200,
      [[2, expect.objectContaining({ error: expect.objectContaining({ code }) as object })]],
    ]);
  });
});

it("a page without permission gets 403, whatever it sends", async () => {
  const { requests } = world.engine.stats;
  for (const headers of [
    { ...type("application/json"), origin: "https://evil.example" },
    { ...type("application/proto"), "sec-fetch-site": "same-origin" },
    { ...type("text/plain"), "sec-fetch-site": "cross-site" },
    { ...type("application/connect+json"), origin: "null" },
  ])
    expect((await post("/Plain/Hello", "{}", headers)).status).toBe(403);
  expect(world.engine.stats.requests).toBe(requests);
});

it("is for callers of another kind: it does not dial", () => {
  expect(() => connectProtocol().dial({ id: "a", address: "127.0.0.1:1", metadata: {} })).toThrow(
    /nodes are called by mucp/,
  );
});
