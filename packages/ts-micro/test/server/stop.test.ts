import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { createGroup, errors, type Context, type HandlerInterceptor, type MicroError } from "../../src/index.ts";
import type { Broker } from "../../src/broker.ts";
import type { Logger } from "../../src/logger.ts";
import type { Registry } from "../../src/registry.ts";
import { testMesh, type Mesh } from "../../src/testing/mesh.ts";

let mesh: Mesh;
beforeEach(() => void (mesh = testMesh()));
afterEach(() => mesh.close());

const greeting = { hello: () => ({ ok: true }) };
const failure = (call: PromiseLike<unknown>): Promise<MicroError> =>
  Promise.resolve(call).then(
    () => expect.unreachable("it should fail"),
    (error: MicroError) => error,
  );

/** The mesh's broker with one method in another way. */
const broker = (other: Partial<Broker>): Broker =>
  Object.assign(Object.create(mesh.broker) as Broker, { start: () => Promise.resolve() }, other);

describe("a service", () => {
  it("that was stopped does not start again", async () => {
    const service = mesh.service("once").handle("Once", greeting);
    await service.stop();
    expect(await failure(service.start())).toMatchObject({ code: "INVALID_STATE" });
    expect(service.server.address).toBe("");
  });

  it("that cannot subscribe is not found, and tries no further to be", async () => {
    const deaf = broker({ subscribe: () => Promise.reject(errors.unavailable("broker", "no")) });
    const service = mesh.service("deaf", { broker: deaf, registerInterval: "10s" }).handle("Deaf", greeting);
    service.subscribe("topic", () => {});
    expect(await failure(service.start())).toMatchObject({ code: "UNAVAILABLE" });
    expect(await mesh.registry.getService("deaf")).toEqual([]);
    await mesh.advance("1m");
    expect(await mesh.registry.getService("deaf")).toEqual([]);
  });

  it("stops entirely though its broker fails to unsubscribe", async () => {
    const stuck = broker({
      subscribe: (topic) =>
        Promise.resolve({ topic, close: () => Promise.reject(new Error("no")) }) as ReturnType<Broker["subscribe"]>,
    });
    const order: string[] = [];
    const service = mesh
      .service("stuck", { broker: stuck, afterStop: () => void order.push("after stop") })
      .handle("Stuck", greeting);
    service.subscribe("topic", () => {});
    await service.start();
    const { address } = service.server;
    await service.stop();
    expect(order).toEqual(["after stop"]);
    const call = mesh.client().call("stuck", "Stuck.Hello", {}, { address, retries: 0 });
    expect(await failure(call)).toMatchObject({ code: "UNAVAILABLE" });
  });

  it("stops though its broker never says that it has unsubscribed", async () => {
    const close = (): Promise<void> => new Promise(() => {});
    const stuck = broker({
      subscribe: (topic) => Promise.resolve({ topic, close }) as ReturnType<Broker["subscribe"]>,
    });
    const service = mesh.service("stuck", { broker: stuck }).handle("Stuck", greeting);
    service.subscribe("topic", () => {});
    await service.start();
    const stopped = service.stop();
    await mesh.advance("2s");
    await stopped;
    expect(await mesh.registry.getService("stuck")).toEqual([]);
  });

  it("outlives a registry that throws when it is to take it out", async () => {
    let healthy = true;
    const registry = Object.assign(Object.create(mesh.registry) as Registry, {
      deregister: () => {
        throw new Error("no");
      },
    });
    const check = (): undefined => {
      if (!healthy) throw new Error("ill");
    };
    const service = mesh
      .service("ill", { registry, registerCheck: check, registerInterval: "1s" })
      .handle("Ill", greeting);
    await service.start();
    healthy = false;
    await mesh.advance("5s");
    expect(await service.client.call("ill", "Ill.Hello")).toEqual({ ok: true });
  });

  it.each(["throws", "rejects"])("answers though its logger %s", async (how) => {
    const warnings: string[] = [];
    const warned = (warning: Error): void => void warnings.push(warning.message);
    process.on("warning", warned);
    const line = (): void => {
      if (how === "throws") throw new Error("full");
      return Promise.reject(new Error("full")) as unknown as undefined;
    };
    const levels = { trace: line, debug: line, info: line, warn: line, error: line, fatal: line };
    const logger: Logger = { level: "info", enabled: () => true, ...levels, child: () => logger };
    const service = mesh.service("talks", { logger }).handle("Talks", {
      at: () => {
        throw new Error("a fault");
      },
      later: async () => {
        await Promise.resolve();
        throw new Error("a fault");
      },
    });
    await service.start();
    for (const client of [mesh.client(), service.client])
      for (const name of ["Talks.At", "Talks.Later"])
        expect(await failure(client.call("talks", name))).toMatchObject({ id: "talks", code: "INTERNAL" });
    await new Promise(setImmediate);
    process.off("warning", warned);
    expect(new Set(warnings)).toEqual(new Set(["the logger fails: full"]));
  });

  it("cuts off what does not end, calls of its own process too, and tells its handlers", async () => {
    const told: string[] = [];
    const waits = (what: string, signal: AbortSignal): Promise<never> =>
      new Promise((_, reject) => {
        signal.addEventListener("abort", () => {
          told.push(what);
          reject(signal.reason as Error);
        });
      });
    const never: HandlerInterceptor = async (call, next) => next(call);
    for (const interceptors of [[], [never]]) {
      const service = mesh.service("long", { drain: "5s", settle: 0, interceptors }).handle("Long", {
        deaf: () => new Promise<void>(() => {}),
        unary: (_: unknown, ctx) => waits("unary", ctx.signal),
        async *stream(_: unknown, ctx: Context) {
          yield 1;
          await waits("stream", ctx.signal);
        },
      });
      service.subscribe("long", (_, ctx) => waits("subscriber", ctx.signal));
      await service.start();
      const long = service.client.service<typeof service>("long").Long;
      const stream = (async () => {
        for await (const one of long.stream({})) expect(one).toBe(1);
      })();
      const calls = [failure(long.deaf({})), failure(long.unary({})), failure(stream)];
      await service.client.publish("long", {}).catch(() => {});
      await vi.waitFor(() => expect(service.server.stats.inFlight).toBe(4));
      const stopped = service.stop();
      await mesh.advance("6s");
      await stopped;
      for (const error of await Promise.all(calls))
        expect(error).toMatchObject({ code: "DRAINING", detail: "the server is stopping" });
      expect(service.server.stats.inFlight).toBe(0);
      expect(told.toSorted()).toEqual(["stream", "subscriber", "unary"]);
      told.length = 0;
    }
  });

  it("stops while it starts, though its registry does not answer", async () => {
    let asked!: () => void;
    const registering = new Promise<void>((resolve) => (asked = resolve));
    const silent: Registry = Object.assign(Object.create(mesh.registry) as Registry, {
      deregister: () => Promise.resolve(),
      register: (_: unknown, { signal }: { signal: AbortSignal }) => {
        asked();
        return new Promise((_, reject) => {
          if (signal.aborted) reject(new Error("stopped"));
          signal.addEventListener("abort", () => reject(new Error("stopped")));
        });
      },
    });
    const service = mesh.service("late", { registry: silent }).handle("Late", greeting);
    const started = service.start();
    await registering;
    await service.stop();
    await started;
    const hasty = mesh.service("hasty", { registry: silent }).handle("Hasty", greeting);
    const starting = hasty.start();
    await hasty.stop();
    await starting;
    expect([service, hasty].map(({ server }) => server.stats.inFlight)).toEqual([0, 0]);
    expect(await mesh.registry.listServices()).toEqual([]);
  });

  it("answers no call from within its process once it has stopped", async () => {
    const service = mesh.service("self").handle("Self", greeting);
    const other = mesh.service("other").handle("Other", greeting);
    const group = createGroup(service, other);
    await group.start();
    expect(await other.client.call("self", "Self.Hello")).toEqual({ ok: true });
    const early = service.client;
    await service.stop();
    expect(await failure(early.call("self", "Self.Hello"))).toMatchObject({ code: "INVALID_STATE" });
    expect(await failure(other.client.call("self", "Self.Hello"))).toMatchObject({ code: "NOT_FOUND" });
    await group.stop();
  });

  it("that runs is stopped by a signal that comes while it starts, and leaves no handler behind", async () => {
    const before = process.listenerCount("SIGTERM");
    const order: string[] = [];
    for (const name of ["first", "second"]) {
      const service = mesh
        .service(name, {
          afterStart: () => {
            process.emit("SIGTERM", "SIGTERM");
            order.push(`${name} started`);
          },
          afterStop: () => void order.push(`${name} stopped`),
        })
        .handle("G", greeting);
      await service.run();
    }
    expect(order).toEqual(["first started", "first stopped", "second started", "second stopped"]);
    expect(process.listenerCount("SIGTERM")).toBe(before);
    const bad = mesh.service("bad", { beforeStart: () => Promise.reject(new Error("no")) }).handle("G", greeting);
    await expect(bad.run()).rejects.toThrow("no");
    expect(process.listenerCount("SIGTERM")).toBe(before);
  });
});
