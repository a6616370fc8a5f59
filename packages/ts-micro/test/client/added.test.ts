/** What handlers add to their replies, as callers see it. */
import { afterEach, describe, expect, it } from "vitest";
import {
  createClient,
  createService,
  endpoint,
  errors,
  MicroError,
  type CallOptions,
  type Client,
  type ClientOptions,
  type Context,
  type StandardSchemaV1,
} from "../../src/index.ts";
import { memoryRegistry } from "../../src/registry/memory.ts";

const open: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const each of open.splice(0).toReversed()) await each.close();
});

const any = {
  "~standard": { version: 1, vendor: "x", validate: (value: unknown) => ({ value }) },
} as StandardSchemaV1<{
  n: number;
}>;

let calls = 0;
function add(ctx: Context): void {
  ctx.responseHeader.set("x-seen", `call ${++calls}`).set("Content-Type", "none").set("Micro-Id", "none");
  ctx.responseTrailer.set("X-Cost", "zoë");
}

function adder(options: { registry: ReturnType<typeof memoryRegistry>; protocols?: readonly string[] }) {
  return createService({
    ...{ env: false, logLevel: "fatal", name: "s", address: "127.0.0.1:0", settle: 0, drain: "1s" },
    ...options,
  }).handle("S", {
    plain: () => ({ ok: true }),
    much(_: object, ctx) {
      add(ctx);
      ctx.responseHeader.set("X-Much", "x".repeat(20_000));
      return { ok: true };
    },
    async *muchMore(_: object, ctx: Context) {
      add(ctx);
      ctx.responseHeader.set("X-Much", "x".repeat(20_000));
      yield { n: 1 };
    },
    hello: (_: object, ctx) => (add(ctx), { ok: true }),
    later: async (_: object, ctx) => {
      await Promise.resolve();
      add(ctx);
      return { ok: true };
    },
    fail(_: object, ctx): object {
      add(ctx);
      throw errors.conflict("s", "sold");
    },
    async *count({ to }: { to: number }, ctx: Context) {
      add(ctx);
      for (let n = 1; n <= to; n++) {
        yield { n };
        ctx.responseHeader.set("X-Late", "lost");
      }
      if (to < 0) throw errors.conflict("s", "below zero");
    },
    sum: endpoint({ stream: "client", request: any }, async (messages, ctx) => {
      let sum = 0;
      for await (const { n } of messages) sum += n;
      add(ctx);
      return { sum };
    }),
    chat: endpoint({ stream: "bidi", request: any }, async function* (messages, ctx) {
      add(ctx);
      for await (const { n } of messages) yield { n: n * 2 };
    }),
  });
}

async function world(wire: string, more: ClientOptions = {}) {
  calls = 0;
  const registry = memoryRegistry();
  const service = adder({ registry, ...(wire === "in process" ? {} : { protocols: [wire] }) });
  open.push({ close: () => service.stop() });
  await service.start();
  const made = createClient({ registry, env: false, logLevel: "fatal", protocols: [wire], ...more });
  open.push(made);
  const client: Client = made;
  return { client, s: client.service<typeof service>("s").S };
}

/** In process: the service's own client. */
async function worldOf(wire: string) {
  if (wire !== "in process") return world(wire);
  calls = 0;
  const service = adder({ registry: memoryRegistry() });
  open.push({ close: () => service.stop() });
  await service.start();
  const { client } = service;
  return { client, s: client.service<typeof service>("s").S };
}

/** Options that note what they are told, in order. */
function asking(more: CallOptions = {}) {
  const heard: string[] = [];
  const options: CallOptions = {
    ...more,
    onHeader: (metadata) => heard.push(`header ${JSON.stringify(relevant(metadata.toObject()))}`),
    onTrailer: (metadata) => heard.push(`trailer ${JSON.stringify(relevant(metadata.toObject()))}`),
  };
  return { heard, options };
}

// Plain HTTP shows all headers of its answers.
const relevant = (metadata: Record<string, string>): Record<string, string> =>
  Object.fromEntries(Object.entries(metadata).filter(([name]) => !/^(Cache-Control|X-Accel-Buffering)$/.test(name)));

const both = (n: number): string[] => [`header {"X-Seen":"call ${n}"}`, 'trailer {"X-Cost":"zoë"}'];

async function* from<T>(...values: readonly T[]): AsyncGenerator<T> {
  for (const value of values) yield value;
}

