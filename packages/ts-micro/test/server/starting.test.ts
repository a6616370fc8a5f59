/** Starts that fail or are given up, and stops that come from anywhere. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Broker } from "../../src/broker.ts";
import { createGroup, createService, errors, type Service, type ServiceOptions } from "../../src/index.ts";
import type { Registry } from "../../src/registry.ts";
import { testMesh, type Mesh } from "../../src/testing/mesh.ts";
import { eventually, within } from "../../src/testing/suite.ts";

let mesh: Mesh;
beforeEach(() => void (mesh = testMesh()));
afterEach(() => mesh.close());

const greeting = { hello: () => ({ ok: true }) };
const never = (): Promise<never> => new Promise(() => {});

/** The mesh's broker with one method in another way. */
const broker = (other: Partial<Broker>): Broker =>
  Object.assign(Object.create(mesh.broker) as Broker, { start: () => Promise.resolve() }, other);

/** A service with a port, and components of its own, which it closes. */
function alone(more: Partial<ServiceOptions>): Service {
  const own = { registry: "memory", broker: "memory", address: "127.0.0.1:0", env: false, settle: 0 } as const;
  return createService({ name: "x", logLevel: "fatal", ...own, ...more }).handle("X", greeting);
}

describe("a stop that a hook of the start waits for", () => {
  it.each(["action", "beforeStart", "afterStart"] as const)("of %s ends start, stop and run", async (hook) => {
    const order: string[] = [];
    const service = mesh.service("job", {
      [hook]: async () => {
        await Promise.resolve();
        await service.stop();
        order.push("stopped");
      },
      afterStop: () => void order.push("after stop"),
    });
    service.handle("Job", greeting).init({ argv: [] });
    await within(service.run(), "run");
    await expect(service.start()).rejects.toMatchObject({ code: "INVALID_STATE" });
    expect(order).toEqual(["after stop", "stopped"]);
    expect(await mesh.registry.getService("job")).toEqual([]);
  });

  it("is waited for though another stop came before", async () => {
    let begun!: () => void;
    const hook = new Promise<void>((resolve) => (begun = resolve));
    let go!: () => void;
    const gate = new Promise<void>((resolve) => (go = resolve));
    const service: Service = mesh
      .service("job", { afterStart: (): Promise<void> => (begun(), gate.then(() => service.stop())) })
      .handle("Job", greeting);
    const started = service.start();
    await hook;
    const stopped = service.stop();
    go();
    await within(Promise.all([started, stopped]), "both");
    expect(await mesh.registry.getService("job")).toEqual([]);
  });

  it.each(["beforeStop", "afterStop"] as const)(
    "or one of %s does is not waited for, and told when all is over",
    async (hook) => {
      const order: string[] = [];
      const service = mesh.service("job", {
        [hook]: async () => {
          await service.stop();
          order.push(`${hook} goes on, registered: ${(await mesh.registry.getService("job")).length}`);
        },
      });
      service.handle("Job", greeting);
      await service.start();
      await within(service.stop(), "stop");
      await eventually(() => order.length === 1, "the hook goes on");
      expect(order).toEqual([`${hook} goes on, registered: 0`]);
    },
  );

  it.each([1, 4, 8, 15, 50])(
    "comes from what a hook left behind, %i turns later: nothing listens then",
    async (turns) => {
      let stopped: Promise<void> | undefined;
      const later = async (): Promise<void> => {
        for (let n = 0; n < turns; n++) await Promise.resolve();
        stopped = service.stop();
      };
      const service = alone({ beforeStart: () => void later() });
      await service.start();
      await eventually(() => stopped !== undefined, "it is told to stop");
      await within(stopped as Promise<void>, "the stop");
      const { address } = service.server;
      const answer = address === "" ? "none" : await fetch(`http://${address}/health`).then(String, () => "none");
      expect(answer).toBe("none");
    },
  );

  it("opens nothing, where it comes before the start's first turn", async () => {
    let stopped: Promise<void> | undefined;
    const service = alone({ action: () => void (stopped = service.stop()) }).init({ argv: [] });
    await service.start();
    await stopped;
    expect(service.server.address).toBe("");
  });
});

