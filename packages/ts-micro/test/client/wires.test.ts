import { afterEach, describe, expect, it } from "vitest";
import { z } from "zod";
import {
  createClient,
  createService,
  endpoint,
  errors,
  isMicroError,
  MicroError,
  type Client,
  type ClientOptions,
  type Context,
  type Service,
  type ServiceOptions,
} from "../../src/index.ts";
import { memoryRegistry } from "../../src/registry/memory.ts";
import { eventually } from "../../src/testing/suite.ts";

const open: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const each of open.splice(0).toReversed()) await each.close();
});

const number = z.object({ n: z.number() });

/** What handlers saw and did. */
interface Seen {
  readonly metadata: Record<string, string>[];
  readonly contexts: { local: string; remote: string; remaining: number; service: string; endpoint: string }[];
  oneway: string[];
  readonly noted: number[];
  aborted: number;
  waited: number;
  finish: () => void;
}

interface Pair {
  readonly client: Client;
  readonly service: Service;
  readonly seen: Seen;
}

async function pair(wire: string, client: ClientOptions = {}, server: Partial<ServiceOptions> = {}): Promise<Pair> {
  const registry = memoryRegistry();
  const shared = { registry, env: false as const, logLevel: "fatal" as const, protocols: [wire] };
  const seen: Seen = { metadata: [], contexts: [], oneway: [], noted: [], aborted: 0, waited: 0, finish: () => {} };
  const note = (ctx: Context): void => {
    const { local, remote, service, endpoint } = ctx;
    seen.metadata.push(ctx.metadata.toObject());
    seen.contexts.push({ local, remote, remaining: ctx.remaining(), service, endpoint });
  };
  const downstream = createService({ ...shared, name: "down", address: "127.0.0.1:0", settle: 0 }).handle("Down", {
    hello: (_: object, ctx) => (note(ctx), {}),
  });
  const service = createService({ ...shared, name: "up", address: "127.0.0.1:0", settle: 0, drain: "1s", ...server });
  service.handle("Up", {
    hello: ({ name }: { name?: string }, ctx) => (note(ctx), { msg: `Hello ${name ?? ""}` }),
    pass: async (_: object, ctx) => {
      note(ctx);
      await service.client.call("down", "Down.Hello", {}, ctx);
      await service.client.call(
        "down",
        "Down.Hello",
        {},
        { ...ctx, metadata: { authorization: ctx.metadata.get("authorization") ?? "" } },
      );
      return {};
    },
    fail: ({ code, detail }: { code: string; detail: string }) => {
      throw new MicroError({ id: "up.custom", code: code as "INTERNAL", detail });
    },
    nil: () => null,
    silent: () => {},
    odd: () => {
      throw new MicroError({ id: "teapot", status: 418, detail: "I am one" });
    },
    plain: () => {
      throw new TypeError("oops");
    },
    valid: endpoint({ request: z.object({ n: z.number() }), response: z.object({ n: z.number() }) }, ({ n }) => ({
      n: n + 1,
    })),
    invalid: endpoint({ response: z.object({ n: z.number() }) }, () => ({ n: "x" as unknown as number })),
    wait: (_: object, ctx) =>
      new Promise<object>((resolve) => {
        const told = (): void => {
          seen.aborted++;
          resolve({});
        };
        seen.waited++;
        if (ctx.signal.aborted) told();
        else ctx.signal.addEventListener("abort", told);
      }),
    note: async ({ text }: { text: string }) => {
      seen.noted.push(text.length);
      await new Promise<void>((resolve) => (seen.finish = resolve));
      seen.oneway.push(text);
      return {};
    },
    async *count({ to }: { to: number }, ctx) {
      note(ctx);
      for (let n = 1; n <= to; n++) yield { n };
      if (to < 0) throw errors.conflict("up", "below zero");
    },
    sum: endpoint({ stream: "client", request: number }, async (messages) => {
      let sum = 0;
      for await (const { n } of messages) sum += n;
      return { sum };
    }),
    chat: endpoint({ stream: "bidi", request: number }, async function* (messages) {
      for await (const { n } of messages) yield { n: n * 2 };
    }),
  });
  await downstream.start();
  await service.start();
  const made = createClient({ ...shared, requestTimeout: "20s", ...client });
  open.push({ close: () => downstream.stop() }, { close: () => service.stop() }, made);
  return { client: made, service, seen };
}

