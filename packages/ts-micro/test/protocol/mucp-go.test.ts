import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { describeGo, goPeer, goVersions, record, type GoPeer } from "../../../../interop/peer.ts";
import {
  AllKindsSchema,
  ChatMessageSchema,
  CollectResponseSchema,
  EmptySchema,
  FailRequestSchema,
  HelloRequestSchema,
  HelloResponseSchema,
  SlowRequestSchema,
  SlowResponseSchema,
  StreamRequestSchema,
  StreamResponseSchema,
} from "../../../../interop/proto/gen/greeter_pb.ts";
import type { Codec, MessageDescriptor } from "../../src/codec.ts";
import { jsonCodec } from "../../src/codec/json.ts";
import { jsonRpcCodec } from "../../src/codec/json-rpc.ts";
import { protoRpcCodec } from "../../src/codec/proto-rpc.ts";
import { protobufCodec } from "../../src/codec/protobuf.ts";
import type { Kind } from "../../src/context.ts";
import type { CallHead, Peer, Protocol, RawStream } from "../../src/protocol.ts";
import { mucp } from "../../src/protocol/mucp.ts";
import { within } from "../../src/testing/suite.ts";
import type { Transport } from "../../src/transport.ts";
import { httpTransport } from "../../src/transport/http.ts";
import { Greeter } from "./greeter.ts";
import { mount, type Mounted } from "./over-http.ts";

beforeAll(() => mucp({ transport: httpTransport() }).loadClient?.());

const json = jsonCodec();
const protobuf = protobufCodec();
const codecs = [json, protobuf, jsonRpcCodec(), protoRpcCodec()];
const contentTypes = codecs.map(({ contentTypes }) => contentTypes[0]);

