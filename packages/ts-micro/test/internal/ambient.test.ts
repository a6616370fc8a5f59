import { AsyncLocalStorage } from "node:async_hooks";
import { execFile } from "node:child_process";
import { setImmediate as turn } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterEach, describe, expect, test, vi } from "vitest";
import { createClient, createService, type Service } from "../../src/index.ts";
import { memoryRegistry } from "../../src/registry/memory.ts";

const users = new AsyncLocalStorage<string>();
const running: { stop(): Promise<unknown> }[] = [];
/** Tenants that calls had which were made when another's time was up. */
const told: unknown[] = [];

/** `outer` calls `seen` before and after it has waited, and tells what came along by itself. */
async function service(): Promise<Service> {
  const made: Service = createService({
    name: "ambient",
    address: "127.0.0.1:0",
    registry: memoryRegistry(),
    env: false,
    logLevel: "fatal",
  });
  const seen = async (): Promise<unknown> => (await probe(made).seen({}))["tenant"];
  made.handle("Probe", {
    seen: (_: object, ctx) => ({ tenant: ctx.metadata.get("X-Tenant") ?? null }),
    own: () => ({ user: users.getStore() ?? null }),
    async outer() {
      const before = await seen();
      await turn();
      return { before, after: await seen(), user: users.getStore() ?? null };
    },
    throws() {
      throw new Error("at once");
    },
    nap: () => new Promise<never>(() => {}),
    async naps() {
      await probe(made)
        .nap({}, { timeout: 20 })
        .catch(() => {});
      // Its own context is still there when the other's time is up.
      await new Promise((resolve) => setTimeout(resolve, 100));
      return {};
    },
    held: (_: object, ctx) =>
      new Promise<never>(() =>
        ctx.signal.addEventListener("abort", () => void seen().then((tenant) => told.push(tenant))),
      ),
  });
  await made.start();
  running.push(made);
  return made;
}

afterEach(async () => {
  for (const one of running.splice(0)) await one.stop();
});

type Call = (request: object, options?: object) => Promise<Record<string, unknown>>;
type Probe = Record<"seen" | "own" | "outer" | "throws" | "nap" | "naps" | "held", Call>;
const probe = (of: { client: { service(name: string): unknown } }): Probe =>
  (of.client.service("ambient") as { Probe: Probe }).Probe;

describe("the ambient context", () => {
  test("goes on behind what a handler waits for, and calls side by side keep their own", async () => {
    const { outer } = probe(await service());
    const tenants = Array.from({ length: 20 }, (_, i) => `t${i}`);
    const replies = await Promise.all(tenants.map((tenant) => outer({}, { metadata: { "X-Tenant": tenant } })));
    expect(replies.map((reply) => [reply["before"], reply["after"]])).toEqual(tenants.map((each) => [each, each]));
  });

  test("of one call is not that of another whose time is up, though one timer serves both", async () => {
    const { naps, held } = probe(await service());
    const calls = [
      naps({}, { metadata: { "X-Tenant": "a" } }),
      held({}, { metadata: { "X-Tenant": "b" }, timeout: 60 }),
    ];
    expect((await Promise.allSettled(calls)).map(({ status }) => status)).toEqual(["fulfilled", "rejected"]);
    await vi.waitFor(() => expect(told).toEqual([null]));
  });

  test("does not stay with the caller, whether the handler answers at once, later or throws", async () => {
    const { seen, outer, throws } = probe(await service());
    await seen({});
    const calls = [seen, outer, throws].map((call) => call({}, { metadata: { "X-Tenant": "inner" } }));
    const after = seen({});
    expect((await Promise.allSettled(calls)).map(({ status }) => status)).toEqual([
      "fulfilled",
      "fulfilled",
      "rejected",
    ]);
    expect(await after).toEqual({ tenant: null });
  });

  test("leaves other storages alone: a handler in process sees its caller's", async () => {
    const { own, outer } = probe(await service());
    await own({});
    const seen = await Promise.all(
      ["ada", "bob"].map((user) => users.run(user, async () => [await own({}), (await outer({}))["user"]])),
    );
    expect(seen).toEqual([
      [{ user: "ada" }, "ada"],
      [{ user: "bob" }, "bob"],
    ]);
  });

  test("over a wire none of the caller's that made the connection stays with later calls", async () => {
    const made = await service();
    const client = createClient({ registry: made.options.registry, env: false });
    running.push({ stop: () => client.close() });
    const { own, outer } = probe({ client });
    expect(await users.run("first", () => own({}))).toEqual({ user: null });
    const replies = await Promise.all(["a", "b"].map((tenant) => outer({}, { metadata: { "X-Tenant": tenant } })));
    expect(replies.map((reply) => reply["after"])).toEqual(["a", "b"]);
  });

  // Node 24 can be told to keep contexts as before.
  const asBefore = "--no-async-context-frame";
  const flags = process.allowedNodeEnvironmentFlags.has(asBefore) ? [[[]], [[asBefore]]] : [[[]]];
  test.each(flags)("leaves nothing with the caller of a handler in process, with Node's %j", async (given) => {
    const child = fileURLToPath(new URL("ambient-child.ts", import.meta.url));
    const args = [...given, "--import", "tsx", child];
    const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: 30_000 });
    const inner = { tenant: "acme", user: "ada" };
    expect(JSON.parse(stdout)).toEqual([inner, inner, { tenant: null, user: null }, null]);
  });
});
