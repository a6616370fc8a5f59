import { getEventListeners } from "node:events";
import { afterEach, describe, expect, it } from "vitest";
import { createClient, createService, endpoint, type ClientOptions, type StandardSchemaV1 } from "../../src/index.ts";
import { memoryRegistry } from "../../src/registry/memory.ts";
import type { Selector } from "../../src/selector.ts";
import { randomSelector } from "../../src/selector/random.ts";
import { eventually } from "../../src/testing/suite.ts";
import { faultProxy } from "../fault-proxy.ts";

const open: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const each of open.splice(0).toReversed()) await each.close();
});

function world(wire: string, more: Partial<ClientOptions> = {}) {
  const registry = memoryRegistry();
  const shared = { registry, env: false as const, logLevel: "fatal" as const, protocols: [wire] };
  const client = createClient({ ...shared, ...more });
  open.push(client);
  return {
    registry,
    client,
    service(maxInFlight?: number) {
      const service = createService({
        ...shared,
        name: "s",
        address: "127.0.0.1:0",
        settle: 0,
        drain: "1s",
        maxInFlight,
      });
      open.push({ close: () => service.stop() });
      return service;
    },
  };
}

/** A response schema that waits. */
function waiting(): { schema: StandardSchemaV1; begun: () => boolean; go: () => void } {
  let go: (() => void) | undefined;
  const schema: StandardSchemaV1 = {
    "~standard": {
      version: 1,
      vendor: "x",
      validate: (value) => new Promise((resolve) => (go = () => resolve({ value }))),
    },
  };
  return { schema, begun: () => go !== undefined, go: () => go?.() };
}

describe.each(["sync", "async"])("a response schema that waits, behind a %s handler", (how) => {
  const handler = (): unknown => (how === "sync" ? { n: 1 } : Promise.resolve({ n: 1 }));

  it("is bounded by the call's deadline and signal, in process too", async () => {
    const service = world("fast").service();
    service.handle("S", { slow: endpoint({ response: waiting().schema }, handler) });
    await service.start();
    await expect(service.client.call("s", "S.Slow", {}, { timeout: 20 })).rejects.toMatchObject({ code: "TIMEOUT" });
    const signal = AbortSignal.timeout(20);
    await expect(service.client.call("s", "S.Slow", {}, { signal })).rejects.toMatchObject({ code: "TIMEOUT" });
  });

  it("is waited for by a stop", async () => {
    const { service: make, client } = world("fast");
    const service = make();
    const { schema, begun, go } = waiting();
    service.handle("S", { slow: endpoint({ response: schema }, handler) });
    await service.start();
    const reply = client.call("s", "S.Slow", {});
    await eventually(begun, "the schema's turn");
    const stopped = service.stop();
    await new Promise((resolve) => setImmediate(resolve));
    go();
    expect(await reply).toEqual({ n: 1 });
    await stopped;
  });
});

it("metadata from an iterator go along with a retry", async () => {
  const { service: make, client } = world("fast");
  const held: (() => void)[] = [];
  const service = make(1).handle("S", {
    hold: () => new Promise<object>((resolve) => held.push(() => resolve({}))),
    see: (_: object, ctx) => ({ token: ctx.metadata.get("token") }),
  });
  await service.start();
  await client.call("s", "S.See", {});
  const busy = client.call("s", "S.Hold", {});
  // Right behind it, so it is turned away the first time.
  const reply = client.call("s", "S.See", {}, { metadata: new Map([["token", "t"]]).entries() });
  await eventually(() => held.length === 1, "the first call");
  held[0]?.();
  expect(await reply).toEqual({ token: "t" });
  await busy;
});

it("options that make no sense are a rejection, whatever is loaded", async () => {
  const service = world("fast").service();
  service.handle("S", { hello: () => ({}) });
  await service.start();
  const { client } = service;
  for (let n = 0; n < 2; n++) {
    await client.call("s", "S.Hello", {});
    let call: Promise<unknown> | undefined;
    expect(() => (call = client.call("s", "S.Hello", {}, { timeout: "soon" }))).not.toThrow();
    await expect(call).rejects.toMatchObject({ code: "BAD_REQUEST" });
  }
});