describeGo("Go's mucp over http", () => {
  beforeAll(async () => {
    for (const codec of codecs) await codec.load?.();
  });

  describe.each(goVersions)("a %s client", (version) => {
    let client: GoPeer;
    let place: Mounted;
    const service = "greeter";

    beforeAll(async () => {
      place = await mount(mucp({ transport: httpTransport() }).acceptor!(await Greeter.create(), []));
      client = await goPeer({ version });
      await client.nodes(service, [record(service, place.address)]);
    });
    afterAll(async () => {
      await client?.close();
      await place?.close();
    });

    it.each(contentTypes)("calls us in %s, one call after another and many at once", async (contentType) => {
      const call = {
        service,
        endpoint: "Greeter.Hello",
        contentType,
        body: { name: "n{i}" },
        expect: { msg: "Hello n{i}" },
      };
      for (const [n, concurrency] of [
        [200, 1],
        [200, 20],
      ] as const)
        expect(await client.callMany({ ...call, n, concurrency })).toMatchObject({ ok: n, failed: 0, mismatched: 0 });
      expect(await client.call({ service, endpoint: "Greeter.Nothing", contentType, body: {} })).toMatchObject({
        body: {},
      });
    });

    it.each(contentTypes)("gets our errors in %s with code, id and detail", async (contentType) => {
      const fail = { service, endpoint: "Greeter.Fail", contentType, retries: 0 };
      const { error } = await client.call({ ...fail, body: { kind: "conflict", detail: 'twice "<é>" 100%d' } });
      expect(error).toMatchObject({ id: "greeter", code: 409, detail: 'twice "<é>" 100%d', status: "Conflict" });
      const plain = await client.call({ ...fail, body: { kind: "plain", detail: "EOS" } });
      expect(plain.error).toMatchObject({ eof: false, detail: "EOS" });
      const unknown = await client.call({ ...fail, endpoint: "Greeter.Nope", like: "Greeter.Hello", body: {} });
      expect(unknown.error?.text).toBe("rpc: can't find method Nope");
    });

    it("reads our JSON of every kind of field", async () => {
      const body = {
        firstName: "Zoë",
        bigNumber: "9007199254740993",
        colour: "COLOUR_BLUE",
        rawData: "AAH+/w==",
        maybeZero: 0,
      };
      expect(await client.call({ service, endpoint: "Greeter.Kinds", body })).toMatchObject({ body });
    });

    it.each(["application/json", "application/protobuf"])(
      "reads our server streams in %s whole, in order, to their end",
      async (contentType) => {
        for (const generated of contentType === "application/json" ? [true, false] : [false]) {
          const stream = await client.stream({
            service,
            endpoint: "Greeter.Stream",
            contentType,
            generated,
            body: { count: 500, size: 20 },
          });
          const { messages, end } = await stream.recvAll();
          expect(end).toBe(true);
          expect(messages.map(({ body }) => Number((body as { n?: string | number }).n ?? 0))).toEqual([
            ...Array(500).keys(),
          ]);
          await stream.close();
        }
      },
    );

    it("gets the error of a stream after its messages", async () => {
      const stream = await client.stream({
        service,
        endpoint: "Greeter.Stream",
        body: { count: 2, fail_with: "notfound" },
      });
      const { messages, error } = await stream.recvAll();
      expect(messages.length).toBe(2);
      expect(error).toMatchObject({ id: "greeter", code: 404, detail: "stream failed" });
      await stream.close();
    });

    it("talks with our bidi stream, and ends it from either side", async () => {
      const stream = await client.stream({ service, endpoint: "Greeter.Chat", generated: true });
      for (const text of ["a", "b"]) {
        await stream.send({ text });
        expect((await stream.recv()).messages).toMatchObject([{ body: { text: `re: ${text}` } }]);
      }
      await stream.send({ text: "quit" });
      expect((await stream.recv()).end).toBe(true);
      await stream.close();
      const other = await client.stream({ service, endpoint: "Greeter.Chat" });
      await other.send({ text: "a" });
      await other.close();
      expect(await client.callOk({ service, endpoint: "Greeter.Hello", body: { name: "after" } })).toEqual({
        msg: "Hello after",
      });
    });

    it("gets the answer of our client stream", async () => {
      const stream = await client.stream({ service, endpoint: "Greeter.Collect", generated: true });
      await stream.sendAll([{ text: "a" }, { text: "b" }, { text: "end" }]);
      const { messages, end } = await stream.recvAll();
      expect(messages).toMatchObject([{ body: { last: "end" } }]);
      expect(end).toBe(true);
      await stream.close();
    });
  });

  describe.each(goVersions)("a %s server", (version) => {
    let server: GoPeer;
    let transport: Transport;
    let protocol: Protocol;
    let peer: Peer;
    let ids = 0;

    beforeAll(async () => {
      server = await goPeer({ version, serve: true, name: "greeter" });
      const [node] = server.service?.nodes ?? [];
      if (node === undefined) throw new Error("the server registered no node");
      transport = httpTransport();
      protocol = mucp({ transport, goHalfCloseGrace: 200 });
      peer = protocol.dial({ ...node, metadata: { ...node.metadata } });
    });
    afterAll(async () => {
      await protocol?.close();
      await transport?.close();
      await server?.close();
    });

    function head(endpoint: string, codec: Codec, kind: Kind): CallHead {
      const id = `ts-live-${++ids}`;
      return {
        service: "greeter",
        endpoint,
        contentType: codec.contentTypes[0],
        kind,
        deadline: performance.now() + 60_000,
        metadata: undefined,
        id,
      };
    }

    async function call(
      codec: Codec,
      endpoint: string,
      request: MessageDescriptor,
      response: MessageDescriptor,
      value: unknown,
    ): Promise<unknown> {
      const h = head(endpoint, codec, "unary");
      const envelope = { id: h.id, endpoint };
      const reply = await peer.unary(h, codec.encode(value, request, { ...envelope, type: "request" }));
      return codec.decode(reply.body, response, { ...envelope, type: "response" });
    }

    it.each(codecs.map((codec) => [codec.name, codec] as const))(
      "answers our %s calls, one after another and many at once",
      async (_, codec) => {
        const hello = (name: string): Promise<unknown> =>
          call(codec, "Greeter.Hello", HelloRequestSchema, HelloResponseSchema, { name });
        for (let i = 0; i < 300; i++) expect(await hello(`n${i}`)).toMatchObject({ msg: `Hello n${i}` });
        const many = await Promise.all(Array.from({ length: 300 }, (_, i) => hello(`m${i}`)));
        for (const [i, reply] of many.entries()) expect(reply).toMatchObject({ msg: `Hello m${i}` });
        expect(await call(codec, "Greeter.Nothing", EmptySchema, EmptySchema, {})).toMatchObject({});
        expect(peer.pending).toBe(0);
      },
    );

    it.each(codecs.map((codec) => [codec.name, codec] as const))("gives its errors in %s", async (_, codec) => {
      const fail = (value: object): Promise<unknown> =>
        call(codec, "Greeter.Fail", FailRequestSchema, EmptySchema, value);
      await expect(fail({ kind: "conflict", detail: "twice <é>" })).rejects.toMatchObject({
        id: "greeter",
        status: 409,
        code: "CONFLICT",
        detail: "twice <é>",
        layer: "remote",
      });
      await expect(fail({ kind: "plain", detail: "just text" })).rejects.toMatchObject({
        status: 0,
        detail: "just text",
      });
      await expect(call(codec, "Greeter.Nope", EmptySchema, EmptySchema, {})).rejects.toMatchObject({
        detail: "rpc: can't find method Nope",
      });
    });

    it("reads and writes every kind of field in protobuf, and in JSON what its JSON can carry", async () => {
      const value = {
        firstName: "Zoë",
        bigNumber: 9007199254740993n,
        colour: 2,
        rawData: Uint8Array.of(0, 254),
        maybeZero: 0,
      };
      const more = { createdAt: { seconds: 1n, nanos: 5 }, choice: { case: "choiceNumber", value: 7n } };
      const kinds = (codec: Codec, value: object): Promise<unknown> =>
        call(codec, "Greeter.Kinds", AllKindsSchema, AllKindsSchema, value);
      expect(await kinds(protobuf, { ...value, ...more })).toMatchObject({ ...value, ...more });
      expect(await kinds(json, { ...value, ...more })).toMatchObject({ ...value, ...more });
    });

    it("knows the time that our call has left", async () => {
      const reply = await call(json, "Greeter.Slow", SlowRequestSchema, SlowResponseSchema, {
        tag: "deadline",
      });
      expect((reply as { deadline: string }).deadline).toMatch(/^(59\.|1m0)/);
    });

    it("is left alone by a call that has timed out, and the next call gets its own reply", async () => {
      const codec = json;
      const h = { ...head("Greeter.Slow", codec, "unary"), deadline: performance.now() + 50 };
      const slow = peer.unary(h, codec.encode({ ms: 300n, tag: "late" }, SlowRequestSchema));
      await expect(slow).rejects.toMatchObject({ code: "TIMEOUT" });
      const after = await call(codec, "Greeter.Hello", HelloRequestSchema, HelloResponseSchema, { name: "after" });
      expect(after).toMatchObject({ msg: "Hello after" });
    });

    function open(codec: Codec, endpoint: string, kind: Kind, request: MessageDescriptor, response: MessageDescriptor) {
      const raw: RawStream = peer.stream(head(endpoint, codec, kind));
      return {
        raw,
        send: (value: object) => raw.send(codec.encode(value, request)),
        read: async () => {
          const body = await within(raw.read(), "a message");
          return body && codec.decode(body, response);
        },
      };
    }

    it.each([["json"], ["protobuf"]])("serves its streams to us in %s", async (name) => {
      const codec = name === "json" ? json : protobuf;
      const stream = open(codec, "Greeter.Stream", "server", StreamRequestSchema, StreamResponseSchema);
      // Slow enough for a server that damages fast streams.
      await stream.send({ count: 3n, delayMs: 40n });
      stream.raw.end();
      for (let n = 0n; n < 3n; n++) expect(await stream.read()).toMatchObject({ n });
      expect(await stream.read()).toBeUndefined();
      const chat = open(codec, "Greeter.Chat", "bidi", ChatMessageSchema, ChatMessageSchema);
      for (const text of ["a", "b"]) {
        await chat.send({ text });
        expect(await chat.read()).toMatchObject({ text: `re: ${text}` });
      }
      await chat.send({ text: "quit" });
      expect(await chat.read()).toBeUndefined();
      const collect = open(codec, "Greeter.Collect", "client", ChatMessageSchema, CollectResponseSchema);
      for (const text of ["a", "end"]) await collect.send({ text });
      collect.raw.end();
      expect(await collect.read()).toMatchObject({ count: 2n, last: "end" });
      expect(await collect.read()).toBeUndefined();
      expect(peer.pending).toBe(0);
    });

    it("ends a stream with its error, and one that we have half-closed with its silence", async () => {
      const failing = open(json, "Greeter.Chat", "bidi", ChatMessageSchema, ChatMessageSchema);
      await failing.send({ text: "fail:conflict" });
      await expect(failing.read()).rejects.toMatchObject({ status: 409, detail: "chat failed" });
      const silent = open(json, "Greeter.Chat", "bidi", ChatMessageSchema, ChatMessageSchema);
      await silent.send({ text: "a" });
      silent.raw.end();
      expect(await silent.read()).toMatchObject({ text: "re: a" });
      expect(await silent.read()).toBeUndefined();
      expect(peer.pending).toBe(0);
    });

    it("settles what is under way when it stops", async () => {
      const doomed = await goPeer({ version, serve: true, name: "doomed" });
      const [node] = doomed.service?.nodes ?? [];
      const other = protocol.dial({ id: "doomed-1", address: node?.address ?? "", metadata: { protocol: "mucp" } });
      const codec = json;
      const h = head("Greeter.Slow", codec, "unary");
      const call = other.unary(h, codec.encode({ ms: 30_000n }, SlowRequestSchema)).catch((error: unknown) => error);
      await doomed.event("invoked");
      await doomed.crash();
      expect(await within(call, "the call settles")).toMatchObject({ code: "CONNECTION_LOST", refused: false });
      const dead = await other
        .unary(head("Greeter.Hello", codec, "unary"), codec.encode({}))
        .catch((error: unknown) => error);
      expect(dead).toMatchObject({ code: "UNAVAILABLE", refused: true });
      await doomed.close();
    });
  });
});
