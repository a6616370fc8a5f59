import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import {
  MicroError,
  endpoint,
  errors,
  type ClientCall,
  type ClientInterceptor,
  type Duplex,
  type HandlerInterceptor,
} from "../../src/index.ts";
import { testMesh, type Mesh } from "../../src/testing/mesh.ts";

let mesh: Mesh;
beforeEach(() => void (mesh = testMesh()));
afterEach(() => mesh.close());

const failure = (work: PromiseLike<unknown>): Promise<MicroError> =>
  Promise.resolve(work).then(
    () => expect.unreachable("it should fail"),
    (error: MicroError) => error,
  );

/** A service, called by itself or over a wire, and what its handlers saw. */
async function world(where: string, client: ClientInterceptor[], server: HandlerInterceptor[] = []) {
  const aborted: string[] = [];
  const service = mesh.service("sums", { interceptors: server, client: { interceptors: client } }).handle("Sums", {
    total: endpoint({ stream: "client" }, async (numbers: AsyncIterable<number>, ctx) => {
      let sum = 0;
      for await (const n of numbers) {
        sum += n;
        if (ctx.metadata.get("X-Fail") === "once" && sum === 1) throw errors.unavailable("sums", "not yet");
      }
      return { sum };
    }),
    twice: endpoint({ stream: "client" }, async (numbers: AsyncIterable<number>) => {
      const all: number[] = [];
      for (let round = 0; round < 2; round++) for await (const n of numbers) all.push(n);
      return all;
    }),
    echo: endpoint({ stream: "bidi" }, async function* (numbers: AsyncIterable<number>, ctx) {
      ctx.signal.addEventListener("abort", () => aborted.push("echo"));
      for await (const n of numbers) yield n;
    }),
    wait: (_: unknown, ctx) =>
      new Promise<never>((_, reject) => {
        ctx.signal.addEventListener("abort", () => {
          aborted.push("wait");
          reject(ctx.signal.reason as Error);
        });
      }),
  });
  await service.start();
  const from = where === "in process" ? service.client : mesh.client({ interceptors: client });
  return { service, sums: from.service<typeof service>("sums").Sums, aborted };
}

async function* numbers(...all: number[]): AsyncGenerator<number, void, undefined> {
  for (const n of all) yield await Promise.resolve(n);
}

