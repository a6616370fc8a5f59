import { getEventListeners } from "node:events";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { errors, type ClientInterceptor, type HandlerInterceptor } from "../../src/index.ts";
import { testMesh, type Mesh } from "../../src/testing/mesh.ts";

let mesh: Mesh;
beforeEach(() => void (mesh = testMesh()));
afterEach(() => mesh.close());

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;
const turn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));
const handlers = {
  now: () => ({ kept: true }),
  later: async () => ({ kept: true }),
  fail(): never {
    throw errors.badRequest("sums", "no");
  },
  stream: (): unknown => (async function* () {})(),
};

/** A service that calls itself, and the promises that the innermost of its interceptors saw. */
async function within(client: ClientInterceptor[], server: HandlerInterceptor[]) {
  const service = mesh
    .service("sums", { interceptors: server, client: { interceptors: client } })
    .handle("Sums", handlers);
  await service.start();
  // The first call loads the engine.
  await service.client.call("sums", "Sums.Now");
  return service.client;
}

describe("what interceptors hand on", () => {
  it.each(["now", "later", "fail"])("is the very promise that the caller gets, of %s", async (what) => {
    let seen: Promise<unknown> | undefined;
    const client = await within([(call, next) => (seen = next(call))], []);
    const got = client.call("sums", `Sums.${what[0]?.toUpperCase()}${what.slice(1)}`);
    expect(got).toBe(seen);
    if (what === "fail") await expect(got).rejects.toMatchObject({ code: "BAD_REQUEST" });
    else expect(await got).toEqual({ kept: true });
  });

  it("is the caller's, too, when a handler's interceptors saw it and it was there at once", async () => {
    let seen: Promise<unknown> | undefined;
    const client = await within([], [(call, next) => (seen = next(call))]);
    const got = client.call("sums", "Sums.Now");
    expect(got).toBe(seen);
    expect(await got).toEqual({ kept: true });
  });

  it("is unlinked from the caller's signal all the same", async () => {
    const client = await within([(call, next) => next(call)], []);
    const controller = new AbortController();
    const { signal } = controller;
    for (const endpoint of ["Sums.Now", "Sums.Later"]) await client.call("sums", endpoint, {}, { signal });
    await client.call("sums", "Sums.Fail", {}, { signal }).catch(() => {});
    expect(getEventListeners(signal, "abort")).toEqual([]);
  });

  it("tells who listens what the handler added", async () => {
    const service = mesh.service("told", { client: { interceptors: [(call, next) => next(call)] } }).handle("Told", {
      it: (_: unknown, ctx) => (ctx.responseHeader.set("x-kept", "1"), {}),
    });
    await service.start();
    const told: unknown[] = [];
    await service.client.call("told", "Told.It", {}, { onHeader: (header) => told.push(header.get("x-kept")) });
    expect(told).toEqual(["1"]);
  });

  it("is reported when it fails and nobody awaits it", async () => {
    const client = await within([(call, next) => next(call)], []);
    const reported: unknown[] = [];
    const others = process.listeners("unhandledRejection");
    process.removeAllListeners("unhandledRejection");
    process.on("unhandledRejection", (error) => reported.push(error));
    try {
      void client.call("sums", "Sums.Fail");
      await turn();
      await turn();
    } finally {
      process.removeAllListeners("unhandledRejection");
      for (const other of others) process.on("unhandledRejection", other);
    }
    expect(reported).toMatchObject([{ code: "BAD_REQUEST" }]);
  });

  it("does not live on in the client when it was asked for later", async () => {
    const client = mesh.client({
      interceptors: [
        async (call, next) => {
          await turn();
          return next(call);
        },
      ],
    });
    await mesh.service("sums").handle("Sums", handlers).start();
    const once = async (): Promise<WeakRef<object>> => new WeakRef(await client.call<object>("sums", "Sums.Now"));
    await once();
    const kept = await once();
    await turn();
    collect();
    await turn();
    collect();
    expect(kept.deref()).toBeUndefined();
  });

  it("is not taken for the answer of another call, when what was promised was a stream", async () => {
    let stored: Promise<unknown> | undefined;
    const client = await within([], [(call, next) => (stored = next(call))]);
    const other = mesh.service("other").handle("Other", { get: () => stored });
    await other.start();
    await expect(client.call("sums", "Sums.Stream")).rejects.toMatchObject({ code: "INTERNAL" });
    await expect(other.client.call("other", "Other.Get")).rejects.toMatchObject({ code: "INTERNAL" });
  });

  it("is not waited for past the deadline when an interceptor makes something else of what was there at once", async () => {
    const never: HandlerInterceptor = (call, next) => {
      void next(call);
      return new Promise(() => {});
    };
    const client = await within([], [(call, next) => (call.request === "never" ? never(call, next) : next(call))]);
    const call = client.call("sums", "Sums.Now", "never", { timeout: "1s" });
    const failure = call.catch((error: unknown) => error);
    await mesh.advance("2s");
    expect(await failure).toMatchObject({ code: "TIMEOUT" });
  });
});

it("a context that is handed on itself makes no AbortController, within the process and beyond", async () => {
  const inner = mesh.service("inner").handle("Sums", handlers);
  const caller = mesh.client();
  const service = mesh.service("outer").handle("Sums", {
    now: handlers.now,
    within: (_: unknown, ctx): Promise<unknown> => service.client.call("outer", "Sums.Now", {}, ctx),
    beyond: (_: unknown, ctx): Promise<unknown> => caller.call("inner", "Sums.Now", {}, ctx),
  });
  await Promise.all([inner.start(), service.start()]);
  const { AbortController } = globalThis;
  let made = 0;
  const count = async (): Promise<number> => {
    made = 0;
    for (const endpoint of ["Sums.Within", "Sums.Beyond"]) await service.client.call("outer", endpoint);
    return made;
  };
  globalThis.AbortController = class extends AbortController {
    constructor() {
      super();
      made++;
    }
  };
  try {
    // The first calls load the engines and dial.
    await count();
    expect(await count()).toBe(0);
  } finally {
    globalThis.AbortController = AbortController;
  }
});
