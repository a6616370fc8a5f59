/** @grpc/grpc-js both ways: another gRPC, with no Go Micro in it. */
import { readFileSync } from "node:fs";
import * as grpcJs from "@grpc/grpc-js";
import { create, fromBinary, toBinary, type DescMessage, type DescMethod, type Message } from "@bufbuild/protobuf";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Greeter } from "../../../../interop/proto/gen/greeter_pb.ts";
import { eventually, within } from "../../src/testing/suite.ts";
import { clientOf, greeter, type Ours } from "./grpc-world.ts";

const pem = (name: string): Buffer => readFileSync(new URL(`../fixtures/tls/${name}.pem`, import.meta.url));

/** A service definition as grpc-js wants it; `package` of the path is anything. */
function definition(path: string): grpcJs.ServiceDefinition {
  const codec = (desc: DescMessage) => ({
    to: (value: object): Buffer => Buffer.from(toBinary(desc, create(desc, value as never))),
    from: (bytes: Buffer): Message => fromBinary(desc, bytes),
  });
  return Object.fromEntries(
    Greeter.methods.map((method: DescMethod) => {
      const [input, output] = [codec(method.input), codec(method.output)];
      return [
        method.localName,
        {
          path: `/${path}/${method.name}`,
          requestStream: method.methodKind === "client_streaming" || method.methodKind === "bidi_streaming",
          responseStream: method.methodKind === "server_streaming" || method.methodKind === "bidi_streaming",
          ...{ requestSerialize: input.to, requestDeserialize: input.from },
          ...{ responseSerialize: output.to, responseDeserialize: output.from },
        },
      ];
    }),
  );
}

type Stub = grpcJs.Client & { readonly [method in keyof typeof Greeter.method]: (...args: unknown[]) => unknown };

function stubOf(address: string, credentials = grpcJs.credentials.createInsecure(), options: object = {}): Stub {
  const Client = grpcJs.makeGenericClientConstructor(definition("helloworld.v1.Greeter"), "Greeter");
  return new Client(address, credentials, options) as unknown as Stub;
}

function call(
  stub: Stub,
  method: keyof typeof Greeter.method,
  request: object,
  metadata = new grpcJs.Metadata(),
  options: object = {},
): Promise<never> {
  return new Promise((resolve, reject) => {
    stub[method](request, metadata, options, (error: unknown, value: never) =>
      error ? reject(error) : resolve(value),
    );
  });
}

