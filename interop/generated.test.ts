/** Code that was generated from one `.proto` for Go and for TypeScript meets on the wire, in both directions and both codecs. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createService, errors, type Client, type Service } from "../packages/ts-micro/src/index.ts";
import { memoryRegistry } from "../packages/ts-micro/src/registry/memory.ts";
import { describeGo, goPeer, type GoPeer, goVersions } from "./peer.ts";
import { type GreeterHandler, greeterService, registerGreeterHandler } from "./proto/gen/greeter_micro.ts";
import { Colour } from "./proto/gen/greeter_pb.ts";
import { clientOf, goRecords, LIMIT_MS } from "./world.ts";

const service = "greeter";
/** Ours, so that a Go client cannot mean the Go service. */
const named = "generated";
const codecs = ["application/protobuf", "application/json"];
/** Between two messages: what a Go server needs not to damage its own stream (wire spec §3.4). */
const delayMs = 60n;

/** All of it, as the compiler asks. */
const handler: GreeterHandler = {
  hello: ({ name }) => ({ msg: `Hello ${name}` }),
  echo: ({ note }, ctx) => ({ note, metadata: Object.fromEntries(ctx.metadata) }),
  fail({ detail }) {
    throw errors.conflict(named, detail);
  },
  slow: () => ({}),
  big: (message) => message,
  kinds: (message) => message,
  nothing: () => ({}),
  async *stream({ count }) {
    for (let n = 0n; n < count; n++) yield { n };
  },
  async *chat(messages) {
    for await (const { text, n } of messages) yield { text: `re: ${text}`, n };
  },
  async collect(messages) {
    let [count, last] = [0n, ""];
    for await (const { text } of messages) {
      count++;
      last = text;
      if (text === "end") break;
    }
    return { count, last };
  },
};

async function* texts(...words: readonly string[]): AsyncGenerator<{ text: string }> {
  for (const text of words) yield { text };
}

describeGo("generated code", () => {
  describe.each(goVersions.flatMap((version) => codecs.map((codec) => [version, codec] as const)))(
    "%s, %s",
    (version, contentType) => {
      const registry = memoryRegistry();
      let ours: Service;
      let go: GoPeer;
      let client: Client;

      beforeAll(async () => {
        ours = createService({
          name: named,
          address: "127.0.0.1:0",
          registry,
          broker: "memory",
          env: false,
          settle: 0,
          logLevel: "fatal",
        });
        await registerGreeterHandler(ours, handler).start();
        go = await goPeer({ version, serve: true, name: service, contentType });
        client = clientOf([go.service]);
        await go.nodes(named, await goRecords(registry, named));
      });
      afterAll(async () => {
        await client?.close();
        await go?.close();
        await ours?.stop();
      });

      test(
        `${version}: the generated client calls a Go service, one message each way`,
        async () => {
          const greeter = greeterService(service, client, { contentType });
          expect(await greeter.hello({ name: "Ada" })).toMatchObject({ msg: "Hello Ada" });
          expect(await greeter.nothing({})).toEqual({ $typeName: "greeter.Empty" });
          await expect(greeter.fail({ kind: "notfound", detail: "gone" })).rejects.toMatchObject({
            ...{ code: "NOT_FOUND", detail: "gone" },
          });
          const kinds = {
            firstName: "é",
            bigNumber: 2n ** 53n + 1n,
            colour: Colour.BLUE,
            innerList: [{ streetName: "x" }],
          };
          expect(await greeter.kinds(kinds)).toMatchObject(kinds);
        },
        LIMIT_MS,
      );

      test(
        `${version}: the generated client streams with a Go service`,
        async () => {
          const greeter = greeterService(service, client, { contentType });
          const numbers: bigint[] = [];
          for await (const { n } of greeter.stream({ count: 3n, delayMs })) numbers.push(n);
          expect(numbers).toEqual([0n, 1n, 2n]);
          await using chat = greeter.chat();
          const replies = chat[Symbol.asyncIterator]();
          for (const text of ["a", "b"]) {
            await chat.send({ text });
            expect((await replies.next()).value).toMatchObject({ text: `re: ${text}` });
          }
          expect(await greeter.collect(texts("a", "b", "end"))).toMatchObject({ count: 3n, last: "end" });
        },
        LIMIT_MS,
      );

      test(`${version}: a Go client calls the generated handler, one message each way`, async () => {
        const call = { service: named };
        expect(await go.callOk({ ...call, endpoint: "Greeter.Hello", body: { name: "Ada" } })).toEqual({
          msg: "Hello Ada",
        });
        expect(await go.callOk({ ...call, endpoint: "Greeter.Nothing", body: {} })).toEqual({});
        const { error } = await go.call({ ...call, endpoint: "Greeter.Fail", body: { detail: "taken" } });
        expect(error).toMatchObject({ code: 409, detail: "taken", id: named });
      });

      test(
        `${version}: Go's generated client streams with the generated handler`,
        async () => {
          const count = await go.stream({
            service: named,
            endpoint: "Greeter.Stream",
            generated: true,
            body: { count: 3 },
          });
          const { messages, end } = await count.recvAll();
          expect([messages.length, end]).toEqual([3, true]);
          await count.close();
          const chat = await go.stream({ service: named, endpoint: "Greeter.Chat", generated: true });
          for (const text of ["a", "b"]) {
            await chat.send({ text });
            expect((await chat.recv()).messages).toMatchObject([{ body: { text: `re: ${text}` } }]);
          }
          await chat.close();
          const collect = await go.stream({ service: named, endpoint: "Greeter.Collect" });
          await collect.sendAll([{ text: "a" }, { text: "end" }]);
          expect((await collect.recv()).messages).toMatchObject([{ body: { last: "end" } }]);
          await collect.close();
        },
        LIMIT_MS,
      );
    },
  );
});
