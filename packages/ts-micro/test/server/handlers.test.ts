import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { z } from "zod";
import { endpoint, errors, type HandlerInterceptor, type MicroError } from "../../src/index.ts";
import { memoryLogger } from "../../src/logger/memory.ts";
import { testMesh, type Mesh } from "../../src/testing/mesh.ts";

let mesh: Mesh;
beforeEach(() => void (mesh = testMesh()));
afterEach(() => mesh.close());

const failure = (call: PromiseLike<unknown>): Promise<MicroError> =>
  Promise.resolve(call).then(
    () => expect.unreachable("it should fail"),
    (error: MicroError) => error,
  );

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

describe("a handler", () => {
  it.each([
    ["application/octet-stream", Buffer.alloc(1), Buffer.alloc(0)],
    ["text/plain", "x", ""],
    ["application/json", {}, {}],
  ])("that returns nothing answers with an empty body, as %s too", async (contentType, request, reply) => {
    const rest = { none: () => undefined, later: async () => {} };
    await mesh.service("rest").handle("Rest", rest).start();
    const client = mesh.client({ contentType });
    for (const name of ["Rest.None", "Rest.Later"]) expect(await client.call("rest", name, request)).toEqual(reply);
  });

  it("whose own call was refused has run all the same: its caller does not call again", async () => {
    let runs = 0;
    const shop = mesh.service("shop").handle("Shop", {
      async pay(): Promise<object> {
        runs++;
        return await shop.client.call<object>("bank", "Bank.Book", {}, { address: "nobody-there", retries: 0 });
      },
      async *watch(): AsyncGenerator<object> {
        runs++;
        yield await shop.client.call<object>("bank", "Bank.Book", {}, { address: "nobody-there", retries: 0 });
      },
    });
    await shop.start();
    await mesh
      .service("shop")
      .handle("Shop", { pay: () => runs++, watch: async function* () {} })
      .start();
    const remote = mesh.client().service<typeof shop>("shop", {
      filters: [
        (records) => records.map((record) => ({ ...record, nodes: record.nodes.filter(({ id }) => id === "shop-1") })),
      ],
    }).Shop;
    expect(await failure(remote.pay())).toMatchObject({ code: "UNAVAILABLE", refused: false });
    expect(runs).toBe(1);
    expect(await failure(remote.watch()[Symbol.asyncIterator]().next())).toMatchObject({
      code: "UNAVAILABLE",
      refused: false,
    });
    expect(runs).toBe(2);
    expect(await failure(shop.client.service<typeof shop>("shop").Shop.pay())).toMatchObject({ refused: false });
    expect(runs).toBe(3);
  });

  it("that goes on after its deadline gives its calls no new one", async () => {
    const outcome: unknown[] = [];
    let go!: () => void;
    const gate = new Promise<void>((resolve) => (go = resolve));
    let done!: () => void;
    const over = new Promise<void>((resolve) => (done = resolve));
    const slow = mesh.service("slow").handle("Slow", {
      async unary(): Promise<object> {
        await gate;
        outcome.push((await failure(slow.client.call("slow", "Slow.Echo"))).code);
        return {};
      },
      async *stream(): AsyncGenerator<object> {
        yield {};
        await gate;
        outcome.push((await failure(slow.client.call("slow", "Slow.Echo"))).code);
        done();
      },
      echo: () => ({}),
    });
    await slow.start();
    const client = mesh.client();
    const unary = failure(client.call("slow", "Slow.Unary", {}, { timeout: "1s" }));
    const stream = client.service<typeof slow>("slow").Slow.stream({}, { timeout: "1s" })[Symbol.asyncIterator]();
    await stream.next();
    const second = failure(stream.next());
    await mesh.advance("2s");
    expect([(await unary).code, (await second).code]).toEqual(["TIMEOUT", "TIMEOUT"]);
    go();
    await over;
    // Whether its own clock or the caller that left is noticed first is a race; that it goes no further is not.
    expect(outcome).toEqual(Array(2).fill(expect.stringMatching(/^(TIMEOUT|CONNECTION_LOST)$/)));
  });

  it("that streams for long keeps nothing of what it has yielded", async () => {
    const first: WeakRef<object>[] = [];
    const service = mesh.service("feed").handle("Feed", {
      async *items() {
        for (let n = 0; n < 100_000; n++) {
          const item = { n };
          if (n < 100) first.push(new WeakRef(item));
          yield item;
        }
      },
    });
    await service.start();
    const items = mesh.client().service<typeof service>("feed").Feed.items()[Symbol.asyncIterator]();
    for (let n = 0; n < 150; n++) await items.next();
    await new Promise((resolve) => setImmediate(resolve));
    collect();
    expect(first.filter((ref) => ref.deref() !== undefined).length).toBeLessThan(10);
    await items.return?.();
  });

  it("may return any thenable: it is waited for, and its value is checked", async () => {
    const later = (value: unknown) => ({
      then: (resolve: (value: unknown) => void) => void setImmediate(resolve, value),
    });
    const service = mesh.service("lazy").handle("Lazy", {
      good: endpoint({ response: z.object({ n: z.number() }) }, () => later({ n: 1 }) as never),
      bad: endpoint({ response: z.object({ n: z.number() }) }, () => later({ n: "1" }) as never),
    });
    await service.start();
    const client = mesh.client();
    expect(await client.call("lazy", "Lazy.Good")).toEqual({ n: 1 });
    const error = await failure(client.call("lazy", "Lazy.Bad"));
    expect(error).toMatchObject({
      code: "INTERNAL",
      detail: expect.stringContaining("does not fit its schema") as string,
    });
  });

  it("that yields what has no encoding fails as one that returns it", async () => {
    const service = mesh.service("odd").handle("Odd", {
      one: () => Symbol("no") as unknown as object,
      async *many() {
        yield Symbol("no") as unknown as object;
      },
    });
    await service.start();
    const remote = mesh.client().service<typeof service>("odd").Odd;
    const shape = {
      id: "odd",
      code: "INTERNAL",
      detail: expect.stringContaining("the reply cannot be encoded") as string,
    };
    expect(await failure(remote.one())).toMatchObject(shape);
    expect(await failure(remote.many()[Symbol.asyncIterator]().next())).toMatchObject(shape);
  });

  it("whose reply cannot be encoded is logged", async () => {
    const circle: Record<string, unknown> = {};
    circle["self"] = circle;
    await mesh
      .service("circle")
      .handle("Circle", { one: () => circle })
      .start();
    expect(await failure(mesh.client().call("circle", "Circle.One"))).toMatchObject({ code: "INTERNAL" });
    expect(mesh.logger.records.filter(({ level }) => level === "error")).toMatchObject([
      { message: expect.stringContaining("Circle.One: the reply cannot be encoded") as string },
    ]);
  });

  it("may throw errors whose text is none: their code arrives", async () => {
    const service = mesh.service("js").handle("Js", {
      bare: () => {
        throw errors.conflict("js", undefined as unknown as string);
      },
      object: () => {
        throw Object.assign(new Error(), { message: { a: 1 } });
      },
    });
    await service.start();
    const client = mesh.client();
    expect(await failure(client.call("js", "Js.Bare"))).toMatchObject({ id: "js", code: "CONFLICT", detail: "" });
    expect(await failure(client.call("js", "Js.Object"))).toMatchObject({
      id: "js",
      code: "INTERNAL",
      detail: '{"a":1}',
    });
  });
});

