import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { createGroup, createService, endpoint, errors, type Context } from "../../src/index.ts";
import { localRegistry } from "../../src/registry/local.ts";
import { testMesh, type Mesh } from "../../src/testing/mesh.ts";

let mesh: Mesh;
beforeEach(() => void (mesh = testMesh()));
afterEach(() => mesh.close());

const greeting = { hello: () => ({ ok: true }) };

/** What is written to standard output meanwhile. */
async function printed(run: () => Promise<void>): Promise<unknown[]> {
  const written: unknown[] = [];
  const write = vi.spyOn(process.stdout, "write").mockImplementation((text) => written.push(text) > 0);
  try {
    await run();
  } finally {
    write.mockRestore();
  }
  return written;
}

describe("a service", () => {
  it("registers one node with Go's metadata, its endpoints and their types", async () => {
    const service = mesh.service("greeter", { version: "1.2.3", metadata: { zone: "a" } }).handle("Greeter", {
      hello: greeting.hello,
      async *count({ to }: { to: number }) {
        yield to;
      },
    });
    await service.start();
    const [record] = await mesh.registry.getService("greeter");
    expect(record).toMatchObject({ name: "greeter", version: "1.2.3" });
    expect(record?.nodes).toEqual([
      {
        id: "greeter-1",
        address: "greeter-1",
        metadata: expect.objectContaining({
          protocol: "mucp",
          transport: "memory",
          registry: "memory",
          broker: "memory",
          server: "mucp",
          zone: "a",
        }) as object,
      },
    ]);
    expect(record?.endpoints.map(({ name, metadata }) => [name, metadata])).toEqual([
      ["Greeter.Hello", {}],
      ["Greeter.Count", { stream: "true", kind: "server" }],
    ]);
  });

  it("registers again at each interval, and comes back after the registry lost it", async () => {
    const service = mesh
      .service("greeter", { registerTtl: "60s", registerInterval: "20s" })
      .handle("Greeter", greeting);
    await service.start();
    await mesh.advance("5m");
    expect(await mesh.registry.getService("greeter")).toHaveLength(1);
    const [record] = await mesh.registry.getService("greeter");
    if (record !== undefined) await mesh.registry.deregister(record);
    expect(await mesh.registry.getService("greeter")).toHaveLength(0);
    await mesh.advance("21s");
    expect(await mesh.registry.getService("greeter")).toHaveLength(1);
  });

  it("is out of the registry while its check fails, and back when it passes", async () => {
    let healthy = true;
    const service = mesh
      .service("greeter", {
        registerInterval: "10s",
        registerCheck: () => (healthy ? undefined : Promise.reject(new Error("no database"))),
      })
      .handle("Greeter", greeting);
    await service.start();
    healthy = false;
    await mesh.advance("11s");
    expect(await mesh.registry.getService("greeter")).toHaveLength(0);
    expect(service.server.registrationError).toContain("no database");
    healthy = true;
    await mesh.advance("20s");
    expect(await mesh.registry.getService("greeter")).toHaveLength(1);
  });

  it("does not start with a registry that there is none of, and leaves nothing open", async () => {
    const service = createService({
      name: "x",
      registry: "locale",
      address: "127.0.0.1:0",
      env: false,
      logLevel: "fatal",
    });
    service.handle("X", greeting);
    await expect(service.start()).rejects.toMatchObject({
      code: "NOT_FOUND",
      detail: expect.stringContaining("local, mdns, memory") as string,
    });
    await service.stop();
  });

  it("says once which registry it cannot register with, and why", async () => {
    const directory = await mkdtemp(join(tmpdir(), "ts-micro-"));
    try {
      await writeFile(join(directory, "file"), "");
      const registry = localRegistry({ directory: join(directory, "file", "below") });
      const service = createService({
        name: "x",
        registry,
        address: "127.0.0.1:0",
        env: false,
        logLevel: "fatal",
        settle: 0,
      });
      service.handle("X", greeting);
      await service.start();
      expect(service.server.registrationError).toMatch(
        /^registry local: the directory .+ of the local registry cannot/,
      );
      await service.stop();
      await registry.close();
    } finally {
      await rm(directory, { recursive: true });
    }
  });

  it("takes a check that never settles for a failed one", async () => {
    let hangs = false;
    const service = mesh
      .service("greeter", {
        registerInterval: "10s",
        registerCheck: () => (hangs ? new Promise<void>(() => {}) : undefined),
      })
      .handle("Greeter", greeting);
    await service.start();
    hangs = true;
    await mesh.advance("21s");
    expect(await mesh.registry.getService("greeter")).toHaveLength(0);
    expect(service.server.registrationError).toContain("did not settle");
    await service.stop();
  });

  it("runs its hooks in order, and a failing start hook stops it", async () => {
    const order: string[] = [];
    const service = mesh
      .service("greeter", {
        beforeStart: [() => void order.push("before start 1"), () => void order.push("before start 2")],
        afterStart: () => void order.push("after start"),
        beforeStop: () => void order.push("before stop"),
        afterStop: () => void order.push("after stop"),
      })
      .handle("Greeter", greeting);
    await service.start();
    await service.stop();
    await service.stop();
    expect(order).toEqual(["before start 1", "before start 2", "after start", "before stop", "after stop"]);
    const bad = mesh.service("bad", { afterStart: () => Promise.reject(new Error("no")) }).handle("Bad", greeting);
    await expect(bad.start()).rejects.toThrow("no");
    expect(await mesh.registry.getService("bad")).toHaveLength(0);
  });

  it("finishes calls under way before it stops, and refuses new ones in a way that is safe to retry", async () => {
    let finish!: () => void;
    const slow = new Promise<void>((resolve) => (finish = resolve));
    const first = mesh.service("greeter").handle("Greeter", { hello: () => slow.then(() => ({ from: "first" })) });
    await first.start();
    const client = mesh.client();
    const call = client.call("greeter", "Greeter.Hello");
    while (first.server.stats.inFlight === 0) await mesh.advance(1);
    const stopping = first.stop();
    const second = mesh.service("greeter").handle("Greeter", { hello: () => ({ from: "second" }) });
    await second.start();
    await mesh.advance(1);
    expect(await client.call("greeter", "Greeter.Hello")).toEqual({ from: "second" });
    finish();
    expect(await call).toEqual({ from: "first" });
    await stopping;
  });

  it("cuts calls off that outlast the drain time", async () => {
    const service = mesh
      .service("greeter", { drain: "5s" })
      .handle("Greeter", { hello: () => new Promise<never>(() => {}) });
    await service.start();
    const call = mesh
      .client()
      .call("greeter", "Greeter.Hello")
      .catch((error: unknown) => error);
    await mesh.advance(1);
    const stopping = service.stop();
    await mesh.advance("6s");
    await stopping;
    expect(await call).toMatchObject({ name: "MicroError" });
  });

  it("refuses what exceeds its limit of calls at once", async () => {
    let finish!: () => void;
    const gate = new Promise<void>((resolve) => (finish = resolve));
    const service = mesh
      .service("greeter", { maxInFlight: 2 })
      .handle("Greeter", { hello: () => gate.then(() => ({})) });
    await service.start();
    const client = mesh.client({ retries: 0 });
    const calls = [1, 2].map(() => client.call("greeter", "Greeter.Hello"));
    await mesh.advance(1);
    await expect(client.call("greeter", "Greeter.Hello")).rejects.toMatchObject({ code: "RESOURCE_EXHAUSTED" });
    finish();
    await Promise.all(calls);
  });

  it("answers Debug.Health, Debug.Stats and Debug.Describe, which it does not advertise", async () => {
    const service = mesh.service("greeter").handle("Greeter", greeting);
    await service.start();
    const client = mesh.client();
    expect(await client.call("greeter", "Debug.Health")).toEqual({ status: "ok" });
    expect(await client.call("greeter", "Debug.Stats")).toMatchObject({
      requests: expect.any(Number) as number,
      uptime: expect.any(Number) as number,
    });
    expect(await client.call("greeter", "Debug.Describe")).toMatchObject({ name: "greeter" });
    const [record] = await mesh.registry.getService("greeter");
    expect(record?.endpoints.map(({ name }) => name)).toEqual(["Greeter.Hello"]);
  });

  it("refuses handlers, subscribers and init once it has started", async () => {
    const service = mesh.service("greeter").handle("Greeter", greeting);
    await service.start();
    expect(() => service.handle("Other", greeting)).toThrow("before start");
    expect(() => service.subscribe("x", () => {})).toThrow("before start");
    expect(() => service.init({ version: "2" })).toThrow("before start");
  });

  it("refuses two handlers that meet in one endpoint, reserved names and empty groups", () => {
    const make = () => createService({ name: "x", env: false });
    expect(() => make().handle("G", { hello: () => 1, Hello: () => 2 })).toThrow("both the endpoint G.Hello");
    expect(() => make().handle("G", greeting).handle("G", greeting)).toThrow("already");
    expect(() => make().handle("G", { then: () => 1 })).toThrow("cannot be an endpoint");
    expect(() => make().handle("G", {})).toThrow("no handler");
    expect(() =>
      make().handle("G", {
        *count() {
          yield 1;
        },
      }),
    ).toThrow("async *count()");
    expect(() => make().handle("a.b", greeting)).toThrow("no name");
  });

  it("takes the methods of a class, own and inherited, and none that start with _", async () => {
    class Base {
      inherited(): object {
        return { from: "base" };
      }
    }
    class Greeter extends Base {
      #name = "ada";
      hello(): object {
        return { name: this.#name };
      }
      _hidden(): object {
        return {};
      }
      get size(): number {
        throw new Error("an accessor was run");
      }
    }
    const service = mesh.service("greeter").register(new Greeter());
    await service.start();
    const client = mesh.client();
    expect(await client.call("greeter", "Greeter.Hello")).toEqual({ name: "ada" });
    expect(await client.call("greeter", "Greeter.Inherited")).toEqual({ from: "base" });
    await expect(client.call("greeter", "Greeter._hidden")).rejects.toThrow("can't find method");
    expect(() => createService({ name: "x", env: false }).register(new (class {})())).toThrow("handle(");
  });

  it("lays init, environment and flags over its options, only what was set", () => {
    const service = createService({
      name: "greeter",
      version: "1",
      address: "127.0.0.1:0",
      metadata: { a: "1" },
      env: { MICRO_SERVER_VERSION: "3", MICRO_REGISTER_TTL: "7", MICRO_REGISTRY: "memory" },
    });
    service.init({
      version: "2",
      argv: ["--server-id=abc", "--server_metadata", "b=2=3", "--server-metadata=c=4", "--unknown", "rest"],
    });
    expect(service.server.version).toBe("3");
    expect(service.server.id).toBe("abc");
    expect(service.registry.name).toBe("memory");
  });

  it.each([
    ["2.0.0", ["-v", "--server_version=2.0.0"]],
    ["3.0.0", ["-v"]],
  ])("prints its version as it stands, %s", async (version, argv) => {
    const env = { MICRO_SERVER_VERSION: "3.0.0" };
    const service = createService({ name: "x", version: "1.0.0", env }).init({ argv });
    expect(await printed(() => service.run())).toEqual([`${version}\n`]);
  });

  it("changes by init only what was really set, of its client's options too", () => {
    const tls = { ca: "authority" };
    const service = createService({ name: "x", address: "127.0.0.1:0", client: { tls, retries: 2 }, env: false });
    service.init({ address: undefined, client: { retries: 1, tls: undefined } }).init({ client: undefined });
    expect(service.options).toMatchObject({ address: "127.0.0.1:0", client: { tls, retries: 1 } });
  });
});

describe("publish and subscribe", () => {
  it("gives every subscriber each message once and one of a queue, to functions and objects", async () => {
    const seen: string[] = [];
    class Sub {
      one(message: { n: number }): void {
        seen.push(`one ${message.n}`);
      }
      async two(message: { n: number }): Promise<void> {
        await Promise.resolve();
        seen.push(`two ${message.n}`);
      }
    }
    const take = (name: string) => (message: { n: number }, ctx: Context) =>
      void seen.push(`${name} ${message.n} ${ctx.metadata.get("x-user") ?? ""}`.trim());
    const a = mesh
      .service("a")
      .handle("A", greeting)
      .subscribe("news", take("a"))
      .subscribe("news", new Sub())
      .subscribe("news", take("q1"), { queue: "q" });
    const b = mesh.service("b").handle("B", greeting).subscribe("news", take("q2"), { queue: "q" });
    await a.start();
    await b.start();
    await a.publish("news", { n: 1 }, { metadata: { "x-user": "ada" } });
    await mesh.advance(1);
    expect(seen.filter((line) => line.startsWith("q"))).toHaveLength(1);
    expect(seen.filter((line) => !line.startsWith("q")).sort()).toEqual(["a 1 ada", "one 1", "two 1"]);
  });

  it("lists subscribers in the registry record", async () => {
    class Sub {
      handle(): void {}
    }
    const a = mesh
      .service("a")
      .handle("A", greeting)
      .subscribe("news", new Sub())
      .subscribe("other", () => {}, { internal: true });
    await a.start();
    const [record] = await mesh.registry.getService("a");
    expect(record?.endpoints.slice(1)).toEqual([
      expect.objectContaining({ name: "Sub.Handle", metadata: { topic: "news", subscriber: "true" } }),
    ]);
  });

  it("contains a subscriber that fails", async () => {
    const seen: number[] = [];
    const a = mesh
      .service("a")
      .handle("A", greeting)
      .subscribe("news", () => {
        throw errors.conflict("x", "no");
      })
      .subscribe<{ n: number }>("news", ({ n }) => void seen.push(n));
    await a.start();
    await a.publish("news", { n: 1 });
    await a.publish("news", { n: 2 });
    await mesh.advance(1);
    expect(seen).toEqual([1, 2]);
  });
});

describe("in process", () => {
  it("a service calls itself without codec or socket, with all semantics", async () => {
    const service = mesh.service("self").handle("Self", {
      echo: (request: { when: Date }, ctx) => ({
        same: request.when instanceof Date,
        user: ctx.metadata.get("x-user"),
        left: ctx.remaining(),
      }),
      fail: () => {
        throw errors.conflict("self", "no");
      },
      hang: () => new Promise<never>(() => {}),
      async *count({ to }: { to: number }) {
        for (let n = 1; n <= to; n++) yield { n };
      },
    });
    await service.start();
    const self = service.client.service<typeof service>("self").Self;
    expect(await self.echo({ when: new Date() }, { metadata: { "x-user": "ada" }, timeout: "3s" })).toEqual({
      same: true,
      user: "ada",
      left: 3000,
    });
    await expect(self.fail()).rejects.toMatchObject({ code: "CONFLICT" });
    const late = self.hang({}, { timeout: "1s" }).catch((error: unknown) => error);
    await mesh.advance("2s");
    expect(await late).toMatchObject({ code: "TIMEOUT" });
    const seen: number[] = [];
    for await (const { n } of self.count({ to: 3 })) seen.push(n);
    expect(seen).toEqual([1, 2, 3]);
    await expect(service.client.call("self", "Self.Nope")).rejects.toThrow("can't find method");
  });

  it("calls count, and are bounded, like those of others", async () => {
    let finish!: () => void;
    const gate = new Promise<void>((resolve) => (finish = resolve));
    const service = mesh.service("self", { maxInFlight: 1 }).handle("Self", { hold: () => gate.then(() => ({})) });
    await service.start();
    const held = service.client.call("self", "Self.Hold");
    while (service.server.stats.inFlight === 0) await mesh.advance(1);
    await expect(service.client.call("self", "Self.Hold")).rejects.toMatchObject({ code: "RESOURCE_EXHAUSTED" });
    finish();
    await held;
    expect(service.server.stats).toMatchObject({ requests: 2, inFlight: 0 });
  });

  it("a stream runs ahead of its reader as over a wire, and delivers its error after what came before it", async () => {
    const service = mesh.service("self").handle("Self", {
      sum: endpoint({ stream: "client" }, async (numbers) => {
        let total = 0;
        for await (const n of numbers) total += n as number;
        return { total };
      }),
      async *fails() {
        yield 1;
        yield 2;
        throw errors.conflict("self", "enough");
      },
    });
    await service.start();
    const stream = service.client.stream<{ total: number }, number>("self", "Self.Sum", { stream: "client" });
    for (let n = 1; n <= 50; n++) await stream.send(n);
    stream.end();
    const totals: unknown[] = [];
    for await (const reply of stream) totals.push(reply);
    expect(totals).toEqual([{ total: 1275 }]);
    const seen: unknown[] = [];
    const error = await (async () => {
      for await (const n of service.client.service<typeof service>("self").Self.fails()) seen.push(n);
    })().catch((reason: unknown) => reason);
    expect(seen).toEqual([1, 2]);
    expect(error).toMatchObject({ code: "CONFLICT" });
  });

  it("a group starts and stops together, and its services call each other without a socket", async () => {
    const a = mesh
      .service("a")
      .handle("A", { echo: (request: { when: Date }) => ({ same: request.when instanceof Date }) });
    const b = mesh.service("b");
    b.handle("B", { relay: () => b.client.call("a", "A.Echo", { when: new Date() }) });
    const group = createGroup(a, b);
    await group.start();
    expect(await mesh.client().call("b", "B.Relay")).toEqual({ same: true });
    await group.stop();
    expect(await mesh.registry.listServices()).toEqual([]);
  });

  it("a group knows its services by the names that the environment gives them", async () => {
    const same = { handle: (request: { when: unknown }) => ({ same: request.when instanceof Date }) };
    const a = mesh.service("a", { env: { MICRO_SERVER_NAME: "renamed" } }).handle("A", same);
    const b = mesh.service("b").handle("B", greeting);
    const group = createGroup(a, b);
    await group.start();
    expect(await b.client.call("renamed", "A.Handle", { when: new Date() })).toEqual({ same: true });
    await group.stop();
  });

  it("prints help, and starts nobody, where one of its services is asked for it", async () => {
    let started = false;
    const a = mesh.service("a", { beforeStart: () => void (started = true) });
    const b = mesh.service("b").init({ argv: ["-h"] });
    const ended = { signal: AbortSignal.abort() };
    expect(await printed(() => createGroup(a, b).run(ended))).toEqual([expect.stringMatching(/^b\n[^]*--server_name/)]);
    expect(started).toBe(false);
  });
});
