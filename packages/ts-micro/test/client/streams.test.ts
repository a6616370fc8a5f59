import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { z } from "zod";
import { endpoint, errors, isMicroError } from "../../src/index.ts";
import { testMesh, type Mesh } from "../../src/testing/mesh.ts";
import { eventually } from "../../src/testing/suite.ts";

let mesh: Mesh;
beforeEach(() => void (mesh = testMesh()));
afterEach(async () => {
  await mesh.close();
  expect(mesh.clock.pending()).toBe(0);
});

async function world() {
  const events: string[] = [];
  const service = mesh.service("streamer").handle("Streamer", {
    async *count({ to, failAt }: { to: number; failAt?: number }) {
      try {
        for (let n = 1; n <= to; n++) {
          if (n === failAt) throw errors.conflict("streamer", `at ${n}`);
          yield { n };
        }
      } finally {
        events.push("count ended");
      }
    },
    sum: endpoint({ stream: "client", request: z.object({ n: z.number() }) }, async (numbers) => {
      let total = 0;
      for await (const { n } of numbers) total += n;
      return { total };
    }),
    chat: endpoint({ stream: "bidi", request: z.object({ text: z.string() }) }, async function* (messages, ctx) {
      ctx.signal.addEventListener("abort", () => events.push("chat aborted"));
      for await (const { text } of messages) yield { text: `re: ${text}` };
      events.push("chat saw the end");
      yield { text: "bye" };
    }),
    wrong: () => (async function* () {})(),
    hello: () => ({ msg: "hi" }),
  });
  await service.start();
  const client = mesh.client();
  return { service, client, events, remote: client.service<typeof service>("streamer").Streamer };
}

async function all<T>(stream: AsyncIterable<T>): Promise<T[]> {
  const out: T[] = [];
  for await (const each of stream) out.push(each);
  return out;
}

async function* from<T>(values: readonly T[]): AsyncGenerator<T> {
  for (const value of values) {
    await Promise.resolve();
    yield value;
  }
}

