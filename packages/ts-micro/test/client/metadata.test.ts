import { afterEach, describe, expect, it, vi } from "vitest";
import {
  createClient,
  createService,
  endpoint,
  Metadata,
  MicroError,
  type CallOptions,
  type Client,
  type ClientOptions,
  type Context,
} from "../../src/index.ts";
import { memoryBroker } from "../../src/broker/memory.ts";
import { memoryRegistry } from "../../src/registry/memory.ts";

const open: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const each of open.splice(0).toReversed()) await each.close();
});

type Given = CallOptions["metadata"];
const unfit: Record<string, [unknown, RegExp]> = {
  "a number": [{ "X-Tenant": 5 }, /"X-Tenant": number/],
  null: [{ "X-Tenant": null }, /"X-Tenant": null/],
  undefined: [{ "X-Tenant": undefined }, /"X-Tenant": undefined/],
  "an array": [{ "X-Tenant": ["a"] }, /"X-Tenant": an array/],
  "a symbol": [{ "X-Tenant": Symbol("a") }, /"X-Tenant": symbol/],
  "an object": [{ "X-Tenant": {} }, /"X-Tenant": object/],
  "a line end": [{ "X-Tenant": "a\r\nX-Admin: 1" }, /"X-Tenant": a line end/],
  "a zero byte": [{ "X-Tenant": "a\0b" }, /"X-Tenant": a line end or zero byte/],
  "a line end in the name": [{ "X\nTenant": "a" }, /"X\\nTenant": a line end/],
  "a number among pairs": [[["X-Tenant", 5]], /"X-Tenant": number/],
  "a name that is a symbol": [[[Symbol("a"), "b"]], /a name: symbol/],
  "no pair": [["X-Tenant"], /an entry: string/],
  "a number that a generator gives": [
    {
      *[Symbol.iterator]() {
        yield ["X-Tenant", 5];
      },
    },
    /"X-Tenant": number/,
  ],
  "nothing but null": [null, /metadata: null/],
  "nothing but text": ["X-Tenant", /metadata: string/],
};

async function world(wire: string) {
  const shared = { registry: memoryRegistry(), env: false as const, logLevel: "fatal" as const, protocols: [wire] };
  const service = createService({ ...shared, name: "s", address: "127.0.0.1:0", settle: 0 });
  const seen: (string | undefined)[] = [];
  const set = (_: object, ctx: Context): object => {
    ctx.metadata.set("X-Tenant", 5 as unknown as string);
    return {};
  };
  service.handle("S", {
    hello: (_: object, ctx: Context) => (seen.push(ctx.metadata.get("x-tenant")), {}),
    feed: endpoint({ stream: "server" }, async function* (_, ctx: Context) {
      seen.push(ctx.metadata.get("x-tenant"));
      yield {};
    }),
    set,
  });
  const client = createClient(shared);
  open.push({ close: () => service.stop() }, client);
  await service.start();
  await client.call("s", "S.Hello", {}, { metadata: { "X-Tenant": "ü 1" } });
  expect(seen.splice(0)).toEqual(["ü 1"]);
  return { client, service, seen };
}

const failure = async (work: () => unknown): Promise<unknown> => {
  try {
    await work();
  } catch (error) {
    return error;
  }
  return undefined;
};

describe.each(["fast", "mucp", "grpc", "http", "in process"])("metadata that cannot be sent (%s)", (how) => {
  it("are BAD_REQUEST with their name, unary, oneway, streamed and under a context, and reach nobody", async () => {
    const { client: other, service, seen } = await world(how === "in process" ? "fast" : how);
    const client = how === "in process" ? service.client : other;
    for (const [metadata, why] of Object.values(unfit) as [Given, RegExp][]) {
      const options = { metadata };
      const ways = [
        () => client.call("s", "S.Hello", {}, options),
        () => client.call("s", "S.Hello", {}, { ...options, oneway: true }),
        () => client.call("s", "S.Hello", {}, { ...options, signal: new AbortController().signal }),
        async () => {
          const stream = client.stream("s", "S.Feed", { ...options, stream: "server" });
          await stream.send({});
          for await (const _ of stream);
        },
      ];
      for (const way of ways) {
        const error = await failure(way);
        expect(error).toMatchObject({ code: "BAD_REQUEST", id: "ts.micro.metadata" });
        expect((error as { detail: string }).detail).toMatch(why);
      }
    }
    expect(seen).toEqual([]);
    expect(await failure(() => client.call("s", "S.Set", {}))).toMatchObject({
      code: "BAD_REQUEST",
      detail: expect.stringContaining('"X-Tenant": number') as string,
    });
    await client.call("s", "S.Hello", {}, { metadata: { "X-Tenant": "after" } });
    expect(seen).toEqual(["after"]);
  });
});

