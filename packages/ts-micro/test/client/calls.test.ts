import { getEventListeners } from "node:events";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { z } from "zod";
import { endpoint, errors, isMicroError, type CallOptions, type Context, type MicroError } from "../../src/index.ts";
import type { Codec } from "../../src/codec.ts";
import { jsonRpcCodec } from "../../src/codec/json-rpc.ts";
import { testMesh, type Mesh } from "../../src/testing/mesh.ts";

let mesh: Mesh;
beforeEach(() => void (mesh = testMesh()));
afterEach(async () => {
  await mesh.close();
  expect(mesh.clock.pending()).toBe(0);
});

const failure = async (promise: Promise<unknown>): Promise<MicroError> => {
  const error: unknown = await promise.then(
    (value) => expect.unreachable(`resolved with ${JSON.stringify(value)}`),
    (reason: unknown) => reason,
  );
  if (!isMicroError(error)) throw error;
  return error;
};

describe("a unary call", () => {
  it("finds the service by name, sends the request and gets the reply", async () => {
    const service = mesh
      .service("greeter")
      .handle("Greeter", { hello: ({ name }: { name: string }) => ({ msg: `Hello ${name}` }) });
    await service.start();
    const greet = mesh.client().service<typeof service>("greeter").Greeter;
    expect(await greet.hello({ name: "Ada" })).toEqual({ msg: "Hello Ada" });
    expect(await mesh.client().call("greeter", "Greeter.Hello", { name: "Bob" })).toEqual({ msg: "Hello Bob" });
  });

  it("is refused with BAD_REQUEST and the path of the fault before the handler runs", async () => {
    let runs = 0;
    const service = mesh.service("greeter").handle("Greeter", {
      hello: endpoint({ request: z.object({ who: z.object({ name: z.string() }) }) }, () => ({ runs: ++runs })),
    });
    await service.start();
    const error = await failure(mesh.client().call("greeter", "Greeter.Hello", { who: { name: 3 } }));
    expect(error).toMatchObject({ code: "BAD_REQUEST", status: 400, id: "greeter" });
    expect(error.detail).toContain("who.name");
    expect(runs).toBe(0);
  });

  it("gets the schema's output where the handler runs, and sends the response schema's output", async () => {
    const service = mesh.service("greeter").handle("Greeter", {
      hello: endpoint(
        {
          request: z.object({ name: z.string().trim().default("you") }),
          response: z.object({ msg: z.string() }).transform(({ msg }) => ({ msg, n: msg.length })),
        },
        ({ name }) => ({ msg: name }),
      ),
    });
    await service.start();
    const greet = mesh.client().service<typeof service>("greeter").Greeter;
    expect(await greet.hello({})).toEqual({ msg: "you", n: 3 });
    expect(await greet.hello({ name: " Ada " })).toEqual({ msg: "Ada", n: 3 });
  });

  it("fails with INTERNAL, logged, when the handler's reply does not fit its schema", async () => {
    const service = mesh.service("greeter").handle("Greeter", {
      hello: endpoint({ response: z.object({ msg: z.string() }) }, () => ({ msg: 3 as unknown as string })),
    });
    await service.start();
    for (const client of [mesh.client(), service.client])
      expect(await failure(client.call("greeter", "Greeter.Hello"))).toMatchObject({ code: "INTERNAL" });
    const faults = mesh.logger.records.filter(({ level }) => level === "error").map(({ message }) => message);
    const fault = /^handler Greeter\.Hello failed: Greeter\.Hello: the handler's reply does not fit/;
    expect(faults).toEqual([expect.stringMatching(fault), expect.stringMatching(fault)]);
  });

  it("carries the handler's MicroError, and any other throw as INTERNAL with the service's name", async () => {
    const service = mesh.service("greeter").handle("Greeter", {
      typed: () => {
        throw errors.conflict("orders", 'so-so "quoted" <ü>\n😀');
      },
      plain: () => Promise.reject(new TypeError("oops")),
      odd: () => {
        throw "text";
      },
    });
    await service.start();
    const client = mesh.client();
    expect(await failure(client.call("greeter", "Greeter.Typed"))).toMatchObject({
      id: "orders",
      code: "CONFLICT",
      status: 409,
      detail: 'so-so "quoted" <ü>\n😀',
    });
    expect(await failure(client.call("greeter", "Greeter.Plain"))).toMatchObject({
      id: "greeter",
      code: "INTERNAL",
      detail: "oops",
    });
    expect(await failure(client.call("greeter", "Greeter.Odd"))).toMatchObject({
      id: "greeter",
      code: "INTERNAL",
      detail: "text",
    });
  });

  it("answers unknown names in Go's words", async () => {
    const service = mesh.service("greeter").handle("Greeter", { hello: () => ({}) });
    await service.start();
    const client = mesh.client();
    expect(await failure(client.call("greeter", "Greeter.Nope"))).toMatchObject({
      code: "NOT_FOUND",
      detail: "rpc: can't find method Nope",
    });
    expect(await failure(client.call("greeter", "Nope.Hello"))).toMatchObject({
      detail: "rpc: can't find service Nope",
    });
    expect(await failure(client.call("greeter", "Foo"))).toMatchObject({
      detail: "rpc: service/endpoint request ill-formed: Foo",
    });
  });

  it("names the registry asked and similar services when there is none, or what may be done", async () => {
    const details = async (name: string): Promise<string> =>
      (await failure(mesh.client().call(name, "Greeter.Hello"))).detail;
    const advice = "is it started, and does it register there? A call with waitFor waits for it";
    expect(await details("greeter")).toBe(
      `service greeter: not found (asked: memory, where nothing is registered); ${advice}`,
    );
    const service = mesh.service("greeter").handle("Greeter", { hello: () => ({}) });
    await service.start();
    const error = await failure(mesh.client().call("greter", "Greeter.Hello"));
    expect(error).toMatchObject({ code: "NOT_FOUND", id: "go.micro.client" });
    expect(error.detail).toContain("memory");
    expect(error.detail).toContain('"greeter"');
    expect(await details("shop")).toBe(`service shop: not found (asked: memory); ${advice}`);
  });

  it("waits for a service that is about to come, when asked to", async () => {
    const client = mesh.client();
    const reply = client.call("late", "Late.Hello", {}, { waitFor: "5s" });
    await mesh.advance("1s");
    const service = mesh.service("late").handle("Late", { hello: () => ({ ok: true }) });
    await service.start();
    await mesh.advance("1s");
    expect(await reply).toEqual({ ok: true });
    const never = failure(client.call("never", "Never.Hello", {}, { waitFor: "5s" }));
    await mesh.advance("6s");
    expect(await never).toMatchObject({
      code: "NOT_FOUND",
      detail: "service never: not found within 5000 ms (asked: memory); is it started, and does it register there?",
    });
  });

  it("settles with TIMEOUT at its deadline, whatever the handler does", async () => {
    let signal: AbortSignal | undefined;
    const service = mesh.service("slow").handle("Slow", {
      hello: (_: object, ctx) => {
        signal = ctx.signal;
        return new Promise<never>(() => {});
      },
    });
    await service.start();
    const error = failure(mesh.client().call("slow", "Slow.Hello", {}, { timeout: "2s" }));
    await mesh.advance("3s");
    expect(await error).toMatchObject({ code: "TIMEOUT" });
    expect(signal?.aborted).toBe(true);
  });

  it("shares its signal with any number of others, of which Node does not warn, and leaves nothing on it", async () => {
    const warnings: string[] = [];
    const warned = (warning: Error): void => void warnings.push(warning.message);
    process.on("warning", warned);
    let open!: () => void;
    const opened = new Promise<void>((resolve) => (open = resolve));
    const service = mesh.service("slow").handle("Slow", {
      ready: () => ({}),
      hello: async ({ n }: { n: number }) => (await opened, { n }),
      async *count() {
        yield { n: 0 };
        await opened;
      },
    });
    await service.start();
    const control = new AbortController();
    const { signal } = control;
    const listeners = (): number => getEventListeners(signal, "abort").length;
    for (const client of [mesh.client(), service.client]) {
      const slow = client.service<typeof service>("slow").Slow;
      await slow.ready({});
      const calls = Array.from({ length: 50 }, (_, n) => slow.hello({ n }, { signal }));
      const streams = Array.from({ length: 50 }, () => slow.count({}, { signal }).forEach(() => {}));
      expect(listeners()).toBe(1);
      open();
      await Promise.all([...calls, ...streams]);
      expect(listeners()).toBe(0);
    }
    const cut = Array.from({ length: 50 }, () => failure(mesh.client().call("slow", "Slow.Hello", {}, { signal })));
    control.abort();
    for (const { code } of await Promise.all(cut)) expect(code).toBe("CANCELLED");
    process.off("warning", warned);
    expect(warnings).toEqual([]);
  });

  it("is cancelled by its signal, and the handler is told", async () => {
    let told: unknown;
    const service = mesh.service("slow").handle("Slow", {
      hello: (_: object, ctx) =>
        new Promise<never>((_resolve, reject) =>
          ctx.signal.addEventListener("abort", () => reject((told = ctx.signal.reason) as Error)),
        ),
    });
    await service.start();
    const client = mesh.client();
    await client.call("slow", "Debug.Health");
    const control = new AbortController();
    const error = failure(client.call("slow", "Slow.Hello", {}, { signal: control.signal }));
    await mesh.advance(1);
    control.abort();
    expect(await error).toMatchObject({ code: "CANCELLED" });
    await mesh.advance(1);
    expect(isMicroError(told)).toBe(true);
    expect(await failure(client.call("slow", "Slow.Hello", {}, { signal: AbortSignal.abort() }))).toMatchObject({
      code: "CANCELLED",
    });
  });

  it("rejects with INVALID_STATE after the client was closed", async () => {
    const service = mesh.service("greeter").handle("Greeter", { hello: () => ({}) });
    await service.start();
    const client = mesh.client();
    await client.call("greeter", "Greeter.Hello");
    await client.close();
    expect((await failure(client.call("greeter", "Greeter.Hello"))).code).toBe("INVALID_STATE");
  });
});

