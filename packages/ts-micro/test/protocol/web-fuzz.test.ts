import fc from "fast-check";
import { beforeAll, beforeEach, expect, it } from "vitest";
import { Cancellation } from "../../src/context.ts";
import { errors, isMicroError } from "../../src/errors.ts";
import { connectProtocol } from "../../src/protocol/connect.ts";
import { grpcWebProtocol } from "../../src/protocol/grpc-web.ts";
import { acceptsGzip } from "../../src/wire/grpc/gzip.ts";
import { targetOf } from "../../src/wire/grpc/path.ts";
import type { HttpExchange, HttpRoute } from "../../src/server.ts";
import { frame } from "../../src/wire/grpc/frame.ts";
import { Greeter } from "./greeter.ts";
import { framesOf } from "./frames.ts";

/** An exchange without a socket, for many requests in little time. It knows what may be done with one. */
class Exchange implements HttpExchange {
  readonly local = "l:1";
  readonly remote = "r:1";
  readonly cancellation: Cancellation = new Cancellation();
  readonly method: string;
  readonly path: string;
  readonly query: string;
  readonly headers: Record<string, string>;
  readonly #chunks: Uint8Array[];
  status = 0;
  answer: Record<string, string> = {};
  ended = false;
  readonly out: Uint8Array[] = [];

  constructor(of: {
    method: string;
    path: string;
    query?: string;
    headers: Record<string, string>;
    chunks: Uint8Array[];
  }) {
    this.method = of.method;
    this.path = of.path;
    this.query = of.query ?? "";
    this.headers = Object.assign(Object.create(null), of.headers) as Record<string, string>;
    this.#chunks = of.chunks;
  }

  async read(): Promise<Uint8Array | undefined> {
    return this.#chunks.shift();
  }

  async readAll(limit: number): Promise<Uint8Array> {
    const all = Buffer.concat(this.#chunks.splice(0));
    if (all.length > limit) throw errors.payloadTooLarge("test", "too large");
    return all;
  }

  head(status: number, headers: Readonly<Record<string, string>>): void {
    if (this.status !== 0) throw new Error("the answer has begun already");
    this.status = status;
    this.answer = { ...headers };
  }

  async write(chunk: Uint8Array): Promise<void> {
    this.#open();
    this.out.push(chunk);
  }

  end(chunk?: Uint8Array): void {
    this.#open();
    this.ended = true;
    if (chunk !== undefined) this.out.push(chunk);
  }

  abort(): void {
    throw new Error("nothing here is cut off");
  }

  #open(): void {
    if (this.status === 0 || this.ended) throw new Error("no answer is under way");
  }
}

let routes: HttpRoute[];
beforeAll(async () => {
  const greeter = await Greeter.create();
  const limits = { maxMessageSize: 4096 };
  routes = [connectProtocol(limits), grpcWebProtocol(limits)].flatMap((each) => each.routes?.(greeter) ?? []);
});

const chunks = fc.array(
  fc.oneof(
    fc.uint8Array(),
    fc.constantFrom("{}", '{"name":"Ada"}', '{"count":2}', '{"text":"a"}', "[").map((text) => frame(Buffer.from(text))),
    fc
      .record({ flags: fc.nat(255), body: fc.uint8Array({ maxLength: 20 }) })
      .map(({ flags, body }) => frame(body, flags)),
    fc.nat(2 ** 32 - 1).map((length) => {
      const prefix = Buffer.alloc(5);
      prefix.writeUInt32BE(length, 1);
      return prefix;
    }),
  ),
  { maxLength: 6 },
);
const method = fc.constantFrom("Hello", "Stream", "Chat", "Collect", "Fail", "Nothing", "Kinds", "Bye");
const headers = fc.record(
  {
    "connect-timeout-ms": fc.oneof(fc.string(), fc.constant("1000")),
    "connect-protocol-version": fc.constantFrom("1", "2", ""),
    "connect-content-encoding": fc.constantFrom("gzip", "identity", "br", ""),
    "connect-accept-encoding": fc.oneof(fc.string(), fc.constant("gzip")),
    "content-encoding": fc.constantFrom("gzip", "identity", "br"),
    "grpc-encoding": fc.constantFrom("gzip", "identity", "br"),
    "grpc-timeout": fc.oneof(fc.string(), fc.constant("1S")),
    "accept-encoding": fc.oneof(fc.string(), fc.constant("gzip")),
    "x-any": fc.string({ unit: "binary" }),
  },
  { requiredKeys: [] },
);