describe("grpc-js calls a service of ours", () => {
  let ours: Ours;
  let stub: Stub;
  beforeAll(async () => {
    ours = await greeter();
    stub = stubOf(ours.address);
  });
  afterAll(async () => {
    stub?.close();
    await ours?.[Symbol.asyncDispose]();
  });

  it("unary, with metadata, each of many at once with its own reply", async () => {
    const metadata = new grpcJs.Metadata();
    metadata.set("x-user", "ann");
    metadata.add("x-many", "a");
    metadata.add("x-many", "b");
    metadata.set("key-bin", Buffer.from([0, 255]));
    expect(await call(stub, "hello", { name: "John" }, metadata)).toMatchObject({ msg: "Hello John" });
    const got = ours.seen.at(-1)?.metadata;
    expect([got?.get("X-User"), got?.get("x-many"), got?.get("key-bin")]).toEqual(["ann", "a, b", "AP8="]);
    const replies = Array.from({ length: 500 }, (_, i) => call(stub, "hello", { name: `n${i}` }));
    expect((await Promise.all(replies)).map(({ msg }) => msg)).toEqual(
      Array.from({ length: 500 }, (_, i) => `Hello n${i}`),
    );
  });

  it("errors have code, message and details; what is not there is UNIMPLEMENTED", async () => {
    await expect(call(stub, "fail", { kind: "conflict", detail: "é sold" })).rejects.toMatchObject({
      code: grpcJs.status.ALREADY_EXISTS,
      details: '{"id":"greeter","code":409,"detail":"é sold","status":"Conflict"}',
    });
    await expect(call(stub, "fail", { kind: "?", detail: "boom" })).rejects.toMatchObject({
      code: grpcJs.status.INTERNAL,
    });
    const Other = grpcJs.makeGenericClientConstructor(definition("x.Nope"), "Nope");
    const other = new Other(ours.address, grpcJs.credentials.createInsecure()) as unknown as Stub;
    await expect(call(other, "hello", {})).rejects.toMatchObject({
      code: grpcJs.status.UNIMPLEMENTED,
      details: "unknown service Nope.Hello",
    });
    other.close();
  });

  it.each<[string, keyof typeof Greeter.method, object]>([
    ["a unary call", "echo", { note: "n" }],
    ["a stream", "stream", { count: 1n }],
    ["an error before any reply", "fail", { kind: "conflict", detail: "sold" }],
  ])("what a handler adds to its reply comes as headers and trailers: %s", async (_, method, request) => {
    const under = stub[method](request, () => {}) as grpcJs.ClientReadableStream<object>;
    let head = new grpcJs.Metadata();
    under.on("metadata", (metadata) => (head = metadata)).on("error", () => {});
    if (method === "stream") under.resume();
    const { metadata } = await within(
      new Promise<grpcJs.StatusObject>((resolve) => under.once("status", resolve)),
      "the status",
    );
    expect(head.get("x-seen")).toEqual(["zoe"]);
    expect([metadata.get("x-cost"), metadata.get("key-bin")]).toEqual([["3"], [Buffer.from([0, 255])]]);
    expect(head.get("no token")).toEqual([]);
  });

  it("a deadline and a cancellation reach the handler", async () => {
    const late = { deadline: Date.now() + 200 };
    await expect(call(stub, "slow", { ms: 1n }, undefined, late)).rejects.toMatchObject({
      code: grpcJs.status.DEADLINE_EXCEEDED,
    });
    await eventually(() => ours.cancelled.length === 1, "the handler is cancelled at the deadline");
    const running = ours.seen.length;
    const left = stub.slow({ ms: 1n }, () => {}) as grpcJs.ClientUnaryCall;
    await eventually(() => ours.seen.length > running, "the second call arrives");
    left.cancel();
    await eventually(() => ours.cancelled.length === 2, "the handler is cancelled");
    expect(ours.cancelled[1]).toMatchObject({ code: "CANCELLED" });
  });

  it("streams of every kind", async () => {
    const got: bigint[] = [];
    const stream = stub.stream({ count: 1000n, size: 10n }) as grpcJs.ClientReadableStream<{ n: bigint }>;
    for await (const { n } of stream) got.push(n);
    expect(got).toEqual(Array.from({ length: 1000 }, (_, n) => BigInt(n)));
    const answer = new Promise<{ count: bigint; last: string }>((resolve, reject) => {
      const collect = stub.collect((error: unknown, value: never) =>
        error ? reject(error) : resolve(value),
      ) as grpcJs.ClientWritableStream<object>;
      for (const text of ["a", "b", "c"]) collect.write({ text });
      collect.end();
    });
    expect(await answer).toMatchObject({ count: 3n, last: "c" });
    const chat = stub.chat() as grpcJs.ClientDuplexStream<object, { text: string }>;
    const replies = chat[Symbol.asyncIterator]();
    for (let n = 0; n < 20; n++) {
      chat.write({ text: `m${n}` });
      expect((await replies.next()).value).toMatchObject({ text: `re: m${n}` });
    }
    chat.end();
    expect(await replies.next()).toMatchObject({ done: true });
  });

  it("gzip requests have gzip replies", async () => {
    const packing = stubOf(ours.address, undefined, { "grpc.default_compression_algorithm": 2 });
    const data = Buffer.alloc(100_000, "abc");
    const reply = (await call(packing, "big", { data })) as { data: Uint8Array };
    expect(Buffer.from(reply.data).equals(data)).toBe(true);
    packing.close();
  });

  it("messages above the limit are RESOURCE_EXHAUSTED, either way, and the connection goes on", async () => {
    const wide = stubOf(ours.address, undefined, {
      "grpc.max_send_message_length": -1,
      "grpc.max_receive_message_length": -1,
    });
    await expect(call(wide, "big", { data: new Uint8Array(5 << 20) })).rejects.toMatchObject({
      code: grpcJs.status.RESOURCE_EXHAUSTED,
    });
    await expect(call(wide, "big", { want: BigInt(5 << 20) })).rejects.toMatchObject({
      code: grpcJs.status.RESOURCE_EXHAUSTED,
    });
    expect(await call(wide, "hello", { name: "after" })).toMatchObject({ msg: "Hello after" });
    wide.close();
  });

  it("TLS, and mTLS", async () => {
    const [cert, key, ca] = [pem("server"), pem("server-key"), pem("ca")];
    await using secure = await greeter({ tls: { cert, key } });
    const trusting = stubOf(secure.address, grpcJs.credentials.createSsl(ca));
    expect(await call(trusting, "hello", { name: "tls" })).toMatchObject({ msg: "Hello tls" });
    trusting.close();
    await using mutual = await greeter({ tls: { cert, key, ca, requestCert: true, rejectUnauthorized: true } });
    const known = stubOf(mutual.address, grpcJs.credentials.createSsl(ca, key, cert));
    expect(await call(known, "hello", { name: "mtls" })).toMatchObject({ msg: "Hello mtls" });
    known.close();
    const nobody = stubOf(mutual.address, grpcJs.credentials.createSsl(ca));
    await expect(call(nobody, "hello", { name: "x" })).rejects.toMatchObject({ code: grpcJs.status.UNAVAILABLE });
    nobody.close();
  });
});