describe("a call from a handler", () => {
  /** a → b, both ways of handing the context down, and what b saw. */
  async function chain(pass: (ctx: Context) => CallOptions | undefined, options: CallOptions = {}) {
    const seen: { metadata: Record<string, string>; left: number } = { metadata: {}, left: 0 };
    const b = mesh.service("b").handle("B", {
      end: (_: object, ctx) => {
        seen.metadata = ctx.metadata.toObject();
        seen.left = ctx.remaining();
        return {};
      },
    });
    const a = mesh.service("a");
    const inner = a.client.service<typeof b>("b").B;
    a.handle("A", { start: async (_: object, ctx) => inner.end({}, pass(ctx)) });
    await b.start();
    await a.start();
    await mesh.client().call(
      "a",
      "A.Start",
      {},
      {
        timeout: "7s",
        metadata: { "X-User": "ada", Authorization: "Bearer secret", traceparent: "00-1" },
        ...options,
      },
    );
    return seen;
  }

  it.each([
    ["by being passed", (ctx: Context) => ctx],
    ["by a spread", (ctx: Context) => ({ ...ctx, retries: 1 })],
    ["by nothing but running under it", () => undefined],
  ])("inherits deadline, metadata and trace %s, not credentials", async (_, pass) => {
    const { metadata, left } = await chain(pass);
    expect(metadata).toMatchObject({ "X-User": "ada", Traceparent: "00-1" });
    expect(metadata).not.toHaveProperty("Authorization");
    expect(left).toBeGreaterThan(6000);
    expect(left).toBeLessThanOrEqual(7000);
  });

  it("passes credentials on purpose, and its own metadata over the inherited", async () => {
    const { metadata } = await chain((ctx) => ({
      ...ctx,
      metadata: { authorization: ctx.metadata.get("Authorization") ?? "", "X-User": "bob" },
    }));
    expect(metadata).toMatchObject({ Authorization: "Bearer secret", "X-User": "bob" });
  });

  it("takes the shorter of its own timeout and the time left", async () => {
    expect((await chain(() => ({ timeout: "2s" }))).left).toBeLessThanOrEqual(2000);
    await mesh.close();
    mesh = testMesh();
    expect((await chain(() => ({ timeout: "1h" }))).left).toBeLessThanOrEqual(7000);
  });

  it("is cancelled when the caller of its handler gives up", async () => {
    let told = false;
    const b = mesh.service("b").handle("B", {
      wait: (_: object, ctx) =>
        new Promise<never>((_resolve, reject) =>
          ctx.signal.addEventListener("abort", () => ((told = true), reject(new Error("gone")))),
        ),
    });
    const a = mesh.service("a");
    a.handle("A", { start: () => a.client.call("b", "B.Wait") });
    await b.start();
    await a.start();
    const control = new AbortController();
    const client = mesh.client();
    await client.call("a", "Debug.Health");
    const error = failure(client.call("a", "A.Start", {}, { signal: control.signal }));
    await mesh.advance(5);
    control.abort();
    expect((await error).code).toBe("CANCELLED");
    await mesh.advance(5);
    expect(told).toBe(true);
  });

  it("keeps metadata but neither deadline nor cancellation after its handler has settled", async () => {
    let after!: Promise<{ left: number; user: string | undefined }>;
    const b = mesh
      .service("b")
      .handle("B", { end: (_: object, ctx) => ({ left: ctx.remaining(), user: ctx.metadata.get("x-user") }) });
    const a = mesh.service("a");
    a.handle("A", {
      start: () => {
        after = Promise.resolve().then(async () => {
          await mesh.advance(1);
          return a.client.call<{ left: number; user: string | undefined }>("b", "B.End");
        });
        return {};
      },
    });
    await b.start();
    await a.start();
    await mesh.client().call("a", "A.Start", {}, { timeout: "1s", metadata: { "x-user": "ada" } });
    const seen = await after;
    expect(seen.user).toBe("ada");
    expect(seen.left).toBeGreaterThan(20_000);
  });
});