it("run ends when the service, or its group, is stopped by whomever", async () => {
  const one = mesh.service("one").handle("One", greeting);
  const running = one.run();
  await one.start();
  await one.stop();
  await within(running, "run");
  const group = createGroup(mesh.service("two").handle("Two", greeting));
  const all = group.run();
  await group.start();
  await group.stop();
  await within(all, "the group's run");
  expect(await mesh.registry.listServices()).toEqual([]);
});

it("a signal that comes while it is stopped by itself is the first one, which changes nothing", async () => {
  const before = process.listenerCount("SIGTERM");
  const order: string[] = [];
  const stop = async (): Promise<void> => {
    await new Promise((resolve) => setTimeout(resolve, 20));
    order.push(`${process.listenerCount("SIGTERM") - before} handlers`);
    process.emit("SIGTERM", "SIGTERM");
  };
  const service = mesh.service("own", { beforeStop: stop }).handle("Own", greeting);
  const running = service.run();
  await service.start();
  await service.stop();
  await within(running, "run");
  const member = mesh.service("member", { beforeStop: stop }).handle("Member", greeting);
  const group = createGroup(member);
  const all = group.run();
  await group.start();
  await group.stop();
  await within(all, "the group's run");
  expect(order).toEqual(["1 handlers", "1 handlers"]);
  expect(process.listenerCount("SIGTERM")).toBe(before);
});

it("run rejects after the stop, where a start fails that was to stop", async () => {
  const order: string[] = [];
  const over = new AbortController();
  let fail!: (error: Error) => void;
  const service = mesh
    .service("late", {
      signal: over.signal,
      beforeStart: () => new Promise<void>((_, reject) => (fail = reject)),
      afterStop: async () => {
        await new Promise((resolve) => setTimeout(resolve, 20));
        order.push("after stop");
      },
    })
    .handle("Late", greeting);
  const running = service.run().catch((error: Error) => order.push(error.message));
  over.abort();
  fail(new Error("no"));
  await running;
  expect(order).toEqual(["after stop", "no"]);
});

describe("a start that fails", () => {
  it.each(["beforeStart", "afterStart"] as const)("in %s closes what it had opened", async (hook) => {
    const service = alone({
      [hook]: async () => {
        await service.broker.start();
        throw new Error("no");
      },
    });
    service.subscribe("topic", () => {});
    await expect(service.start()).rejects.toThrow("no");
    await expect(service.broker.publish("topic", { header: {}, body: Buffer.alloc(0) })).rejects.toMatchObject({
      code: "INVALID_STATE",
    });
    await expect(service.registry.listServices()).rejects.toMatchObject({ code: "INVALID_STATE" });
    await service.stop();
  });
});

it("a stop goes on though a component fails to close", async () => {
  const service = alone({}).subscribe("topic", () => {});
  await service.start();
  service.broker.close = () => Promise.reject(errors.unavailable("broker", "no"));
  await expect(service.stop()).rejects.toMatchObject({ code: "UNAVAILABLE" });
  await expect(service.registry.listServices()).rejects.toMatchObject({ code: "INVALID_STATE" });
});

it.each(["start", "subscribe"] as const)("a stop does not wait for a broker whose %s never settles", async (how) => {
  let asked = false;
  const stuck = broker({ [how]: () => ((asked = true), never()) });
  const service = mesh.service("stuck", { broker: stuck }).handle("Stuck", greeting);
  service.subscribe("topic", () => {});
  const started = service.start();
  await eventually(() => asked, "the broker is asked");
  await within(service.stop(), "the stop");
  await within(started, "the start");
  expect(await mesh.registry.getService("stuck")).toEqual([]);
});