describe.each(["in process", "over a wire"])("an interceptor (%s)", (where) => {
  const wrapped =
    (part: (inner: Duplex<unknown, unknown>) => unknown): ClientInterceptor =>
    async (call, next) => {
      const inner = (await next(call)) as Duplex<unknown, unknown>;
      return part(inner);
    };

  it.each<[string, (inner: Duplex<unknown, unknown>) => unknown, string]>([
    [
      "a generator",
      (inner) =>
        (async function* () {
          yield* inner;
        })(),
      "no send",
    ],
    ["a value", () => 17, "no send"],
    ["nothing", () => undefined, "no send"],
    [
      "a proxy",
      (inner) =>
        new Proxy(inner, {
          get: (of, key) =>
            key === "send"
              ? () => {
                  throw new TypeError("private");
                }
              : (Reflect.get(of, key, of) as unknown),
        }),
      "private",
    ],
  ])("that makes %s of a stream ends it, with an error", async (_, part, why) => {
    const { sums, aborted, service } = await world(where, [wrapped(part)]);
    const stream = sums.echo();
    expect(((await failure(stream.send(1))) as Error).message).toContain(why);
    expect(await failure(stream.send(2))).toBeInstanceOf(MicroError);
    await vi.waitFor(() => expect(service.server.stats.inFlight).toBe(0));
    expect(aborted.length).toBeLessThanOrEqual(1);
  });

  it("whose end throws ends the stream with that", async () => {
    const ends = wrapped((inner) => ({
      send: (message: unknown) => inner.send(message),
      end() {
        throw new Error("no end");
      },
      cancel: (reason?: unknown) => inner.cancel(reason),
      [Symbol.asyncIterator]: () => inner[Symbol.asyncIterator](),
      [Symbol.asyncDispose]: () => inner[Symbol.asyncDispose](),
    }));
    const { sums } = await world(where, [ends]);
    const stream = sums.echo();
    await stream.send(1);
    stream.end();
    const read = (async () => {
      for await (const n of stream) expect(n).toBe(1);
    })();
    expect(await failure(read)).toMatchObject({ detail: expect.stringContaining("no end") as string });
  });

  it("of a server that calls a handler again with a stream it has read gets an error, not half a result", async () => {
    const again: HandlerInterceptor = async (call, next) => {
      try {
        return await next(call);
      } catch {
        return next(call);
      }
    };
    const { sums } = await world(where, [], [again]);
    const reply = sums.total(numbers(1, 2, 4, 8), { metadata: { "X-Fail": "once" } });
    // Not every wire carries the code.
    for (const call of [reply, sums.twice(numbers(1, 2))])
      expect((await failure(call)).detail).toContain("the requests of a stream can be iterated once");
    expect(await sums.total(numbers(1, 2))).toEqual({ sum: 3 });
  });

  it("of a client that sends a generator again gets an error, not half a result", async () => {
    const { sums } = await world(where, [
      async (call, next) => {
        const first = (await next(call)) as AsyncIterable<unknown>;
        for await (const _ of first);
        return next(call);
      },
    ]);
    expect(await failure(sums.total(numbers(1, 2)))).toMatchObject({ code: "STREAM_CONSUMED" });
    const anew = { [Symbol.asyncIterator]: () => numbers(1, 2) };
    expect(await sums.total(anew)).toEqual({ sum: 3 });
  });

  it("bounds a call by the options that it hands on", async () => {
    const controller = new AbortController();
    const bounded =
      (options: ClientCall["options"]): ClientInterceptor =>
      (call, next) =>
        next({ ...call, options: { ...call.options, ...options } });
    const short = await world(where, [bounded({ timeout: "100ms" })]);
    const late = failure(short.sums.wait({}, { timeout: "20s" }));
    await vi.waitFor(() => expect(short.service.server.stats.inFlight).toBe(1));
    await mesh.advance("200ms");
    expect(await late).toMatchObject({ code: "TIMEOUT" });
    await short.service.stop();

    const given = await world(where, [bounded({ signal: controller.signal })]);
    const own = new AbortController();
    const calls = [failure(given.sums.wait({}, { signal: own.signal })), failure(given.sums.wait({}))];
    await vi.waitFor(() => expect(given.service.server.stats.inFlight).toBe(2));
    own.abort();
    expect(await calls[0]).toMatchObject({ code: "CANCELLED" });
    controller.abort();
    expect(await calls[1]).toMatchObject({ code: "CANCELLED" });
    await vi.waitFor(() => expect(given.aborted).toEqual(["wait", "wait"]));
  });
});

it("what a service is not told by name has the name of who said it, one hop on", async () => {
  await mesh
    .service("far")
    .handle("Far", { here: () => ({}) })
    .start();
  const near = mesh.service("near");
  near.handle("Near", { ask: () => near.client.call("far", "Far.Nowhere", {}) });
  await near.start();
  const error = await failure(mesh.client().call("near", "Near.Ask", {}));
  expect(error).toMatchObject({ id: "near", code: "NOT_FOUND" });
  expect(error.detail).toMatch(/^far Far\.Nowhere.*: rpc: can't find method Nowhere$/);
});

it("a service whose last node is gone is UNAVAILABLE, one that was never there NOT_FOUND", async () => {
  const client = mesh.client();
  const service = mesh.service("here").handle("Here", { now: () => ({}) });
  await service.start();
  await client.call("here", "Here.Now", {});
  await service.stop();
  expect(await failure(client.call("here", "Here.Now", {}))).toMatchObject({
    code: "UNAVAILABLE",
    status: 503,
    detail: expect.stringMatching(/^service here: its last node is gone/) as string,
  });
  expect(await failure(client.call("nowhere", "Here.Now", {}))).toMatchObject({ code: "NOT_FOUND" });
});