describe.each(["fast", "mucp", "grpc", "http", "in process"])("over %s", (wire) => {
  it("a unary call is told once of each, before it settles, with its error too", async () => {
    const { client, s } = await worldOf(wire);
    for (const [n, method] of [
      [1, "hello"],
      [2, "later"],
    ] as const) {
      const { heard, options } = asking();
      expect(await s[method]({}, options)).toEqual({ ok: true });
      expect(heard).toEqual(both(n));
    }
    const untyped = asking();
    expect(await client.call("s", "S.Hello", {}, untyped.options)).toEqual({ ok: true });
    expect(untyped.heard).toEqual(both(3));
    const failing = asking();
    await expect(s.fail({}, failing.options)).rejects.toMatchObject({ code: "CONFLICT", detail: "sold" });
    expect(failing.heard).toEqual(both(4));
    let cost: string | undefined;
    await s.hello({}, { onTrailer: (metadata) => (cost = metadata.get("x-cost")) });
    expect(cost).toBe("zoë");
  });

  it("nothing is told of what was not added, nor to callers who wait for no reply", async () => {
    const { s } = await worldOf(wire);
    const { heard, options } = asking();
    expect(await s.plain({}, options)).toEqual({ ok: true });
    expect(heard).toEqual([]);
    const oneway = asking({ oneway: true });
    await s.hello({}, oneway.options);
    expect(await s.plain({})).toEqual({ ok: true });
    expect(oneway.heard).toEqual([]);
  });

  it("more than wires carry is an error, and not told", async () => {
    const { s } = await worldOf(wire);
    const { heard, options } = asking();
    await expect(s.much({}, options)).rejects.toMatchObject({ code: "RESOURCE_EXHAUSTED" });
    await expect(s.muchMore({}, options).forEach(() => {})).rejects.toMatchObject({ code: "RESOURCE_EXHAUSTED" });
    expect(heard).toEqual([...both(1), ...both(2)]);
    // Whether anybody listens or not.
    await expect(s.much({})).rejects.toMatchObject({ code: "RESOURCE_EXHAUSTED" });
    await expect(s.muchMore({}).forEach(() => {})).rejects.toMatchObject({ code: "RESOURCE_EXHAUSTED" });
  });

  it("streams are told of the header before their first message, and of the trailer before their end", async () => {
    const { client, s } = await worldOf(wire);
    const { heard, options } = asking();
    for await (const { n } of s.count({ to: 2 }, options)) heard.push(String(n));
    const [header, trailer] = both(1);
    expect(heard).toEqual([header, "1", "2", trailer]);
    const none = asking();
    for await (const _ of s.count({ to: 0 }, none.options)) expect.unreachable();
    expect(none.heard).toEqual(both(2));
    const failing = asking();
    const reading = (async () => {
      for await (const _ of s.count({ to: -1 }, failing.options)) expect.unreachable();
    })();
    await expect(reading).rejects.toMatchObject({ code: "CONFLICT" });
    expect(failing.heard).toEqual(both(3));
    const sum = asking();
    expect(await s.sum(from({ n: 1 }, { n: 2 }), sum.options)).toEqual({ sum: 3 });
    expect(sum.heard).toEqual(both(4));
    const chat = asking();
    for await (const { n } of s.chat(from({ n: 1 }), chat.options)) chat.heard.push(String(n));
    expect(chat.heard).toEqual([both(5)[0], "2", both(5)[1]]);
    const untyped = asking({ stream: "server" });
    const stream = client.stream<{ n: number }>("s", "S.Count", untyped.options);
    await stream.send({ to: 1 });
    stream.end();
    for await (const { n } of stream) untyped.heard.push(String(n));
    expect(untyped.heard).toEqual([both(6)[0], "1", both(6)[1]]);
  });

  it("a function that throws fails its call with that, and no other; the call's own error stands", async () => {
    const { s } = await worldOf(wire);
    const boom = new RangeError("mine");
    const onHeader = (): void => {
      throw boom;
    };
    const { heard, options } = asking();
    await expect(s.hello({}, { ...options, onHeader })).rejects.toBe(boom);
    await expect(s.hello({}, { onTrailer: onHeader })).rejects.toBe(boom);
    await expect(s.fail({}, { ...options, onHeader })).rejects.toMatchObject({ code: "CONFLICT" });
    expect(heard).toEqual([both(1)[1]]);
    const reading = async (options: CallOptions): Promise<void> => {
      for await (const _ of s.count({ to: 1 }, options));
    };
    await expect(reading({ onHeader })).rejects.toBe(boom);
    await expect(reading({ onTrailer: onHeader })).rejects.toBe(boom);
    await expect(s.sum(from({ n: 1 }), { onHeader })).rejects.toBe(boom);
    await expect(s.sum(from({ n: 1 }), { onTrailer: onHeader })).rejects.toBe(boom);
    const after = await Promise.all([s.hello({}), s.hello({}, { onHeader: () => {} })]);
    expect(after).toEqual([{ ok: true }, { ok: true }]);
  });
});

describe.each(["fast", "mucp", "grpc", "http"])("over %s", (wire) => {
  it("of several attempts the last one is told", async () => {
    const { s } = await world(wire, {
      callInterceptors: [
        async (attempt, next) => {
          const reply = await next(attempt);
          if (attempt.number < 3) throw new MicroError({ id: "me", code: "UNAVAILABLE", detail: "no", refused: true });
          return reply;
        },
      ],
    });
    const { heard, options } = asking();
    expect(await s.hello({}, options)).toEqual({ ok: true });
    expect(heard).toEqual(both(3));
  });

  it("interceptors stand around, and the options of a service are for all of its calls", async () => {
    const { client } = await world(wire, { interceptors: [(call, next) => next({ ...call })] });
    const { heard, options } = asking();
    const s = client.service<{ S: { hello(request: object): Promise<object> } }>("s", options).S;
    await s.hello({});
    await s.hello({});
    expect(heard).toEqual([...both(1), ...both(2)]);
  });
});
