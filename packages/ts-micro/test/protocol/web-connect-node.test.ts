import { create } from "@bufbuild/protobuf";
import { MethodOptions_IdempotencyLevel } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, createClient, type Client, type Transport } from "@connectrpc/connect";
import { compressionGzip, createConnectTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { AllKindsSchema, Greeter } from "../../../../interop/proto/gen/greeter_pb.ts";
import { webWorld, type WebWorld } from "./web-world.ts";

let world: WebWorld;
beforeAll(async () => {
  world = await webWorld({ maxMessageSize: 512 << 10 });
});
afterAll(() => world[Symbol.asyncDispose]());

type Make = (options: {
  useBinaryFormat: boolean;
  httpVersion: "1.1" | "2";
  baseUrl: string;
  zip: boolean;
}) => Transport;
const zipped = (zip: boolean): object => (zip ? { sendCompression: compressionGzip, compressMinBytes: 0 } : {});
const connect: Make = ({ zip, ...options }) => createConnectTransport({ ...options, ...zipped(zip) });
const grpcWeb: Make = ({ zip, ...options }) => createGrpcWebTransport({ ...options, ...zipped(zip) });

const ways = [
  { protocol: "connect", make: connect },
  { protocol: "gRPC-Web", make: grpcWeb },
].flatMap(({ protocol, make }) =>
  (["1.1", "2"] as const).flatMap((httpVersion) =>
    [true, false].map((useBinaryFormat) => ({
      name: `${protocol} ${useBinaryFormat ? "protobuf" : "JSON"} on HTTP/${httpVersion}`,
      make,
      httpVersion,
      useBinaryFormat,
    })),
  ),
);

async function all<T>(messages: AsyncIterable<T>): Promise<T[]> {
  const out: T[] = [];
  for await (const message of messages) out.push(message);
  return out;
}

async function failure(promise: Promise<unknown>): Promise<ConnectError> {
  return promise.then(
    () => {
      throw new Error("it did not fail");
    },
    (error: unknown) => ConnectError.from(error),
  );
}

describe.each(ways)("connect-node, $name", ({ make, httpVersion, useBinaryFormat }) => {
  let client: Client<typeof Greeter>;
  let zipping: Client<typeof Greeter>;
  beforeAll(() => {
    const options = { useBinaryFormat, httpVersion, baseUrl: world.url };
    client = createClient(Greeter, make({ ...options, zip: false }));
    zipping = createClient(Greeter, make({ ...options, zip: true }));
  });

  it("calls", async () => {
    expect((await client.hello({ name: "Ada" })).msg).toBe("Hello Ada");
    expect(await client.nothing({})).toMatchObject({ $typeName: "greeter.Empty" });
  });

  it("sends and gets every kind of field", async () => {
    const all = create(AllKindsSchema, {
      firstName: "Ä",
      bigNumber: -(2n ** 62n),
      bigUnsigned: 2n ** 63n,
      ratio: 0.1,
      rawData: new Uint8Array([0, 255]),
      choice: { case: "choiceNumber", value: 7n },
      countsByKey: { a: 1n },
      maybeZero: 0,
    });
    expect(await client.kinds(all)).toEqual(all);
  });

  it("sends metadata and gets that of the reply, before and behind it", async () => {
    let header: Headers | undefined;
    let trailer: Headers | undefined;
    const reply = await client.echo(
      { note: "n" },
      { headers: { "X-Tenant": "acme" }, onHeader: (all) => (header = all), onTrailer: (all) => (trailer = all) },
    );
    expect(reply.metadata).toMatchObject({ "X-Tenant": "acme" });
    expect(Object.keys(reply.metadata).filter((name) => /^(Connect|Grpc|Content-Length|Te)/.test(name))).toEqual([]);
    expect([header?.get("x-seen"), trailer?.get("x-cost")]).toEqual(["yes", "3"]);
  });

  it("gets an error with its code, its text, its details and the metadata that goes with it", async () => {
    const error = await failure(client.fail({ kind: "notfound", detail: "no 100% user – ü" }));
    expect([error.code, error.rawMessage]).toEqual([Code.NotFound, "no 100% user – ü"]);
    expect(error.metadata.get("x-cost")).toBe("4");
    const [detail] = error.details as { type: string; value: Uint8Array }[];
    expect(detail?.type).toBe("errors.Error");
    expect(Buffer.from(detail?.value ?? []).toString()).toContain("greeter");
    expect((await failure(client.fail({ kind: "custom", detail: "odd", code: 418 }))).code).toBe(Code.Unknown);
    expect((await failure(client.fail({ kind: "plain", detail: "bug" }))).code).toBe(Code.Internal);
  });

  it("reads a server stream to its end, and to its error", async () => {
    const messages = await all(client.stream({ count: 3n }));
    expect(messages.map(({ n }) => n)).toEqual([0n, 1n, 2n]);
    let trailer: Headers | undefined;
    const seen: bigint[] = [];
    const error = await failure(
      (async () => {
        for await (const { n } of client.stream(
          { count: 2n, failWith: "half way" },
          { onTrailer: (found) => (trailer = found) },
        ))
          seen.push(n);
      })(),
    );
    expect([error.code, error.rawMessage, seen]).toEqual([Code.AlreadyExists, "half way", [0n, 1n]]);
    expect(trailer?.get("x-cost") ?? error.metadata.get("x-cost")).toBe("5");
  });

  it("sends a stream", async () => {
    const reply = await client.collect(some("a", "b", "c"));
    expect(reply).toMatchObject({ count: 3n, last: "c" });
  });

  it("streams both ways", async () => {
    expect((await all(client.chat(some("a", "b")))).map(({ text }) => text)).toEqual(["re: a", "re: b"]);
  });

  it.runIf(httpVersion === "2")("streams both ways in turns, which takes HTTP/2", async () => {
    let answered = (): void => {};
    const replies = client.chat(
      (async function* () {
        for (const text of ["a", "b", "c"]) {
          const reply = new Promise<void>((resolve) => (answered = resolve));
          yield { text };
          await reply;
        }
      })(),
    );
    const seen: string[] = [];
    for await (const { text } of replies) {
      seen.push(text);
      answered();
    }
    expect(seen).toEqual(["re: a", "re: b", "re: c"]);
  });

  it("compresses in both directions", async () => {
    const reply = await zipping.big({ data: new Uint8Array(100_000), want: 200_000n });
    expect([reply.data.length, reply.want]).toEqual([200_000, 100_000n]);
    const messages = await all(zipping.stream({ count: 2n, size: 50_000n }));
    expect(messages.map(({ pad }) => pad.length)).toEqual([50_000, 50_000]);
    expect(await zipping.collect(some("x".repeat(9000), "y"))).toMatchObject({ count: 2n, last: "y" });
  });

  it("is told of a deadline that has passed, and so is the handler", async () => {
    world.cancelled.length = 0;
    const error = await failure(client.slow({}, { timeoutMs: 150 }));
    expect(error.code).toBe(Code.DeadlineExceeded);
    await expect.poll(() => world.cancelled, { timeout: 10_000 }).toHaveLength(1);
    expect(world.cancelled[0]).toMatch(/^Greeter.Slow (TIMEOUT|CONNECTION_LOST)$/);
  });

  it.each(["slow", "stream"] as const)("cancels the handler of %s when it gives up", async (method) => {
    world.cancelled.length = 0;
    const name = method === "slow" ? "Greeter.Slow" : "Greeter.Stream";
    const running = world.running(name);
    const abort = new AbortController();
    const options = { signal: abort.signal };
    const call = failure(
      method === "slow" ? client.slow({}, options) : all(client.stream({ count: 1n, failWith: "forever" }, options)),
    );
    await running;
    abort.abort();
    expect((await call).code).toBe(Code.Canceled);
    await expect.poll(() => world.cancelled, { timeout: 10_000 }).toEqual([`${name} CONNECTION_LOST`]);
  });

  it("is told that there is no such endpoint", async () => {
    const other = { ...Greeter.method.hello, name: "Bye" };
    const transport = make({ useBinaryFormat, httpVersion, baseUrl: world.url, zip: false });
    const error = await failure(transport.unary(other, undefined, undefined, undefined, {}));
    expect([error.code, error.rawMessage]).toEqual([Code.Unimplemented, "unknown endpoint Greeter.Bye"]);
  });

  it("is told that a message is too long, and that a reply is", async () => {
    const sent = await failure(client.big({ data: new Uint8Array(600 << 10) }));
    expect(sent.code).toBe(Code.ResourceExhausted);
    const asked = await failure(client.big({ want: BigInt(600 << 10) }));
    expect(asked.code).toBe(Code.ResourceExhausted);
    const bomb = await failure(zipping.big({ data: new Uint8Array(600 << 10) }));
    expect(bomb.code).toBe(Code.ResourceExhausted);
  });
});

describe.each(["1.1", "2"] as const)("connect-node, Connect by GET on HTTP/%s", (httpVersion) => {
  const readOnly = MethodOptions_IdempotencyLevel.NO_SIDE_EFFECTS;
  const echo: typeof Greeter.method.echo = { ...Greeter.method.echo, idempotency: readOnly };
  const hello: typeof Greeter.method.hello = { ...Greeter.method.hello, idempotency: readOnly };
  const transport = (useBinaryFormat: boolean, zip: boolean): Transport =>
    createConnectTransport({ useBinaryFormat, httpVersion, baseUrl: world.url, useHttpGet: true, ...zipped(zip) });

  it.each([
    ["protobuf", true, false],
    ["JSON", false, false],
    ["protobuf with gzip", true, true],
    ["JSON with gzip", false, true],
  ])("calls what has no side effects, in %s", async (_, useBinaryFormat, zip) => {
    world.requests.length = 0;
    const note = `ü &=+% ${"x".repeat(2000)}`;
    const reply = await transport(useBinaryFormat, zip).unary(
      echo,
      undefined,
      10_000,
      { "x-tenant": "acme" },
      { note },
    );
    expect(reply.message.note).toBe(note);
    expect(reply.message.metadata).toMatchObject({ "X-Tenant": "acme" });
    expect(world.requests).toEqual(["GET /greeter.Greeter/Echo"]);
  });

  it("does not call what may have some", async () => {
    const error = await failure(transport(true, false).unary(hello, undefined, undefined, undefined, { name: "Ada" }));
    expect(error.rawMessage).toBe("Greeter.Hello is called by POST");
  });
});

async function* some(...texts: string[]): AsyncGenerator<{ text: string }> {
  for (const text of texts) yield { text };
}