it("a subscription that comes after the stop is closed", async () => {
  const order: string[] = [];
  let go!: () => void;
  const gate = new Promise<void>((resolve) => (go = resolve));
  let asked = false;
  const slow = broker({
    subscribe: async (topic) => {
      asked = true;
      await gate;
      return { topic, close: async () => void order.push("closed") } as Awaited<ReturnType<Broker["subscribe"]>>;
    },
  });
  const service = mesh.service("slow", { broker: slow }).handle("Slow", greeting);
  service.subscribe("topic", () => {});
  const started = service.start();
  await eventually(() => asked, "the broker is asked");
  await service.stop();
  await started;
  order.push("stopped");
  go();
  await eventually(() => order.length === 2, "it is closed");
  expect(order).toEqual(["stopped", "closed"]);
});

it("messages under way take no call's place", async () => {
  const service = mesh.service("busy", { maxInFlight: 2, drain: "1s" }).handle("Busy", greeting);
  service.subscribe("topic", never);
  await service.start();
  for (let n = 0; n < 5; n++) await service.publish("topic", { n }).catch(() => {});
  await eventually(() => service.server.stats.inFlight > 2, "they are under way");
  expect(await mesh.client().call("busy", "Busy.Hello")).toEqual({ ok: true });
});

it("is registered once though its registry was away at first, without an interval", async () => {
  let away = true;
  const register: Registry["register"] = (record, options) =>
    away ? Promise.reject(errors.unavailable("registry", "away")) : mesh.registry.register(record, options);
  const registry = Object.assign(Object.create(mesh.registry) as Registry, { register });
  const service = mesh.service("once", { registry, registerInterval: 0, registerTtl: 0 }).handle("Once", greeting);
  await service.start();
  await mesh.advance("20s");
  expect(await mesh.registry.getService("once")).toEqual([]);
  away = false;
  await mesh.advance("20s");
  expect(await mesh.registry.getService("once")).toHaveLength(1);
  const [record] = await mesh.registry.getService("once");
  if (record !== undefined) await mesh.registry.deregister(record);
  await mesh.advance("10m");
  expect(await mesh.registry.getService("once")).toEqual([]);
});

it("says when it is registered again", async () => {
  let away = false;
  const register: Registry["register"] = (record, options) =>
    away ? Promise.reject(errors.unavailable("registry", "away")) : mesh.registry.register(record, options);
  const registry = Object.assign(Object.create(mesh.registry) as Registry, { register });
  await mesh.service("again", { registry, registerInterval: "10s" }).handle("Again", greeting).start();
  const lines = (): string[] =>
    mesh.logger.records.map(({ message }) => message).filter((line) => /register/.test(line));
  away = true;
  await mesh.advance("25s");
  away = false;
  await mesh.advance("25s");
  expect(lines()).toEqual([
    "Registry [memory] registered node: again-1",
    "again is not registered: registry memory: away",
    "Registry [memory] registered node: again-1",
  ]);
});

it("Debug.Describe tells the record that the registry has", async () => {
  const service = alone({ advertise: "10.0.0.7:80" }).subscribe("topic", () => {});
  await service.start();
  const { address } = service.server;
  const told = await service.client.call("x", "Debug.Describe", {}, { address });
  const [record] = await service.registry.getService("x");
  expect(told).toEqual(record);
  expect(record?.endpoints).toHaveLength(2);
  await service.stop();
});

it("a mesh closes though a handler of its own never ends", async () => {
  const other = testMesh();
  const service = other.service("deaf").handle("Deaf", { hang: never });
  service.subscribe("topic", never);
  await service.start();
  const call = service.client.call("deaf", "Deaf.Hang").catch((error: { code: string }) => error.code);
  await service.publish("topic", {});
  await within(other.close(), "the mesh closes");
  expect(await call).toBe("DRAINING");
});