describe("streams", () => {
  it("of a kind not known yet, left before their first message came, are not opened", async () => {
    const { remote, service } = await world();
    const numbers = remote.count({ to: 3 })[Symbol.asyncIterator]();
    const first = numbers.next();
    await numbers.return?.();
    expect(await first).toEqual({ done: true, value: undefined });
    expect(service.server.stats).toMatchObject({ requests: 0, inFlight: 0 });
  });

  it("to what is unary are refused in process as on the wire, and run nothing", async () => {
    const { service, client } = await world();
    for (const each of [client, service.client]) {
      const stream = each.stream("streamer", "Streamer.Hello", { stream: "bidi" });
      await expect(stream.forEach(() => {})).rejects.toMatchObject({ code: "METHOD_NOT_ALLOWED" });
    }
  });

  it("of a kind not known yet are read by several at once, in order", async () => {
    const { remote } = await world();
    const numbers = remote.count({ to: 2 })[Symbol.asyncIterator]();
    const steps = await Promise.all([numbers.next(), numbers.next(), numbers.next()]);
    expect(steps.map(({ value }) => value as unknown)).toEqual([{ n: 1 }, { n: 2 }, undefined]);
  });

  it("deliver a server stream in order to its clean end, also on the very first call", async () => {
    const { remote } = await world();
    expect(await all(remote.count({ to: 5 }))).toEqual([1, 2, 3, 4, 5].map((n) => ({ n })));
    expect(await all(remote.count({ to: 0 }))).toEqual([]);
  });

  it.each(["over the wire", "in process"])(
    "without types send what the user sends, and nothing before it, %s",
    async (how) => {
      const { service, client } = await world();
      const stream = (how === "in process" ? service.client : client).stream("streamer", "Streamer.Count", {
        stream: "server",
      });
      await stream.send({ to: 2 });
      stream.end();
      expect(await all(stream)).toEqual([{ n: 1 }, { n: 2 }]);
    },
  );

  it("deliver the handler's error after what came before it", async () => {
    const { remote } = await world();
    const seen: number[] = [];
    const error = await (async () => {
      for await (const { n } of remote.count({ to: 9, failAt: 3 })) seen.push(n);
    })().catch((reason: unknown) => reason);
    expect(seen).toEqual([1, 2]);
    expect(isMicroError(error) && error.code).toBe("CONFLICT");
  });

  it("sum a client stream", async () => {
    const { remote } = await world();
    expect(await remote.sum(from([{ n: 1 }, { n: 2 }, { n: 39 }]))).toEqual({ total: 42 });
    expect(await remote.sum(from([]))).toEqual({ total: 0 });
  });

  it("check each message of a client stream against its schema", async () => {
    const { remote } = await world();
    await expect(remote.sum(from([{ n: 1 }, { n: "two" as unknown as number }]))).rejects.toMatchObject({
      code: "BAD_REQUEST",
    });
  });

  it("go both ways, half-close, and go on answering after it", async () => {
    const { remote, client, events } = await world();
    await client.call("streamer", "Streamer.Hello");
    const chat = remote.chat();
    await chat.send({ text: "a" });
    await chat.send({ text: "b" });
    chat.end();
    expect(await all(chat)).toEqual([{ text: "re: a" }, { text: "re: b" }, { text: "bye" }]);
    expect(events).toContain("chat saw the end");
    expect(await all(remote.chat(from([{ text: "x" }])))).toEqual([{ text: "re: x" }, { text: "bye" }]);
  });

  it("end at the server when the reader leaves the loop", async () => {
    const { remote, events } = await world();
    for await (const { n } of remote.count({ to: 1_000_000 })) if (n === 3) break;
    for (let i = 0; i < 50 && events.length === 0; i++) await mesh.advance(1);
    expect(events).toEqual(["count ended"]);
  });

  it("are cancelled by cancel(), by dispose and by a signal", async () => {
    const { remote, client, events } = await world();
    await client.call("streamer", "Streamer.Hello");
    const control = new AbortController();
    const chat = remote.chat(undefined, { signal: control.signal });
    await chat.send({ text: "a" });
    const iterator = chat[Symbol.asyncIterator]();
    expect((await iterator.next()).value).toEqual({ text: "re: a" });
    control.abort();
    await expect(iterator.next()).rejects.toMatchObject({ code: "CANCELLED" });
    for (let i = 0; i < 50 && events.length === 0; i++) await mesh.advance(1);
    expect(events).toContain("chat aborted");
    const other = remote.chat();
    await other.send({ text: "b" });
    other.cancel();
    await expect(other.send({ text: "c" })).rejects.toMatchObject({ code: "CANCELLED" });
  });

  it("end with TIMEOUT when they have one", async () => {
    const { remote, client } = await world();
    await client.call("streamer", "Streamer.Hello");
    const chat = remote.chat(undefined, { timeout: "3s" });
    await chat.send({ text: "a" });
    const read = all(chat).catch((error: unknown) => error);
    await mesh.advance("4s");
    expect(await read).toMatchObject({ code: "TIMEOUT" });
  });

  it("can be iterated once", async () => {
    const { remote, client } = await world();
    await client.call("streamer", "Streamer.Hello");
    const stream = remote.count({ to: 2 });
    await all(stream);
    expect(() => stream[Symbol.asyncIterator]()).toThrow("once");
  });

  it("that are never used are never sent", async () => {
    const { remote, client, service } = await world();
    await client.call("streamer", "Streamer.Hello");
    const before = service.server.stats.requests;
    remote.count({ to: 3 });
    await mesh.advance(10);
    expect(service.server.stats.requests).toBe(before);
  });

  it("advise a handler that returns a stream without saying so", async () => {
    const { client } = await world();
    await expect(client.call("streamer", "Streamer.Wrong")).rejects.toThrow('endpoint({ stream: "server" }');
  });

  it("refuse a unary call of a stream, and iteration of a unary reply", async () => {
    const { client, service } = await world();
    const remote = mesh.client().service<typeof service>("streamer").Streamer;
    await expect(client.call("streamer", "Streamer.Count", { to: 1 })).rejects.toMatchObject({
      code: "METHOD_NOT_ALLOWED",
    });
    await expect(all(remote.hello() as unknown as AsyncIterable<unknown>)).rejects.toMatchObject({
      code: "BAD_REQUEST",
    });
  });

  it("tell a failing request source as the call's failure", async () => {
    const { remote } = await world();
    const source = (async function* () {
      yield { n: 1 };
      throw new Error("the source broke");
    })();
    await expect(remote.sum(source)).rejects.toThrow("the source broke");
  });

  it("give every message to forEach, whatever is known of their kind", async () => {
    const { remote } = await world();
    const gathered = async (): Promise<number[]> => {
      const seen: number[] = [];
      await remote.count({ to: 4 }).forEach(({ n }) => void seen.push(n));
      return seen;
    };
    expect(await gathered()).toEqual([1, 2, 3, 4]);
    expect(await gathered()).toEqual([1, 2, 3, 4]);
    const chat = remote.chat();
    await chat.send({ text: "a" });
    const texts: string[] = [];
    const all = chat.forEach(async ({ text }) => {
      texts.push(text);
      if (texts.length < 3) await chat.send({ text: "b" });
      else chat.end();
    });
    await all;
    expect(texts).toEqual(["re: a", "re: b", "re: b", "bye"]);
    expect(() => chat[Symbol.asyncIterator]()).toThrow("once");
    const own = remote.count({ to: 2 });
    own.cancel();
    await own.forEach(() => expect.fail("a message of a stream that was not opened"));
  });

  it("end at the server when the callback of forEach throws, and with the handler's error", async () => {
    const { remote, events } = await world();
    const throwing = remote.count({ to: 1_000_000 }).forEach(({ n }) => {
      if (n === 3) throw new RangeError("mine");
    });
    await expect(throwing).rejects.toThrow(RangeError);
    for (let i = 0; i < 50 && events.length === 0; i++) await mesh.advance(1);
    expect(events).toEqual(["count ended"]);
    const seen: number[] = [];
    const failing = remote.count({ to: 9, failAt: 3 }).forEach(({ n }) => void seen.push(n));
    await expect(failing).rejects.toMatchObject({ code: "CONFLICT" });
    expect(seen).toEqual([1, 2]);
  });

  it("are used in any way by the very first call, when their kind is not known yet", async () => {
    const { service, events } = await world();
    const cold = () => mesh.client().service<typeof service>("streamer").Streamer;
    const chat = cold().chat();
    const heard: string[] = [];
    await chat.send({ text: "a" });
    await chat.send({ text: "b" });
    chat.end();
    for await (const { text } of chat) heard.push(text);
    expect(heard).toEqual(["re: a", "re: b", "bye"]);
    {
      await using counting = cold().count({ to: 1e6 });
      for await (const { n } of counting) if (n === 3) break;
    }
    const left = cold().count({ to: 1e6 });
    const seen: number[] = [];
    await expect(
      (async () => {
        for await (const { n } of left) {
          seen.push(n);
          left.cancel();
        }
      })(),
    ).rejects.toMatchObject({ code: "CANCELLED" });
    expect(seen).toEqual([1]);
    await eventually(() => events.filter((event) => event === "count ended").length === 2, "both ended at the server");
  });

  it("say what they take when they are given something else", async () => {
    const { service, remote } = await world();
    expect(await remote.sum(from([{ n: 1 }]))).toEqual({ total: 1 });
    const wrong = [[{ n: 1 }], { n: 1 }, undefined, "abc"];
    for (const client of [remote, mesh.client().service<typeof service>("streamer").Streamer]) {
      const { sum, chat } = client as unknown as Record<string, (request: unknown) => Promise<unknown>>;
      for (const request of wrong) {
        await expect((async () => sum?.(request))(), JSON.stringify(request)).rejects.toMatchObject({
          code: "BAD_REQUEST",
          detail: "Streamer.Sum takes a stream of requests: give it an AsyncIterable",
        });
      }
      await expect((async () => chat?.([{ text: "a" }]))()).rejects.toMatchObject({ code: "BAD_REQUEST" });
    }
  });

  it("take no message in process once their handler has ended", async () => {
    const { service } = await world();
    const chat = service.client.service<typeof service>("streamer").Streamer.chat();
    await chat.send({ text: "a" });
    chat.end();
    expect(await all(chat)).toEqual([{ text: "re: a" }, { text: "bye" }]);
    await expect(chat.send({ text: "late" })).rejects.toMatchObject({ code: "INVALID_STATE" });
  });

  it("have an interceptor's stream in between, if there is one", async () => {
    const { service } = await world();
    const client = mesh.client({
      interceptors: [
        async (call, next) => {
          const stream = (await next(call)) as AsyncIterable<{ n: number }>;
          return (async function* () {
            for await (const { n } of stream) yield { n: n * 10 };
          })();
        },
      ],
    });
    const { count } = client.service<typeof service>("streamer").Streamer;
    const seen: number[] = [];
    await count({ to: 3 }).forEach(({ n }) => void seen.push(n));
    for await (const { n } of count({ to: 2 })) seen.push(n);
    expect(seen).toEqual([10, 20, 30, 10, 20]);
  });

  it("run through interceptors", async () => {
    const { service } = await world();
    const kinds: string[] = [];
    const client = mesh.client({ interceptors: [async (call, next) => (kinds.push(call.kind), next(call))] });
    await all(client.service<typeof service>("streamer").Streamer.count({ to: 2 }));
    expect(kinds).toEqual(["server"]);
  });
});
