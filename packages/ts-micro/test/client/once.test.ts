import { getEventListeners } from "node:events";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import {
  MicroError,
  createClient,
  createService,
  endpoint,
  type ClientInterceptor,
  type Service,
} from "../../src/index.ts";
import { Peers } from "../../src/client/peers.ts";
import type { Peer, Protocol } from "../../src/protocol.ts";
import type { Node, Registry } from "../../src/registry.ts";
import { memoryRegistry } from "../../src/registry/memory.ts";
import { roundRobinSelector } from "../../src/selector/round-robin.ts";
import { testMesh, type Mesh } from "../../src/testing/mesh.ts";
import { eventually } from "../../src/testing/suite.ts";

// What is to happen once: a handler's run, a choice, a time limit, a listener's life.

let registry: Registry;
const open: { close(): Promise<void> }[] = [];
beforeEach(() => void (registry = memoryRegistry()));
afterEach(async () => {
  for (const each of open.splice(0).toReversed()) await each.close();
});

const shared = () => ({ registry, env: false as const, logLevel: "fatal" as const });

async function serve<N extends string>(name: N, handlers: object, protocols?: string[]): Promise<Service<N>> {
  const options = { ...shared(), name, address: "127.0.0.1:0", settle: 0, drain: 0, maxInFlight: 3 };
  const service = createService({ ...options, ...(protocols === undefined ? {} : { protocols }) });
  service.handle(name.toUpperCase(), handlers as Record<string, () => unknown>);
  await service.start();
  open.push({ close: () => service.stop() });
  return service;
}

describe("a handler", () => {
  it.each(["in process", "grpc"])(
    "that asks for what is not there has run: it is not repeated elsewhere (%s)",
    async (how) => {
      let runs = 0;
      await serve("far", { here: () => ({}) }, ["grpc"]);
      for (let n = 0; n < 2; n++) {
        const near: Service<"near"> = await serve("near", {
          ask: (): Promise<unknown> => {
            runs++;
            if (how === "in process") return near.client.call("near", "NEAR.Nowhere", {});
            return near.client.call("far", "FAR.Nowhere", {});
          },
        });
      }
      const client = createClient(shared());
      open.push(client);
      await expect(client.call("near", "NEAR.Ask", {})).rejects.toMatchObject({ id: "near", code: "NOT_FOUND" });
      expect(runs).toBe(1);
    },
  );

  it("hands on the status of an error that names nobody", async () => {
    await serve("far", {
      teapot: () => {
        throw new MicroError({ id: "go.micro.client", status: 418, code: "BAD_REQUEST", detail: "short and stout" });
      },
    });
    const near: Service<"near"> = await serve("near", { ask: () => near.client.call("far", "FAR.Teapot", {}) });
    const client = createClient(shared());
    open.push(client);
    const told = { id: "go.micro.client", status: 418, detail: "short and stout" };
    await expect(client.call("near", "NEAR.Ask", {})).rejects.toMatchObject(told);
  });

  it.each(["in process", "fast", "mucp", "grpc"])(
    "that waits to send is let go when its caller leaves, having said its last (%s)",
    async (how) => {
      const service = await serve("s", {
        flood: endpoint({ stream: "bidi" }, async function* () {
          for (;;) yield { text: "x".repeat(64 << 10) };
        }),
        hello: () => ({}),
      });
      const other = createClient({ ...shared(), protocols: [how === "in process" ? "fast" : how], retries: 0 });
      open.push(other);
      const client = how === "in process" ? service.client : other;
      for (let n = 0; n < 4; n++) {
        const stream = client.stream("s", "S.Flood", { stream: "bidi" });
        await stream.send({});
        stream.end();
        expect((await stream[Symbol.asyncIterator]().next()).done).toBe(false);
        // It goes on until it has to wait.
        await new Promise((resolve) => setTimeout(resolve, 20));
        stream.cancel();
      }
      await eventually(() => service.server.stats.inFlight === 0, "no handler is under way");
      await eventually(
        () =>
          client.call("s", "S.Hello", {}).then(
            () => true,
            () => false,
          ),
        "there is room for calls",
      );
    },
  );
});

describe("a node is chosen once for a call", () => {
  const passes: ClientInterceptor = (call, next) => next(call);

  it.each([
    ["without interceptors", []],
    ["with one", [passes]],
  ])("that cannot go straight (%s)", async (_, interceptors) => {
    const ran = [0, 0, 0];
    for (let n = 0; n < 3; n++) await serve("s", { hello: () => ((ran[n] = (ran[n] as number) + 1), {}) });
    const client = createClient({ ...shared(), protocols: ["http"], selector: roundRobinSelector(), interceptors });
    open.push(client);
    for (let n = 0; n < 9; n++) await client.call("s", "S.Hello", {});
    expect(ran).toEqual([3, 3, 3]);
  });
});