describe("metadata of a service", () => {
  it.each(Object.keys(unfit).filter((name) => !/pair|generator|symbol$/.test(name) || name === "a symbol"))(
    "with %s are BAD_REQUEST where they are given",
    (name) => {
      const [metadata, why] = unfit[name] as [Record<string, string>, RegExp];
      const shared = { name: "s", env: false as const };
      const fails = (work: () => unknown): void => {
        expect(work).toThrow(expect.objectContaining({ code: "BAD_REQUEST" }) as Error);
        expect(work).toThrow(why);
      };
      fails(() => createService({ ...shared, metadata }));
      fails(() => createService(shared).init({ metadata }));
      fails(() => createService(shared).handle("S", { hello: endpoint({ metadata }, () => ({})) }));
      if (metadata !== null)
        fails(() => createService(shared).handle("S", { hello: () => ({}) }, { metadata: { hello: metadata } }));
      fails(() => Metadata.from(metadata));
    },
  );
});

describe.each(["fast", "mucp", "grpc", "http", "in process"])(
  "metadata that are set later and cannot be sent (%s)",
  (how) => {
    const line = "a\r\nX-Admin: 1";
    it("are BAD_REQUEST with their name where they are set: in interceptors, handlers and what is added to replies", async () => {
      const registry = memoryRegistry();
      const shared = { registry, env: false as const, logLevel: "fatal" as const };
      const protocols = how === "in process" ? ["fast"] : [how];
      let calls = 0;
      const service = createService({
        ...{ ...shared, protocols, name: "s", address: "127.0.0.1:0", settle: 0 },
        client: {
          interceptors: [
            (call, next) => {
              if (call.endpoint === "S.Marked") call.metadata.set("X-Tenant", line);
              return next(call);
            },
          ],
        },
      }).handle("S", {
        hello: () => (calls++, {}),
        marked: () => (calls++, {}),
        onward: async (_: object, ctx: Context): Promise<object> => {
          ctx.metadata.set("X-Tenant", line);
          return service.client.call("s", "S.Hello", {}, ctx);
        },
        header: (_: object, ctx: Context) => (ctx.responseHeader.set("X-Tenant", line), {}),
        trailer: (_: object, ctx: Context) => (ctx.responseTrailer.set("X-Tenant", line), {}),
        async *both(_: object, ctx: Context) {
          yield {};
          ctx.responseTrailer.set("X-Tenant", line);
        },
      });
      const other = createClient({
        ...{ ...shared, protocols },
        interceptors: [
          (call, next) => {
            if (call.endpoint === "S.Marked") call.metadata.set("X-Tenant", line);
            return next(call);
          },
        ],
      });
      open.push({ close: () => service.stop() }, other);
      await service.start();
      const client = how === "in process" ? service.client : other;
      const s = client.service<typeof service>("s").S;
      const ways = [() => s.marked({}), () => s.onward({}), () => s.header({}), () => s.trailer({})];
      for (const way of [...ways, () => s.both({}).forEach(() => {})])
        expect(await failure(way)).toMatchObject({
          code: "BAD_REQUEST",
          detail: expect.stringContaining('"X-Tenant": a line end') as string,
        });
      expect(calls).toBe(0);
      await s.hello({});
      expect(calls).toBe(1);
    });
  },
);