describe("interceptors around a handler that answers at once", () => {
  interface Call {
    readonly request: { n: number };
  }
  const around = (interceptor: HandlerInterceptor) =>
    mesh.service("sums", { interceptors: [interceptor] }).handle("Sums", {
      double({ n }: { n: number }): { n: number } {
        if (n < 0) throw errors.badRequest("sums", "below zero");
        return { n: 2 * n };
      },
    });

  it("see a promise of it, and what they make of it goes out", async () => {
    const seen: unknown[] = [];
    const sums = around((call, next) => {
      const reply = next(call);
      seen.push(reply instanceof Promise);
      return (call as Call).request.n === 1 ? reply : reply.then(() => ({ n: 0 }));
    });
    await sums.start();
    const { Sums } = sums.client.service<typeof sums>("sums");
    expect([await Sums.double({ n: 1 }), await Sums.double({ n: 2 })]).toEqual([{ n: 2 }, { n: 0 }]);
    expect(seen).toEqual([true, true]);
  });

  it("see what it throws as a rejection", async () => {
    const sums = around((call, next) => next(call).catch(() => ({ n: -1 })));
    await sums.start();
    expect(await sums.client.service<typeof sums>("sums").Sums.double({ n: -5 })).toEqual({ n: -1 });
  });

  it("may hand on a call of their own, several, and any of the replies", async () => {
    const sums = around(async (call, next) => {
      const first = next({ ...call, request: { n: 10 } });
      const second = next({ ...call, request: { n: 20 } });
      return (call as Call).request.n === 1 ? first : second;
    });
    const plain = around((call, next) => {
      const first = next({ ...call, request: { n: 10 } });
      void next({ ...call, request: { n: 20 } });
      return first;
    });
    for (const service of [sums, plain]) await service.start();
    const { Sums } = sums.client.service<typeof sums>("sums");
    expect([await Sums.double({ n: 1 }), await Sums.double({ n: 2 })]).toEqual([{ n: 20 }, { n: 40 }]);
    expect(await plain.client.service<typeof plain>("sums").Sums.double({ n: 1 })).toEqual({ n: 20 });
  });

  it("do not mix up calls that are made while others are on their way", async () => {
    let nested: Promise<unknown> | undefined;
    const sums = around((call, next) => {
      const reply = next(call);
      const { n } = (call as Call).request;
      if (n > 1) nested = sums.client.call("sums", "Sums.Double", { n: n - 1 }, { idempotent: false });
      return reply;
    });
    await sums.start();
    const { Sums } = sums.client.service<typeof sums>("sums");
    expect(await Sums.double({ n: 4 })).toEqual({ n: 8 });
    expect(await nested).toEqual({ n: 6 });
  });
});