describe("a stream whose server ends first", () => {
  it.each(["fast", "mucp", "grpc", "http"])(
    "gives all that came before the end, though its source goes on (%s)",
    async (how) => {
      await serve("s", {
        three: endpoint({ stream: "bidi" }, async function* () {
          for (let n = 1; n <= 3; n++) yield { n };
        }),
        hello: () => ({}),
      });
      const client = createClient({ ...shared(), protocols: [how] });
      open.push(client);
      let left = false;
      const source = async function* (): AsyncGenerator<object> {
        try {
          for (;;) {
            await new Promise((resolve) => setTimeout(resolve, 5));
            yield {};
          }
        } finally {
          left = true;
        }
      };
      const seen: unknown[] = [];
      const { S } = client.service("s") as unknown as { S: { three(of: unknown): AsyncIterable<{ n: number }> } };
      await client.call("s", "S.Hello", {});
      for await (const { n } of S.three(source())) {
        seen.push(n);
        await new Promise((resolve) => setTimeout(resolve, 40));
      }
      expect(seen).toEqual([1, 2, 3]);
      await eventually(() => left, "the source is let go");
    },
  );
});

describe("a time limit", () => {
  let mesh: Mesh;
  beforeEach(() => void (mesh = testMesh()));
  afterEach(() => mesh.close());

  it.each([
    ["that is given", { timeout: "29s" }],
    ["by default", undefined],
  ])("%s holds for a call and for what has to be asked before it, together", async (_, options) => {
    const service = mesh.service("s").handle("S", { hang: () => new Promise<never>(() => {}) });
    await service.start();
    const slow = Object.assign(Object.create(mesh.registry) as Registry, {
      getService: async (...args: Parameters<Registry["getService"]>) => {
        await new Promise<void>((resolve) => mesh.clock.after(20_000, resolve));
        return mesh.registry.getService(...args);
      },
    });
    const client = mesh.client({ registry: slow });
    let code: string | undefined;
    client
      .service<typeof service>("s")
      .S.hang({}, options)
      .then(undefined, (error: { code: string }) => (code = error.code));
    await mesh.advance("28s");
    expect(code).toBeUndefined();
    await mesh.advance("3s");
    expect(code).toBe("TIMEOUT");
  });
});

describe("a caller's signal is free again", () => {
  it("when a stream that nobody reads has ended", async () => {
    const service = await serve("s", {
      take: endpoint({ stream: "bidi" }, async function* (messages: AsyncIterable<unknown>) {
        for await (const _ of messages) yield* [];
      }),
    });
    const client = createClient(shared());
    open.push(client);
    const { signal } = new AbortController();
    const stream = client.stream("s", "S.Take", { stream: "bidi", signal });
    await stream.send({});
    stream.end();
    await eventually(() => service.server.stats.inFlight === 0, "it is over");
    await vi.waitFor(() => expect(getEventListeners(signal, "abort")).toEqual([]));
  });

  it("when a selector throws at a call that an interceptor gave it to", async () => {
    await serve("s", { hello: () => ({}) });
    const { signal } = new AbortController();
    let broken = false;
    const inner = roundRobinSelector();
    const select: typeof inner.select = (...args) => {
      if (broken) throw new Error("broken");
      return inner.select(...args);
    };
    const client = createClient({
      ...shared(),
      selector: { ...inner, name: "broken", select, started() {}, ended() {}, reset() {} },
      interceptors: [(call, next) => next({ ...call, options: { ...call.options, signal } })],
    });
    open.push(client);
    await client.call("s", "S.Hello", {});
    broken = true;
    await expect(client.call("s", "S.Hello", {})).rejects.toMatchObject({ code: "INTERNAL" });
    expect(getEventListeners(signal, "abort")).toEqual([]);
  });
});

it("a service whose nodes change leaves the connections to others alone, of like names too", () => {
  const closed: string[] = [];
  const dial = (node: Node): Peer =>
    ({ node, pending: 0, close: async () => void closed.push(node.id) }) as unknown as Peer;
  const peers = new Peers([{ name: "mucp", dial } as unknown as Protocol]);
  const node = (id: string): Node => ({ id, address: `${id}:1`, metadata: {} });
  for (const [id, service] of [
    ["a-1", "a"],
    ["a-2", "a"],
    ["a-b-1", "a-b"],
    ["a-1:1", undefined],
  ] as const)
    peers.of(node(id), service);
  peers.sweep("a", new Set(["a-2"]));
  expect(closed).toEqual(["a-1"]);
});
