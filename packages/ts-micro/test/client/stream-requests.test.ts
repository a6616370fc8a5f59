/** What becomes of the requests of a stream: those that cannot be sent, and sources that nobody reads any more. */
import { afterEach, describe, expect, it } from "vitest";
import { createClient, createService, endpoint, errors, type ClientOptions } from "../../src/index.ts";
import { memoryRegistry } from "../../src/registry/memory.ts";
import { randomSelector } from "../../src/selector/random.ts";
import { eventually, within } from "../../src/testing/suite.ts";

const open: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const each of open.splice(0).toReversed()) await each.close();
});

interface Text {
  readonly text: string;
}

/** Gives what it is given, and then waits. */
function source(texts: string[], left: () => Promise<never> | undefined = () => undefined) {
  let returned = 0;
  let wake: (result: IteratorResult<Text, undefined>) => void = () => {};
  let waiting = false;
  const rest = [...texts];
  const iterator: AsyncIterator<Text, undefined> = {
    next() {
      const text = rest.shift();
      if (text !== undefined) return Promise.resolve({ done: false, value: { text } });
      waiting = true;
      return new Promise((resolve) => (wake = resolve));
    },
    return() {
      returned++;
      return left() ?? Promise.resolve({ done: true, value: undefined });
    },
  };
  return {
    messages: { [Symbol.asyncIterator]: () => iterator },
    returned: () => returned,
    waits: () => waiting,
    /** Its next message comes after all. */
    wake: () => wake({ done: false, value: { text: "late" } }),
  };
}

async function world(wire: string, options: ClientOptions = {}) {
  const shared = {
    registry: memoryRegistry(),
    env: false as const,
    logLevel: "fatal" as const,
    protocols: wire === "in process" ? ["fast"] : [wire],
  };
  const service = createService({ ...shared, name: "s", address: "127.0.0.1:0", settle: 0, drain: "1s" }).handle("S", {
    hello: () => ({}),
    async *count({ text }: { text: string }) {
      yield { n: text.length };
    },
    first: endpoint({ stream: "client" }, async (items: AsyncIterable<Text>) => {
      for await (const { text } of items) {
        if (text === "fail") throw errors.conflict("s", "no");
        return { text };
      }
      return {};
    }),
    chat: endpoint({ stream: "bidi" }, async function* (items: AsyncIterable<Text>) {
      yield { text: "begun" };
      for await (const { text } of items) yield { text };
    }),
    total: endpoint({ stream: "client" }, async (items: AsyncIterable<Text>) => {
      let n = 0;
      for await (const { text } of items) n += text.length;
      return { n };
    }),
  });
  open.push({ close: () => service.stop() });
  await service.start();
  if (wire === "in process") return { client: service.client, s: service.client.service<typeof service>("s").S };
  const client = createClient({ ...shared, ...options });
  open.push(client);
  return { client, s: client.service<typeof service>("s").S };
}

type Source = ReturnType<typeof source>;
type Stub = Awaited<ReturnType<typeof world>>["s"];

describe.each(["fast", "grpc", "mucp", "http"])("over %s", (wire) => {
  it.each([true, false])("a server stream whose request is too large fails (connected before: %s)", async (before) => {
    const { client, s } = await world(wire);
    if (before) await client.call("s", "S.Hello", {});
    const text = "x".repeat(5 << 20);
    const first = s.count({ text })[Symbol.asyncIterator]().next();
    await expect(within(first, "the stream's end")).rejects.toMatchObject({ code: "PAYLOAD_TOO_LARGE" });
    // Others are served as before.
    expect(await s.count({ text: "xx" })[Symbol.asyncIterator]().next()).toEqual({ done: false, value: { n: 2 } });
  });
});

describe.each(["fast", "grpc", "mucp", "http", "in process"])("over %s", (wire) => {
  it.each([
    [
      "its reader leaves",
      async (s: Stub, { messages }: Source) => {
        for await (const { text } of s.chat(messages)) if (text === "a") break;
      },
    ],
    [
      "the server has replied",
      async (s: Stub, { messages }: Source) => {
        expect(await s.first(messages)).toEqual({ text: "a" });
      },
    ],
    [
      "the server fails",
      async (s: Stub, { messages }: Source) => {
        await expect(s.first(messages)).rejects.toMatchObject({ code: "CONFLICT" });
      },
      "fail",
    ],
    [
      "it is cancelled",
      async (s: Stub, { messages, waits }: Source) => {
        const chat = s.chat(messages);
        const reading = chat.forEach(() => {});
        await eventually(waits, "all is sent");
        chat.cancel();
        await expect(reading).rejects.toMatchObject({ code: "CANCELLED" });
      },
    ],
    [
      "time is up",
      async (s: Stub, { messages }: Source) => {
        await expect(s.chat(messages, { timeout: 50 }).forEach(() => {})).rejects.toMatchObject({ code: "TIMEOUT" });
      },
    ],
  ])("a source that waits is left, once, when %s", async (_, end, text = "a") => {
    const { client, s } = await world(wire);
    await client.call("s", "S.Hello", {});
    const from = source([text], () => Promise.reject(new Error("its own affair")));
    await end(s, from);
    await eventually(() => from.returned() > 0, "the source is left");
    from.wake();
    await client.call("s", "S.Hello", {});
    expect(from.returned()).toBe(1);
  });
});

it("a source that has ended, or failed, is not left", async () => {
  const { s } = await world("fast");
  let returned = 0;
  const of = (next: () => Promise<IteratorResult<Text>>): AsyncIterable<Text> => ({
    [Symbol.asyncIterator]: () => ({
      next,
      return: () => (returned++, Promise.resolve({ done: true, value: undefined })),
    }),
  });
  expect(await s.total(of(() => Promise.resolve({ done: true, value: undefined })))).toEqual({ n: 0 });
  await expect(s.total(of(() => Promise.reject(new Error("mine"))))).rejects.toMatchObject({ detail: "mine" });
  expect(returned).toBe(0);
});

it("a request that cannot be sent is no fault of its node", async () => {
  const told: unknown[] = [];
  const selector = { ...randomSelector(), name: "watched", ended: (...each: unknown[]) => void told.push(each[3]) };
  const { s } = await world("grpc", { selector });
  const large = s.count({ text: "x".repeat(5 << 20) });
  await expect(large.forEach(() => {})).rejects.toMatchObject({ code: "PAYLOAD_TOO_LARGE" });
  expect(told).toEqual([undefined]);
});