async function failure(promise: Promise<unknown>): Promise<Record<string, unknown>> {
  const error: unknown = await promise.then(
    () => new Error("it succeeded"),
    (reason: unknown) => reason,
  );
  if (!isMicroError(error)) throw error;
  const { id, code, status, detail, refused, layer, attempts } = error;
  return { id, code, status, detail, refused, layer, attempts };
}

const wires = ["fast", "mucp"] as const;

/** The same on both wires. */
async function alike(run: (wire: string) => Promise<unknown>): Promise<unknown> {
  const [fast, mucp] = [await run("fast"), await run("mucp")];
  expect(fast).toEqual(mucp);
  return fast;
}

describe("fast framing and mucp give a service the same", () => {
  it("errors, of every kind", async () => {
    const codes = [
      "BAD_REQUEST",
      "UNAUTHORIZED",
      "FORBIDDEN",
      "NOT_FOUND",
      "TIMEOUT",
      "CONFLICT",
      "PAYLOAD_TOO_LARGE",
      "RESOURCE_EXHAUSTED",
      "INTERNAL",
      "UNSUPPORTED",
      "UNAVAILABLE",
      "CANCELLED",
    ];
    const seen = (await alike(async (wire) => {
      const { client } = await pair(wire);
      const up = (method: string, request: object = {}): Promise<unknown> =>
        failure(client.call("up", `Up.${method}`, request));
      const all: unknown[] = [];
      for (const code of codes) all.push(await up("Fail", { code, detail: `“${code}” 🦊\n` }));
      for (const method of ["Odd", "Plain", "None", "Invalid", "Valid", "Count"]) all.push(await up(method));
      all.push(await failure(client.call("up", "Nowhere.At", {})));
      // Where the status says nothing mucp cannot tell the code.
      const { code: _, ...plain } = await failure(client.call("up", "noDot", {}));
      return [...all, plain];
    })) as { code: string; refused: boolean; attempts: number }[];
    for (const { refused, attempts } of seen) expect({ refused, attempts }).toEqual({ refused: false, attempts: 1 });
    expect(seen.filter(({ code }) => code === "NOT_FOUND").length).toBe(3);
  });

  it("schemas and JSON of every shape", async () => {
    expect(
      await alike(async (wire) => {
        const { client } = await pair(wire);
        const name = 'é😀\ud800\0\n"\\' + "x".repeat(100_000);
        return [
          await client.call("up", "Up.Valid", { n: 1 }),
          await client.call("up", "Up.Hello", { name }),
          await client.call("up", "Up.Hello"),
        ];
      }),
    ).toMatchObject([{ n: 2 }, {}, { msg: "Hello " }]);
  });

  it("metadata and context, and hand on what flows", async () => {
    await alike(async (wire) => {
      const { client, seen } = await pair(wire);
      const metadata = {
        "x-user": "7",
        Authorization: "Bearer t",
        timeout: "5",
        "Content-Type": "text/x",
        host: "evil",
        "micro-trace-id": "abc",
      };
      for (let n = 0; n < 3; n++) await client.call("up", "Up.Pass", {}, { metadata, timeout: "5s" });
      for (const { local, remote, remaining } of seen.contexts) {
        expect(local).toMatch(/^127\.0\.0\.1:\d+$/);
        expect(remote).toMatch(/^127\.0\.0\.1:\d+$/);
        expect(remaining).toBeGreaterThan(1000);
        expect(remaining).toBeLessThanOrEqual(5001);
      }
      return seen.metadata.map((each) => {
        const flows = Object.entries(each).filter(
          ([name]) => !/^(local|remote|micro-(?!trace)|timeout|content|user-agent|accept|host|connection)/i.test(name),
        );
        return Object.fromEntries(flows);
      });
    });
  });

  it("streams of all kinds, also where nothing but the record says of which", async () => {
    expect(
      await alike(async (wire) => {
        const { client } = await pair(wire);
        const untyped = (client.service("up") as unknown as { Up: unknown }).Up as Record<
          string,
          (...args: unknown[]) => unknown
        >;
        const all = async (stream: unknown): Promise<unknown[]> => {
          const out: unknown[] = [];
          for await (const each of stream as AsyncIterable<unknown>) out.push(each);
          return out;
        };
        async function* numbers(): AsyncGenerator<{ n: number }> {
          for (let n = 1; n <= 3; n++) yield { n };
        }
        return [
          await all(untyped["count"]!({ to: 3 })),
          await all(untyped["chat"]!(numbers())),
          await untyped["sum"]!(numbers()),
          await failure(all(untyped["count"]!({ to: -1 }))),
        ];
      }),
    ).toMatchObject([[{ n: 1 }, { n: 2 }, { n: 3 }], [{ n: 2 }, { n: 4 }, { n: 6 }], { sum: 6 }, { code: "CONFLICT" }]);
  });

  it("interceptors on both sides", async () => {
    await alike(async (wire) => {
      const log: unknown[] = [];
      const { client } = await pair(
        wire,
        {
          interceptors: [
            async (call, next) => {
              log.push(["client", call.service, call.endpoint, call.kind, call.request]);
              const reply = await next(call);
              log.push(["client", reply]);
              return reply;
            },
          ],
        },
        {
          interceptors: [
            async (
              call: { endpoint: string; kind: string; request: unknown },
              next: (call: never) => Promise<unknown>,
            ) => {
              log.push(["server", call.endpoint, call.kind, call.request]);
              return next(call as never);
            },
          ],
        } as unknown as Partial<ServiceOptions>,
      );
      await client.call("up", "Up.Hello", { name: "Ada" });
      expect(log.length).toBe(3);
      return log;
    });
  });

  it("Debug endpoints", async () => {
    expect(
      await alike(async (wire) => {
        const { client } = await pair(wire);
        const health = await client.call("up", "Debug.Health", {});
        const stats = await client.call<object>("up", "Debug.Stats", {});
        return [health, Object.keys(stats).toSorted()];
      }),
    ).toMatchObject([{}, expect.arrayContaining(["requests"])]);
  });

  it("cancellation and deadlines", async () => {
    expect(
      await alike(async (wire) => {
        const { client, seen, service } = await pair(wire);
        const controller = new AbortController();
        const call = failure(client.call("up", "Up.Wait", {}, { signal: controller.signal }));
        await eventually(() => service.server.stats.inFlight === 1, "it runs");
        controller.abort();
        const cancelled = await call;
        // One that runs out of time before it arrives tells nothing.
        let late: Record<string, unknown> = {};
        for (let timeout = 50; seen.waited < 2; timeout *= 4)
          late = await failure(client.call("up", "Up.Wait", {}, { timeout }));
        await eventually(() => seen.aborted === 2 && service.server.stats.inFlight === 0, "the handlers were told");
        return [cancelled["code"], late["code"]];
      }),
    ).toEqual(["CANCELLED", "TIMEOUT"]);
  });

  it("what cannot be encoded, by the codec's name", async () => {
    const seen = await alike(async (wire) => {
      const { client } = await pair(wire);
      const cycle: Record<string, unknown> = {};
      cycle["cycle"] = cycle;
      const { id, code } = await failure(client.call("up", "Up.Hello", cycle));
      return { id, code, well: await client.call("up", "Up.Hello", { name: "Ada" }) };
    });
    expect(seen).toMatchObject({ id: "ts.micro.json", well: { msg: "Hello Ada" } });
  });
});