describe.each(["fast", "mucp", "grpc", "http", "in process"])("metadata of a call (%s)", (how) => {
  const forms: [string, () => { metadata: NonNullable<Given>; change: () => void }][] = [
    [
      "an object",
      () => {
        const metadata = { "X-Tenant": "given" };
        return { metadata, change: () => (metadata["X-Tenant"] = "changed\n") };
      },
    ],
    [
      "Metadata",
      () => {
        const metadata = Metadata.from({ "X-Tenant": "given" });
        return { metadata, change: () => metadata.set("X-Tenant", "changed") };
      },
    ],
    [
      "pairs",
      () => {
        const metadata: [[string, string]] = [["X-Tenant", "given"]];
        return { metadata, change: () => (metadata[0][1] = "changed\n") };
      },
    ],
  ];
  it.each(forms)("are what they were when it was made, given as %s", async (_, form) => {
    const registry = memoryRegistry();
    const shared = { registry, env: false as const, logLevel: "fatal" as const };
    const protocols = how === "in process" ? ["fast"] : [how];
    const seen: (string | undefined)[] = [];
    let attempts = 0;
    const make = (more: ClientOptions, own: boolean) => {
      const service = createService({
        ...{ ...shared, protocols, name: own ? "own" : "s", address: "127.0.0.1:0", settle: 0 },
        client: more,
      }).handle("S", {
        hello: (_: object, ctx: Context) => (seen.push(ctx.metadata.get("x-tenant")), {}),
        feed: endpoint({ stream: "server" }, async function* (_, ctx: Context) {
          seen.push(ctx.metadata.get("x-tenant"));
          yield {};
        }),
      });
      open.push({ close: () => service.stop() });
      return service;
    };
    const served = make({}, false);
    await served.start();
    /** A client that has made no call yet. */
    const fresh = async (more: ClientOptions = {}) => {
      if (how !== "in process") {
        const client = createClient({ ...shared, protocols, ...more });
        open.push(client);
        return { client, name: "s" };
      }
      const service = make(more, true);
      await service.start();
      return { client: service.client, name: "own" };
    };
    type Hello = { S: { hello(request: object, options?: CallOptions): Promise<object> } };
    const tried = async (call: (options: CallOptions) => Promise<unknown>): Promise<void> => {
      const { metadata, change } = form();
      const result = call({ metadata });
      change();
      await result;
      expect(seen.splice(0)).toEqual(["given"]);
    };
    const feed = async (client: Client, name: string, options: CallOptions): Promise<void> => {
      const stream = client.stream(name, "S.Feed", { ...options, stream: "server" });
      await Promise.resolve();
      await stream.send({});
      for await (const _ of stream);
    };
    for (const first of [
      ({ client, name }: Awaited<ReturnType<typeof fresh>>) =>
        (options: CallOptions) =>
          client.call(name, "S.Hello", {}, options),
      ({ client, name }: Awaited<ReturnType<typeof fresh>>) =>
        (options: CallOptions) =>
          client.service<Hello>(name).S.hello({}, options),
      ({ client, name }: Awaited<ReturnType<typeof fresh>>) =>
        (options: CallOptions) =>
          feed(client, name, options),
    ]) {
      const made = await fresh();
      // The first, while all is loaded, and one for which all is there.
      for (let n = 0; n < 2; n++) await tried(first(made));
      await made.client.close();
      if (how === "in process") await open.pop()?.close();
    }
    const waiting = await fresh({
      interceptors: [async (call, next) => (await new Promise(setImmediate), next(call))],
      callInterceptors: [
        async (attempt, next) => {
          if (attempts++ % 2 === 0)
            throw new MicroError({ id: "me", code: "UNAVAILABLE", detail: "no", refused: true });
          return next(attempt);
        },
      ],
    });
    for (let n = 0; n < 2; n++) await tried((options) => waiting.client.call(waiting.name, "S.Hello", {}, options));
    await tried((options) => feed(waiting.client, waiting.name, options));
  });
});

it("metadata of a publish are what they were when it was made", async () => {
  const registry = memoryRegistry();
  const broker = memoryBroker();
  const client = createClient({ registry, broker, env: false, logLevel: "fatal" });
  open.push(client);
  const seen: (string | undefined)[] = [];
  await broker.start?.();
  await broker.subscribe("t", async ({ message }) => void seen.push(message.header["X-Tenant"]));
  for (let n = 0; n < 2; n++) {
    const metadata = { "X-Tenant": "given" };
    const published = client.publish("t", {}, { metadata });
    metadata["X-Tenant"] = "changed";
    await published;
  }
  await vi.waitFor(() => expect(seen).toEqual(["given", "given"]));
});