let answers = 0;
beforeEach(() => {
  answers = 0;
});

/** Gives a request to its route, and looks whether it was answered as an answer has to be. */
async function answered(exchange: Exchange): Promise<void> {
  const route = routes.find(({ match }) => match(exchange.method, exchange.path, exchange.headers));
  expect(route !== undefined || exchange.method === "GET" || exchange.path.endsWith("Bye")).toBe(true);
  if (route === undefined) return;
  await route.handle(exchange).catch((error: unknown) => {
    expect(isMicroError(error)).toBe(true);
    expect(exchange.status).toBe(0);
    exchange.status = -1;
  });
  if (exchange.status === -1) return;
  answers++;
  expect([exchange.status, exchange.ended]).toEqual([expect.any(Number), true]);
  const body = Buffer.concat(exchange.out);
  const type = exchange.answer["content-type"] ?? "";
  if (/connect\+|grpc-web\+/.test(type)) {
    const ends = framesOf(body).map(([flags]) => flags & 0x82);
    expect(ends.filter((flag) => flag !== 0)).toHaveLength(1);
    expect(ends.at(-1)).not.toBe(0);
  } else if (exchange.status !== 200 && exchange.answer["content-encoding"] === undefined)
    expect(JSON.parse(body.toString())).toHaveProperty("code");
}

it("whatever a body holds and however it is cut, one whole answer comes", async () => {
  const type = fc.constantFrom(
    "application/json",
    "application/proto",
    "application/connect+json",
    "application/connect+proto",
    "application/grpc-web",
    "application/grpc-web+json",
    "application/grpc-web-text",
    "application/grpc-web-text+json",
    "text/plain",
  );
  await fc.assert(
    fc.asyncProperty(type, method, headers, chunks, (contentType, name, more, body) => {
      const all = { ...more, "content-type": contentType } as Record<string, string>;
      return answered(
        new Exchange({ method: "POST", path: `/greeter.Greeter/${name}`, headers: all, chunks: [...body] }),
      );
    }),
    { numRuns: 3000 },
  );
  expect(answers).toBeGreaterThan(2000);
}, 120_000);

it("whatever a query holds, one whole answer comes", async () => {
  const query = fc.oneof(
    fc.string(),
    fc
      .record({ message: fc.string({ unit: "binary" }), encoding: fc.constantFrom("json", "proto") })
      .map((all) => new URLSearchParams(all).toString()),
  );
  await fc.assert(
    fc.asyncProperty(query, method, headers, (text, name, more) =>
      answered(
        new Exchange({
          method: "GET",
          path: `/Greeter/${name}`,
          query: text,
          headers: more,
          chunks: [],
        }),
      ),
    ),
    { numRuns: 500 },
  );
  expect(answers).toBeGreaterThan(100);
}, 60_000);

it("paths name an endpoint by their last two parts, as in gRPC", () => {
  expect(targetOf("/a.b.Greeter/Hello")).toEqual({ service: "a.b", endpoint: "Greeter.Hello" });
  expect(targetOf("/Greeter/Hello")).toEqual({ service: "", endpoint: "Greeter.Hello" });
  for (const other of ["", "/", "/a", "/a/b/c", "a/b", "/greeter/Greeter.Hello", "/a//b", "/a./b"])
    expect(targetOf(other)).toBeUndefined();
});

it("gzip is accepted where a list of encodings says so", () => {
  expect(["gzip", "br, gzip", "GZIP;q=1", "gzip ; q=0.1"].map(acceptsGzip)).toEqual([true, true, true, true]);
  expect([undefined, "", "br", "gzip;q=0", "gzip; q=0.00", "x-gzip", "gzipped"].map(acceptsGzip)).not.toContain(true);
});