describe("a handler that returns null or nothing", () => {
  it.each(["fast", "mucp", "grpc", "http"])("over %s is answered with null, or an empty message", async (wire) => {
    const { client } = await pair(wire);
    expect(await client.call("up", "Up.Nil", {})).toBeNull();
    expect(await client.call("up", "Up.Silent", {})).toEqual({});
  });

  it("in an envelope is answered with an empty message, since Go takes no null there", async () => {
    const { client } = await pair("mucp");
    expect(await client.call("up", "Up.Nil", {}, { contentType: "application/json-rpc" })).toEqual({});
  });
});

describe("a handler that keeps the bytes of its request", () => {
  for (const wire of wires) {
    it(`over ${wire} finds them as they came, whatever the connection brings meanwhile`, async () => {
      const shared = { registry: memoryRegistry(), env: false as const, logLevel: "fatal" as const, protocols: [wire] };
      const held: (() => void)[] = [];
      const service = createService({ ...shared, name: "bytes", address: "127.0.0.1:0", settle: 0 }).handle("Bytes", {
        async keep(body: Uint8Array) {
          await new Promise<void>((resolve) => held.push(resolve));
          return body;
        },
      });
      open.push({ close: () => service.stop() });
      await service.start();
      const client = createClient(shared);
      open.push(client);
      const options = { contentType: "application/octet-stream" };
      const calls = Array.from({ length: 12 }, (_, i) =>
        client.call("bytes", "Bytes.Keep", new Uint8Array(100_000).fill(i + 1), options),
      );
      await eventually(() => held.length === 12, "all are there");
      for (const go of held) go();
      const replies = (await Promise.all(calls)) as Uint8Array[];
      expect(replies.map((body, i) => body.length === 100_000 && body.every((byte) => byte === i + 1))).toEqual(
        calls.map(() => true),
      );
    });
  }
});