describe("a publish", () => {
  it("that its broker does not settle ends by its own time limit, its signal, and the deadline of the handler that makes it", async () => {
    const registry = memoryRegistry();
    const broker = Object.assign(memoryBroker(), { publish: () => new Promise<never>(() => {}) });
    const own = { registry, broker, env: false, logLevel: "fatal" } as const;
    const client = createClient(own);
    open.push(client);
    expect(await failure(() => client.publish("t", {}, { timeout: "20ms" }))).toMatchObject({ code: "TIMEOUT" });
    const signal = AbortSignal.timeout(20);
    expect(await failure(() => client.publish("t", {}, { signal }))).toMatchObject({ code: "TIMEOUT" });

    const seen: Promise<unknown>[] = [];
    const service = createService({ ...own, name: "s", address: "127.0.0.1:0", settle: 0 });
    open.push({ close: () => service.stop() });
    service.handle("S", {
      hello: (_: object, ctx) => {
        seen.push(failure(() => service.publish("t", {}, ctx)));
        return seen[0];
      },
    });
    await service.start();
    // Its own outcome hangs on whose timer is first.
    await client.call("s", "S.Hello", {}, { timeout: "1s" }).catch(() => {});
    // Whichever the service hears of first: its deadline, or that the caller gave up.
    expect(["TIMEOUT", "CANCELLED"]).toContain(((await seen[0]) as MicroError).code);
  });

  it("of a handler that does not hand on its context outlasts its call, and has its metadata", async () => {
    const own = { registry: memoryRegistry(), broker: memoryBroker(), env: false, logLevel: "fatal" } as const;
    const client = createClient(own);
    open.push(client);
    const heard: (string | undefined)[] = [];
    await own.broker.start?.();
    await own.broker.subscribe("paid", async ({ message }) => void heard.push(message.header["X-Tenant"]));
    const service = createService({ ...own, name: "s", address: "127.0.0.1:0", settle: 0, ambient: true });
    open.push({ close: () => service.stop() });
    const published: Promise<unknown>[] = [];
    service.handle("S", {
      async pay(_: object, ctx) {
        while (!ctx.signal.aborted) await new Promise((resolve) => setTimeout(resolve, 5));
        published.push(service.publish("paid", {}).then(() => "published"));
        return {};
      },
    });
    await service.start();
    const options = { timeout: "1s", metadata: { "X-Tenant": "acme" } };
    expect(await failure(() => client.call("s", "S.Pay", {}, options))).toMatchObject({ code: "TIMEOUT" });
    await vi.waitFor(() => expect(published).toHaveLength(1));
    expect(await published[0]).toBe("published");
    await vi.waitFor(() => expect(heard).toEqual(["acme"]));
  });

  it("by a broker of plain JavaScript may give no promise", async () => {
    const broker = Object.assign(memoryBroker(), { publish: vi.fn<() => Promise<void>>() });
    const client = createClient({ registry: memoryRegistry(), broker, env: false, logLevel: "fatal" });
    open.push(client);
    await client.publish("t", {});
    expect(broker.publish).toHaveBeenCalledOnce();
  });
});

it("metadata that are published and cannot be sent are BAD_REQUEST", async () => {
  const { client } = await world("fast");
  for (const [metadata] of Object.values(unfit) as [Given, RegExp][])
    expect(await failure(() => client.publish("t", {}, { metadata }))).toMatchObject({ code: "BAD_REQUEST" });
});

it.each(["fast", "mucp"])("getters of metadata and of a request may call (%s)", async (wire) => {
  const { client, seen } = await world(wire);
  const inner: Promise<unknown>[] = [];
  const call = (n: number): void =>
    void inner.push(
      client.call("s", "S.Hello", { pad: "p".repeat(30 * n) }, { metadata: { "X-Tenant": `inner ${n}` } }),
    );
  const metadata = {
    get "X-Tenant"() {
      call(1);
      return "outer";
    },
  };
  const request = {
    get a() {
      call(2);
      return "a";
    },
    b: "b",
  };
  await client.call("s", "S.Hello", request, { metadata });
  expect(inner.length).toBeGreaterThan(1);
  await Promise.all(inner);
  expect(new Set(seen)).toEqual(new Set(["outer", "inner 1", "inner 2"]));
  expect(seen.length).toBe(inner.length + 1);
});
