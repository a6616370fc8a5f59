/** gRPC between ours and Go's grpc clients and servers (wire spec §4, §15 rows 31, 39 to 42; row 70 for TLS). */
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  isMicroError,
  Metadata,
  type Client,
  type Methods,
  type ProtoEndpoints,
} from "../packages/ts-micro/src/index.ts";
import { eventually, within } from "../packages/ts-micro/src/testing/suite.ts";
import { describeGo, goPeer, type GoPeer, goVersions } from "./peer.ts";
import { Greeter } from "./proto/gen/greeter_pb.ts";
import { clientOf, greeter, LIMIT_MS, type OurGreeter } from "./world.ts";

const service = "greeter";
const fixture = (name: string): string =>
  readFileSync(new URL(`../packages/ts-micro/test/fixtures/tls/${name}`, import.meta.url), "utf8");
const [cert, key, ca] = [fixture("server.pem"), fixture("server-key.pem"), fixture("ca.pem")];

describeGo("gRPC: Go clients call services of ours", () => {
  describe.each(goVersions)("%s", (version) => {
    let ours: OurGreeter;
    let go: GoPeer;

    beforeAll(async () => {
      ours = await greeter();
      go = await goPeer({ version, protocol: "grpc" });
      await go.nodes(service, ours.records);
    });
    afterAll(async () => {
      await go?.close();
      await ours?.[Symbol.asyncDispose]();
    });

    test(`row 31 ${version}: a call with Connection in its metadata fails, and the session survives it`, async () => {
      const hello = { service, endpoint: "Greeter.Hello", body: { name: "x" } };
      const { error } = await go.call({ ...hello, metadata: { Connection: "keep-alive" }, retries: 0 });
      expect(error).toMatchObject({ code: 500, detail: expect.stringContaining("PROTOCOL_ERROR") });
      expect(await go.callOk(hello)).toEqual({ msg: "Hello x" });
    });

    test.each([
      "application/grpc+proto",
      "application/grpc",
      "application/protobuf",
      "application/grpc+json",
      "application/json",
    ])(`row 39 ${version}: unary as %s`, async (contentType) => {
      const call = { service, endpoint: "Greeter.Hello", contentType };
      expect(await go.callOk({ ...call, body: { name: "John" } })).toEqual({ msg: "Hello John" });
      expect(await go.callOk({ ...call, endpoint: "Greeter.Nothing", body: {} })).toEqual({});
      const { metadata } = ours.last("Greeter.Hello").ctx;
      expect(metadata.get("user-agent")).toMatch(/^grpc-go\//);
      expect(metadata.has("timeout") || metadata.has("x-content-type") || metadata.has("grpc-timeout")).toBe(false);
    });

    test(`row 39 ${version}: handlers on plain values are called as JSON, on bytes as bytes`, async () => {
      const plain = { service, endpoint: "Plain.Hello", contentType: "application/grpc+json", like: "Plain.Hello" };
      expect(await go.callOk({ ...plain, body: { name: "Ann" } })).toMatchObject({ msg: "Hello Ann" });
      const bytes = Buffer.from([0, 1, 2, 255]);
      const raw = await go.call({ service, endpoint: "Raw.Echo", contentType: "application/grpc+bytes", bytes });
      expect(raw).toMatchObject({ bytes });
    });

    test(`row 39 ${version}: the path's last component counts, whatever the service is called`, async () => {
      await go.nodes(
        "go.micro.srv.greeter",
        ours.records.map((record) => ({ ...record, name: "go.micro.srv.greeter" })),
      );
      const call = { service: "go.micro.srv.greeter", endpoint: "Greeter.Hello", body: { name: "long" } };
      expect(await go.callOk(call)).toEqual({ msg: "Hello long" });
    });

    test(`row 39 ${version}: every kind of field, and two megabytes, both ways`, async () => {
      const kinds = { firstName: "Ann", bigNumber: "9007199254740993", isOn: true, rawData: "AAEC", choiceText: "t" };
      for (const contentType of ["application/grpc+proto", "application/grpc+json"]) {
        expect(await go.callOk({ service, endpoint: "Greeter.Kinds", contentType, body: kinds })).toMatchObject(kinds);
        const big = await go.call({ service, endpoint: "Greeter.Big", contentType, body: { want: 2 << 20 } });
        expect(big.error).toBeUndefined();
      }
    });

    test(`row 40 ${version}: each kind of error has its code in Go, and the process lives`, async () => {
      const fail = (kind: string, code = 0): ReturnType<GoPeer["call"]> =>
        go.call({ service, endpoint: "Greeter.Fail", body: { kind, detail: `é <${kind}> %`, code }, retries: 0 });
      for (const [kind, code] of [
        ["badrequest", 400],
        ["unauthorized", 401],
        ["forbidden", 403],
        ["notfound", 404],
        ["method", 405],
        ["timeout", 408],
        ["conflict", 409],
        ["internal", 500],
      ] as const)
        expect((await fail(kind)).error).toMatchObject({ id: service, code, detail: `é <${kind}> %` });
      expect((await fail("custom", 599)).error).toMatchObject({ id: "greeter.custom", code: 599 });
      expect((await fail("plain")).error).toMatchObject({ id: service, code: 500 });
      expect(
        (await go.call({ service, endpoint: "Greeter.Nope", like: "Greeter.Hello", body: {}, retries: 0 })).error,
      ).toMatchObject({ code: 501, detail: "unknown service Greeter.Nope" });
      expect(await go.callOk({ service, endpoint: "Greeter.Hello", body: { name: "alive" } })).toEqual({
        msg: "Hello alive",
      });
    });

    test(`row 40 ${version}: a detail of a megabyte is cut, and arrives`, async () => {
      const body = { kind: "conflict", detail: "ä".repeat(500_000) };
      const { error } = await go.call({ service, endpoint: "Greeter.Fail", body, retries: 0 });
      expect(error).toMatchObject({ code: 409, detail: expect.stringMatching(/^ä{1000,}…$/) });
    });

    test(`row 42 ${version}: metadata arrives whatever its case; grpc-go itself sends nothing beyond ASCII`, async () => {
      const metadata = { "X-User": "zoe", "x-Trace": "t1", Authorization: "Bearer x" };
      const echo = { service, endpoint: "Greeter.Echo", body: { note: "n" } };
      await go.callOk({ ...echo, metadata });
      const seen = ours.last("Greeter.Echo").ctx.metadata;
      expect([seen.get("x-user"), seen.get("X-TRACE"), seen.get("authorization")]).toEqual(["zoe", "t1", "Bearer x"]);
      const { error } = await go.call({ ...echo, metadata: { "X-User": "zoë" }, retries: 0 });
      expect(error?.detail).toContain("non-printable ASCII");
    });

    test(`row 42 ${version}: Go's deadline is the handler's, which is cancelled at it`, async () => {
      const before = ours.cancelled.length;
      const slow = { service, endpoint: "Greeter.Slow", body: { ms: 600_000 }, requestTimeoutMs: 500, retries: 0 };
      expect((await go.call(slow)).error).toMatchObject({ code: 408 });
      expect(ours.last("Greeter.Slow").ctx.deadline).toBeLessThan(Infinity);
      await eventually(() => ours.cancelled.length > before, "the handler is cancelled");
    });

    test(`row 42 ${version}: a server stream is read to its end, and fails after its messages`, async () => {
      for (const generated of [true, false]) {
        const stream = await go.stream({ service, endpoint: "Greeter.Stream", body: { count: 500 }, generated });
        const got = await stream.recvAll();
        expect(got).toMatchObject({ end: true, messages: { length: 500 } });
        expect(got.messages.at(-1)?.body).toEqual({ n: "499" });
        await stream.close();
      }
      const failing = await go.stream({
        service,
        endpoint: "Greeter.Stream",
        body: { count: 2, failWith: "notfound" },
      });
      const failed = await failing.recvAll();
      expect(failed.messages).toHaveLength(2);
      expect(failed.error?.text).toContain("stream failed");
      await failing.close();
    });

    test(`row 42 ${version}: bidi ping-pong, and a half-close that the handler sees`, async () => {
      const chat = await go.stream({ service, endpoint: "Greeter.Chat", generated: true });
      for (let n = 0; n < 50; n++) {
        await chat.send({ text: `m${n}` });
        expect((await chat.recv()).messages).toMatchObject([{ body: { text: `re: m${n}` } }]);
      }
      expect(await chat.closeSend()).toBeNull();
      expect(await chat.recvAll()).toMatchObject({ end: true, messages: [] });
      await chat.close();
      await eventually(
        () =>
          ours.ended.some(
            (each) => each.endpoint === "Greeter.Chat" && each.received === 50 && each.error === undefined,
          ),
        "it ended",
      );
    });

    test(`row 42 ${version}: a client stream is answered at Go's half-close`, async () => {
      const collect = await go.stream({ service, endpoint: "Greeter.Collect", generated: true });
      await collect.sendAll([{ text: "a" }, { text: "b" }]);
      await collect.closeSend();
      expect((await collect.recv()).messages).toMatchObject([{ body: { count: "2", last: "b" } }]);
      await collect.close();
    });

    test(
      `row 16 ${version}: 200 calls at once, each with its own reply`,
      async () => {
        const many = { service, endpoint: "Greeter.Hello", body: { name: "n{i}" }, expect: { msg: "Hello n{i}" } };
        expect(await go.callMany({ ...many, n: 2000, concurrency: 200 })).toMatchObject({
          ok: 2000,
          failed: 0,
          mismatched: 0,
        });
      },
      LIMIT_MS,
    );

    test(
      `row 75 ${version}: no call fails while one of two services of ours stops`,
      async () => {
        const leaving = await greeter({ settle: "200ms" });
        await using staying = await greeter();
        await go.nodes(service, [...leaving.records, ...staying.records]);
        const many = go.callMany({
          service,
          endpoint: "Greeter.Hello",
          body: { name: "n{i}" },
          expect: { msg: "Hello n{i}" },
          n: 3000,
          concurrency: 16,
        });
        await eventually(() => leaving.count("Greeter.Hello") > 50, "calls arrive");
        await go.nodes(service, staying.records);
        await leaving[Symbol.asyncDispose]();
        expect(await many).toMatchObject({ ok: 3000, failed: 0, mismatched: 0 });
        await go.nodes(service, ours.records);
      },
      LIMIT_MS,
    );

    test(`row 70 ${version}: TLS, when Go trusts the authority`, async () => {
      await using secure = await greeter({ tls: { cert, key } });
      await using trusting = await goPeer({ version, protocol: "grpc", clientSecure: true, caPem: ca });
      await trusting.nodes(service, secure.records);
      expect(await trusting.callOk({ service, endpoint: "Greeter.Hello", body: { name: "tls" } })).toEqual({
        msg: "Hello tls",
      });
    });
  });
});

describeGo("gRPC: clients of ours call Go servers", () => {
  describe.each(goVersions)("%s", (version) => {
    let go: GoPeer;
    let client: Client;
    let stub: Methods<ProtoEndpoints<typeof Greeter>>;

    beforeAll(async () => {
      go = await goPeer({ version, serve: true, name: service, protocol: "grpc" });
      client = clientOf([go.service]);
      stub = client.service(service, Greeter);
    });
    afterAll(async () => {
      await client?.close();
      await go?.close();
    });

    test(`row 39 ${version}: the record says grpc, and is called so, in protobuf and JSON`, async () => {
      expect(go.service?.nodes[0]?.metadata).toMatchObject({ protocol: "grpc" });
      expect(await stub.hello({ name: "Ann" })).toMatchObject({ msg: "Hello Ann" });
      const json = client.service(service, Greeter, { contentType: "application/json" });
      expect(await json.hello({ name: "Bob" })).toMatchObject({ msg: "Hello Bob" });
      expect(await json.nothing({})).toMatchObject({});
      const plain = client.service<{ Plain: { hello(request: { name: string }): { msg: string; n: number } } }>(
        service,
      );
      expect(await plain.Plain.hello({ name: "Eve" })).toMatchObject({ msg: "Hello Eve" });
      const big = await stub.big({ want: BigInt(2 << 20) });
      expect(big.data.length).toBe(2 << 20);
    });

    test(`row 41 ${version}: errors of Go keep id, code and detail`, async () => {
      for (const [kind, status] of [
        ["notfound", 404],
        ["conflict", 409],
        ["method", 405],
        ["forbidden", 403],
        ["internal", 500],
      ] as const)
        await expect(stub.fail({ kind, detail: "é none" })).rejects.toMatchObject({
          id: service,
          status,
          detail: "é none",
        });
      await expect(stub.fail({ kind: "custom", detail: "odd", code: 599 })).rejects.toMatchObject({
        id: "greeter.custom",
        status: 599,
      });
      await expect(stub.fail({ kind: "plain", detail: "just text" })).rejects.toMatchObject({
        status: 500,
        detail: "just text",
      });
      await expect(stub.fail({ kind: "panic", detail: "oh" })).rejects.toMatchObject({
        status: 500,
        detail: expect.stringContaining("oh"),
      });
      const nope = client.service<{ Greeter: { nope(request: object): object } }>(service);
      await expect(nope.Greeter.nope({})).rejects.toMatchObject({ code: "NOT_FOUND" });
    });

    test(`row 42 ${version}: metadata is Go's, in lower case on the wire`, async () => {
      const reply = await stub.echo({ note: "n" }, { metadata: { "X-User": "zoë", traceparent: "00-1" } });
      const got = Metadata.from(reply.metadata);
      expect([got.get("x-user"), got.get("traceparent")]).toEqual(["zoë", "00-1"]);
      expect([...got].some(([name]) => name.toLowerCase().startsWith("micro-"))).toBe(false);
    });

    test(`row 42 ${version}: the deadline travels, and leaving cancels`, async () => {
      const { deadline } = await stub.slow({ ms: 0n }, { timeout: "20s" });
      expect(deadline).toMatch(/^(19|20)(\.\d+)?s$/);
      await expect(stub.slow({ ms: 600_000n, tag: "t" }, { timeout: "300ms" })).rejects.toMatchObject({
        code: "TIMEOUT",
      });
      await go.event("cancelled", ({ tag }) => tag === "t");
      const abort = new AbortController();
      const left = stub.slow({ ms: 600_000n, tag: "left" }, { signal: abort.signal });
      await go.event("invoked", ({ call }) => (call as { endpoint?: string }).endpoint === "Greeter.Slow");
      await eventually(async () => (await go.counts())["Greeter.Slow"] === 3, "it runs");
      abort.abort();
      await expect(left).rejects.toMatchObject({ code: "CANCELLED" });
      await go.event("cancelled", ({ tag }) => tag === "left");
    });

    test(
      `row 42 ${version}: streams of every kind, exact without a pause, as row 35 is not over mucp`,
      async () => {
        const got: bigint[] = [];
        for await (const { n } of stub.stream({ count: 2000n, size: 100n })) got.push(n);
        expect(got).toEqual(Array.from({ length: 2000 }, (_, n) => BigInt(n)));
        const failing = (async () => {
          const some: bigint[] = [];
          try {
            for await (const { n } of stub.stream({ count: 2n, failWith: "notfound" })) some.push(n);
          } catch (error) {
            return [some, isMicroError(error) ? [error.code, error.id, error.detail] : error];
          }
          return some;
        })();
        expect(await failing).toEqual([
          [0n, 1n],
          ["NOT_FOUND", service, "stream failed"],
        ]);
        const chat = stub.chat();
        const replies = chat[Symbol.asyncIterator]();
        for (let n = 0; n < 50; n++) {
          await chat.send({ text: `m${n}` });
          expect((await replies.next()).value).toMatchObject({ text: `re: m${n}` });
        }
        chat.end();
        expect(await within(replies.next(), "the end", 60_000)).toMatchObject({ done: true });
        const said = (async function* () {
          for (const text of ["a", "b", "end"]) yield { text };
        })();
        expect(await within(stub.collect(said), "the answer", 60_000)).toMatchObject({ count: 3n, last: "end" });
      },
      LIMIT_MS,
    );

    test(`row 76 ${version}: Go's server stops in mid-call; the call has its reply or a true error`, async () => {
      await using leaving = await goPeer({ version, serve: true, name: service, protocol: "grpc", nodeId: "leaving" });
      await using mine = clientOf([leaving.service], { retries: 0 });
      const slow = mine.service(service, Greeter).slow({ ms: 600_000n }, { timeout: "60s" });
      const outcome = slow.then(
        () => "answered",
        (error: unknown) => (isMicroError(error) ? error.code : String(error)),
      );
      await leaving.event("invoked");
      await leaving.kill();
      expect(await within(outcome, "it settles", 60_000)).toBe("CONNECTION_LOST");
    });

    test(`row 70 ${version}: TLS toward Go`, async () => {
      await using secure = await goPeer({
        version,
        serve: true,
        name: service,
        protocol: "grpc",
        secure: true,
        certPem: cert,
        keyPem: key,
      });
      await using trusting = clientOf([secure.service], { tls: { ca } });
      expect(await trusting.service(service, Greeter).hello({ name: "tls" })).toMatchObject({ msg: "Hello tls" });
    });
  });
});

describeGo("mucp over the grpc transport", () => {
  describe.each(goVersions)("%s", (version) => {
    test(
      `row 61 ${version}: Go calls us, unary, errors and a stream`,
      async () => {
        await using ours = await greeter({ transport: "grpc" });
        expect(ours.records[0]?.nodes[0]?.metadata).toMatchObject({ protocol: "mucp", transport: "grpc" });
        await using go = await goPeer({ version, transport: "grpc" });
        await go.nodes(service, ours.records);
        for (const contentType of ["application/json", "application/protobuf"]) {
          const call = { service, endpoint: "Greeter.Hello", contentType, body: { name: "John" } };
          for (let n = 0; n < 3; n++) expect(await go.callOk(call)).toEqual({ msg: "Hello John" });
        }
        const { error } = await go.call({
          service,
          endpoint: "Greeter.Fail",
          body: { kind: "conflict", detail: "no" },
        });
        expect(error).toMatchObject({ id: service, code: 409, detail: "no" });
        const stream = await go.stream({ service, endpoint: "Greeter.Stream", body: { count: 50 } });
        expect(await stream.recvAll()).toMatchObject({ end: true, messages: { length: 50 } });
        await stream.close();
      },
      LIMIT_MS,
    );

    test(
      `row 61 ${version}: we call Go, unary, errors and a stream`,
      async () => {
        await using go = await goPeer({ version, serve: true, name: service, transport: "grpc" });
        expect(go.service?.nodes[0]?.metadata).toMatchObject({ protocol: "mucp", transport: "grpc" });
        await using client = clientOf([go.service], { transport: "grpc" });
        const stub = client.service(service, Greeter);
        for (const name of ["a", "b", "c"]) expect(await stub.hello({ name })).toMatchObject({ msg: `Hello ${name}` });
        await expect(stub.fail({ kind: "notfound", detail: "none" })).rejects.toMatchObject({
          code: "NOT_FOUND",
          detail: "none",
        });
        const got: bigint[] = [];
        for await (const { n } of stub.stream({ count: 5n, delayMs: 60n })) got.push(n);
        expect(got).toEqual([0n, 1n, 2n, 3n, 4n]);
      },
      LIMIT_MS,
    );
  });
});