describe("clients of ours call a grpc-js server", () => {
  let server: grpcJs.Server;
  let address: string;
  const cancelled: string[] = [];
  beforeAll(async () => {
    server = new grpcJs.Server();
    server.addService(definition("greeter.Greeter"), {
      hello: (one: { request: { name: string }; metadata: grpcJs.Metadata }, reply: Function) =>
        reply(null, { msg: `Hello ${one.request.name} ${one.metadata.get("x-user").join()}` }),
      fail: (_: unknown, reply: Function) => reply({ code: grpcJs.status.FAILED_PRECONDITION, details: "not now: é" }),
      slow: (one: grpcJs.ServerUnaryCall<unknown, unknown>) => void one.on("cancelled", () => cancelled.push("slow")),
      big: (one: { request: object }, reply: Function) => reply(null, one.request, undefined, 0),
      stream: (one: grpcJs.ServerWritableStream<{ count: bigint }, object>) => {
        for (let n = 0n; n < one.request.count; n++) one.write({ n });
        one.end();
      },
      chat: (one: grpcJs.ServerDuplexStream<{ text: string }, object>) => {
        one.on("data", ({ text }: { text: string }) => one.write({ text: `re: ${text}` }));
        one.on("end", () => one.end());
      },
      collect: (one: grpcJs.ServerReadableStream<object, object>, reply: Function) => {
        let count = 0n;
        one.on("data", () => count++);
        one.on("end", () => reply(null, { count }));
      },
    });
    const port = await new Promise<number>((resolve, reject) =>
      server.bindAsync("127.0.0.1:0", grpcJs.ServerCredentials.createInsecure(), (error, bound) =>
        error ? reject(error) : resolve(bound),
      ),
    );
    address = `127.0.0.1:${port}`;
  });
  afterAll(() => server?.forceShutdown());

  it("unary with metadata and gzip, errors, deadlines, cancellation", async () => {
    await using client = clientOf(address);
    const stub = client.service("greeter", Greeter);
    expect(await stub.hello({ name: "Ann" }, { metadata: { "X-User": "u" } })).toMatchObject({ msg: "Hello Ann u" });
    await expect(stub.fail({})).rejects.toMatchObject({ code: "INVALID_STATE", status: 412, detail: "not now: é" });
    await expect(stub.kinds({})).rejects.toMatchObject({ code: "NOT_FOUND" });
    await expect(stub.slow({}, { timeout: "200ms" })).rejects.toMatchObject({ code: "TIMEOUT" });
    await eventually(() => cancelled.length === 1, "grpc-js hears of it");
  });

  it("streams of every kind", async () => {
    await using client = clientOf(address);
    const stub = client.service("greeter", Greeter);
    const got: bigint[] = [];
    for await (const { n } of stub.stream({ count: 500n })) got.push(n);
    expect(got).toHaveLength(500);
    const said = (async function* () {
      for (const text of ["a", "b"]) yield { text };
    })();
    expect(await within(stub.collect(said), "the answer")).toMatchObject({ count: 2n });
    const chat = stub.chat();
    const replies = chat[Symbol.asyncIterator]();
    for (let n = 0; n < 10; n++) {
      await chat.send({ text: `m${n}` });
      expect((await within(replies.next(), "a reply")).value).toMatchObject({ text: `re: m${n}` });
    }
    chat.end();
    expect(await within(replies.next(), "the end")).toMatchObject({ done: true });
  });
});