describe("interceptors", () => {
  it("run in the order given, the first outermost, on client, attempt, handler and subscriber", async () => {
    const order: string[] = [];
    const mark =
      (name: string) =>
      async <C, R>(call: C, next: (call: C) => Promise<R>): Promise<R> => {
        order.push(`${name}>`);
        try {
          return await next(call);
        } finally {
          order.push(`<${name}`);
        }
      };
    const service = mesh
      .service("greeter", { interceptors: [mark("h1"), mark("h2")], subscriberInterceptors: [mark("s1")] })
      .handle("Greeter", { hello: () => (order.push("handler"), {}) })
      .subscribe("news", () => void order.push("subscriber"));
    await service.start();
    const client = mesh.client({ interceptors: [mark("c1"), mark("c2")], callInterceptors: [mark("a1")] });
    await client.call("greeter", "Greeter.Hello");
    expect(order).toEqual(["c1>", "c2>", "a1>", "h1>", "h2>", "handler", "<h2", "<h1", "<a1", "<c2", "<c1"]);
    order.length = 0;
    await client.publish("news", { n: 1 });
    await mesh.advance(1);
    expect(order).toEqual(["s1>", "subscriber", "<s1"]);
  });

  it("may change the request and the metadata, and may answer in place of the rest", async () => {
    const service = mesh
      .service("greeter")
      .handle("Greeter", { hello: ({ name }: { name: string }, ctx) => ({ name, token: ctx.metadata.get("token") }) });
    await service.start();
    const client = mesh.client({
      interceptors: [
        async (call, next) => {
          if (call.endpoint === "Greeter.Cached") return { cached: true };
          call.metadata.set("token", "t");
          return next({ ...call, request: { name: "changed" } });
        },
      ],
    });
    expect(await client.call("greeter", "Greeter.Hello", { name: "x" })).toEqual({ name: "changed", token: "t" });
    expect(await client.call("greeter", "Greeter.Cached")).toEqual({ cached: true });
  });

  it("that throw fail the call, and a handler's one is contained", async () => {
    const service = mesh
      .service("greeter", { interceptors: [() => Promise.reject(errors.unauthorized("gate", "no"))] })
      .handle("Greeter", { hello: () => ({}) });
    await service.start();
    expect(await failure(mesh.client().call("greeter", "Greeter.Hello"))).toMatchObject({
      code: "UNAUTHORIZED",
      id: "gate",
    });
  });
});

describe("a node of an old Go service, registered without a protocol", () => {
  it("is called with the json-rpc envelope, and a direct address is not", async () => {
    const service = mesh.service("old").handle("Old", { hello: ({ name }: { name: string }) => ({ msg: name }) });
    await service.start();
    const [record] = await mesh.registry.getService("old");
    const seen: string[] = [];
    const codec = {
      ...jsonRpcCodec(),
      encode: (...args: Parameters<Codec["encode"]>) => (seen.push("json-rpc"), jsonRpcCodec().encode(...args)),
    };
    await mesh.registry.register({
      name: "older",
      version: "1",
      metadata: {},
      endpoints: [],
      nodes: [{ id: "older-1", address: record?.nodes[0]?.address ?? "", metadata: {} }],
    });
    const client = mesh.client({ codecs: [codec] });
    expect(await client.call("older", "Old.Hello", { name: "Ada" })).toEqual({ msg: "Ada" });
    expect(seen).toEqual(["json-rpc"]);
    expect(
      await client.call("older", "Old.Hello", { name: "Bob" }, { address: record?.nodes[0]?.address ?? "" }),
    ).toEqual({ msg: "Bob" });
    expect(seen).toEqual(["json-rpc"]);
  });
});