describe("a oneway call", () => {
  for (const wire of wires) {
    it(`over ${wire} resolves when it was written, and its handler runs`, async () => {
      const { client, seen, service } = await pair(wire);
      expect(await client.call("up", "Up.Note", { text: "a" }, { oneway: true })).toBeUndefined();
      await eventually(() => service.server.stats.inFlight === 1, "it runs");
      expect(seen.oneway).toEqual([]);
      seen.finish();
      await eventually(() => seen.oneway.length === 1, "it has run");
      // Its failures are nobody's business.
      await client.call("up", "Up.None", {}, { oneway: true });
      await client.call("up", "Up.Fail", { code: "CONFLICT", detail: "" }, { oneway: true });
      expect(await client.call("up", "Up.Hello", { name: "after" })).toEqual({ msg: "Hello after" });
    });

    it(`over ${wire} that nobody can take fails`, async () => {
      const { client } = await pair(wire);
      expect(await failure(client.call("nobody", "Up.Note", {}, { oneway: true }))).toMatchObject({
        code: "NOT_FOUND",
      });
    });
  }

  it.each(["fast", "mucp", "grpc", "http"])("over %s has left when it resolves, however long it is", async (wire) => {
    const { client, seen } = await pair(wire);
    const text = "x".repeat(3 << 20);
    await client.call("up", "Up.Note", { text }, { oneway: true });
    await client.close();
    await eventually(() => seen.noted.length > 0, "the handler's start");
    expect(seen.noted).toEqual([text.length]);
    seen.finish();
  });

  it("over fast framing goes on when its caller has gone", async () => {
    const { client, seen, service } = await pair("fast");
    await client.call("up", "Up.Note", { text: "left" }, { oneway: true });
    await eventually(() => service.server.stats.inFlight === 1, "it runs");
    await client.close();
    seen.finish();
    await eventually(() => seen.oneway.length === 1, "it has run");
    await eventually(() => service.server.stats.inFlight === 0, "it is over");
    expect(seen.oneway).toEqual(["left"]);
  });

  it("in process resolves at once", async () => {
    const { seen, service } = await pair("fast");
    expect(await service.client.call("up", "Up.Note", { text: "near" }, { oneway: true })).toBeUndefined();
    expect(seen.oneway).toEqual([]);
    seen.finish();
    await eventually(() => seen.oneway.length === 1, "it has run");
  });
});