it("a oneway call in the process settles with undefined, whatever becomes of it", async () => {
  const log = mesh.service("log").handle("Log", {
    write: () => ({ kept: true }),
    fail(): void {
      throw errors.badRequest("log", "no");
    },
  });
  await log.start();
  const { Log } = log.client.service<typeof log>("log");
  expect(await Log.write({}, { oneway: true })).toBeUndefined();
  expect(await Log.fail({}, { oneway: true })).toBeUndefined();
});

it("a handler's fault is logged with its stack, of a call and of each kind of stream", async () => {
  const logger = memoryLogger();
  const fault = (): never => {
    throw new TypeError("a bug");
  };
  const buggy = mesh.service("buggy", { logger }).handle("Buggy", {
    call: async () => fault(),
    // oxlint-disable-next-line require-yield
    server: async function* (): AsyncGenerator<object> {
      await Promise.resolve();
      fault();
    },
    client: endpoint({ stream: "client" }, async () => fault()),
  });
  await buggy.start();
  const { Buggy } = mesh.client().service<typeof buggy>("buggy");
  await failure(Buggy.call());
  await failure(Buggy.server()[Symbol.asyncIterator]().next());
  await failure(Buggy.client((async function* () {})()));
  const logged = logger.records.filter(({ message }) => message.includes("failed: a bug"));
  expect(logged.map(({ fields }) => fields["endpoint"])).toEqual(["Buggy.Call", "Buggy.Server", "Buggy.Client"]);
  for (const { fields } of logged) expect(fields["error"]).toBeInstanceOf(TypeError);
});

it.each(["handler", "subscriber"])("of what a %s throws and is no error no field is logged, or told", async (who) => {
  const logger = memoryLogger();
  const request = Object.assign(Object.create({}) as Record<string, unknown>, { _header: "Bearer SECRET" });
  request["socket"] = { request };
  const fail = async (): Promise<object> => {
    await Promise.resolve();
    throw who === "handler" ? request : { code: 7, config: { headers: "SECRET" } };
  };
  const odd = mesh.service("odd", { logger }).handle("Odd", { call: fail }).subscribe("odd", fail);
  await odd.start();
  if (who === "handler") expect((await failure(mesh.client().call("odd", "Odd.Call"))).detail).toBe("[object Object]");
  else await odd.publish("odd", {}).catch(() => {});
  await mesh.advance(1);
  const record = logger.records.find(({ level }) => level === "error");
  expect(record?.message).toContain("failed: [object Object]");
  expect(record?.fields).toEqual(who === "handler" ? { endpoint: "Odd.Call" } : { topic: "odd", thrown: { code: 7 } });
});