it("a caller in process that gives up is heard by the handler at work", async () => {
  const service = world("fast").service();
  let heard = "";
  service.handle("S", {
    wait: (_: object, { signal }) =>
      new Promise<object>((resolve) =>
        signal.addEventListener("abort", () => {
          heard = (signal.reason as { code: string }).code;
          resolve({});
        }),
      ),
  });
  await service.start();
  await service.client.call("s", "S.Wait", {}, { timeout: 20 }).catch(() => {});
  expect(heard).toBe("TIMEOUT");
  const control = new AbortController();
  const call = service.client.call("s", "S.Wait", {}, { signal: control.signal });
  control.abort();
  await expect(call).rejects.toMatchObject({ code: "CANCELLED" });
  expect(heard).toBe("CANCELLED");
});

it("a handler in process that has answered hears no more of its caller", async () => {
  const service = world("fast").service();
  let inner: AbortSignal | undefined;
  let answered = (): void => {};
  service.handle("S", {
    inner: (_: object, { signal }) => (
      (inner = signal),
      new Promise<object>((resolve) => (answered = () => resolve({})))
    ),
    outer: async (_: object, ctx) => {
      const call = service.client.call("s", "S.Inner", {}, ctx);
      answered();
      await call;
      return new Promise<object>(() => {});
    },
  });
  await service.start();
  await service.client.call("s", "S.Outer", {}, { timeout: 50 }).catch(() => {});
  expect(inner?.aborted).toBe(false);
});

describe("a oneway call", () => {
  it("that a node cannot take goes to another one, and runs once", async () => {
    const { registry, client, service: make } = world("fast");
    const runs: number[] = [];
    const service = make().handle("S", { note: ({ n }: { n: number }) => (runs.push(n), {}) });
    await service.start();
    await client.call("s", "S.Note", { n: 0 });
    const [record] = await registry.getService("s");
    // Nobody listens there.
    const gone = { ...record!.nodes[0]!, id: "s-gone", address: "127.0.0.1:1" };
    await registry.register({ ...record!, nodes: [gone] });
    const all = Array.from({ length: 20 }, (_, n) => n);
    for (const n of all.slice(1)) await client.call("s", "S.Note", { n }, { oneway: true });
    await eventually(() => runs.length >= all.length, "all have run");
    expect(runs.toSorted((a, b) => a - b)).toEqual(all);
  });

  it.each(["fast", "mucp"])(
    "over %s whose connection is lost behind it is not repeated, idempotent or not",
    async (wire) => {
      const { registry, client, service: make } = world(wire);
      let runs = 0;
      const service = make().handle("S", { note: () => (runs++, new Promise<object>(() => {})), hello: () => ({}) });
      await service.start();
      const proxy = await faultProxy(service.server.address);
      open.push(proxy);
      const [record] = await registry.getService("s");
      const { id, metadata } = record!.nodes[0]!;
      await registry.register({ ...record!, nodes: [{ id, metadata, address: proxy.address }] });
      await client.call("s", "S.Hello", {});
      await client.call("s", "S.Note", {}, { oneway: true, idempotent: true });
      await eventually(() => runs === 1, "it runs");
      for (const link of proxy.links) link.cut("rst");
      await client.call("s", "S.Hello", {}, { idempotent: true });
      expect(runs).toBe(1);
    },
  );
});

describe.each(["fast", "mucp", "in process"])("a call that is over (%s)", (how) => {
  it("has told the selector once, and left nothing with its caller's signal", async () => {
    const told: string[] = [];
    const inner = randomSelector();
    const selector: Selector = {
      name: "told",
      select: (...args) => inner.select(...args),
      started: () => void told.push("started"),
      ended: () => void told.push("ended"),
      reset: () => {},
    };
    const { client: plain, service: make } = world(how === "in process" ? "fast" : how, { selector });
    const service = make().handle("S", { hello: () => ({}), fail: () => Promise.reject(new Error("no")) });
    await service.start();
    const client = how === "in process" ? service.client : plain;
    const { signal } = new AbortController();
    for (const oneway of [false, true, false]) {
      await client.call("s", "S.Hello", {}, { signal, oneway });
      await client.call("s", "S.Fail", {}, { signal }).catch(() => {});
    }
    await eventually(() => service.server.stats.inFlight === 0, "all is over");
    expect(getEventListeners(signal, "abort")).toEqual([]);
    const half = how === "in process" ? 0 : 6;
    expect(told.toSorted()).toEqual([...Array(half).fill("ended"), ...Array(half).fill("started")]);
  });
});
