import { describe, expectTypeOf, it } from "vitest";
import { z } from "zod";
import { createClient, createService, endpoint, type Duplex, type Stream } from "../../src/index.ts";

const service = createService({ name: "plain", env: false }).handle("Plain", {
  half: endpoint({ idempotent: true }, async ({ n }: { n: number }, ctx) => ({ half: n / 2, left: ctx.remaining() })),
  names: endpoint({}, (names: string[]) => ({ count: names.length })),
  text: endpoint({ response: z.object({ text: z.string() }) }, ({ n }: { n: number }) => ({ text: String(n) })),
  upTo: endpoint({ stream: "server" }, async function* ({ n }: { n: number }) {
    for (let i = 0; i < n; i++) yield { i };
  }),
  sum: endpoint({ stream: "client" }, async (numbers: AsyncIterable<{ n: number }>) => {
    let total = 0;
    for await (const { n } of numbers) total += n;
    return { total };
  }),
  chat: endpoint({ stream: "bidi" }, async function* (messages: AsyncIterable<{ text: string }>) {
    for await (const { text } of messages) yield { reply: text };
  }),
  anything: endpoint({ idempotent: true }, (request) => ({ request })),
});
const client = createClient({ env: false }).service<typeof service>("plain").Plain;

describe("an endpoint without a schema", () => {
  it("takes from its caller what its handler says that it takes", () => {
    expectTypeOf(client.half).parameter(0).toEqualTypeOf<{ n: number }>();
    expectTypeOf(client.half({ n: 1 })).resolves.toEqualTypeOf<{ half: number; left: number }>();
    expectTypeOf(client.names).parameter(0).toEqualTypeOf<string[]>();
    expectTypeOf(client.text).parameter(0).toEqualTypeOf<{ n: number }>();
    expectTypeOf(client.text({ n: 1 })).resolves.toEqualTypeOf<{ text: string }>();
    // @ts-expect-error a request is needed
    void client.half();
    // @ts-expect-error a wrong type
    void client.half({ n: "1" });
  });

  it("does so for streams of every kind", () => {
    expectTypeOf(client.upTo({ n: 1 })).toEqualTypeOf<Stream<{ i: number }>>();
    expectTypeOf(client.sum).parameter(0).toEqualTypeOf<AsyncIterable<{ n: number }>>();
    expectTypeOf(client.sum).returns.resolves.toEqualTypeOf<{ total: number }>();
    expectTypeOf(client.chat()).toEqualTypeOf<Duplex<{ text: string }, { reply: string }>>();
    // @ts-expect-error it receives a stream
    endpoint({ stream: "client" }, ({ n }: { n: number }) => ({ n }));
  });

  it("takes anything when its handler does not say", () => {
    expectTypeOf(client.anything).parameter(0).toEqualTypeOf<unknown>();
    void client.anything();
  });

  it("gives way to a schema", () => {
    // @ts-expect-error the schema's output is a string
    endpoint({ request: z.object({ n: z.string() }) }, ({ n }: { n: number }) => ({ n }));
  });
});
