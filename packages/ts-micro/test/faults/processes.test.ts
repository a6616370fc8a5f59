import { rmSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { isMicroError } from "../../src/index.ts";
import { localRegistry } from "../../src/registry/local.ts";
import type { Greeter } from "./replica.ts";
import { World, codes, steady, until } from "./world.ts";

let world: World;
beforeEach(() => void (world = new World()));
afterEach(() => world.close());

const greeterOf = (options = {}) => world.client(options).service<Greeter>("greeter").Greeter;

describe.each(["mucp", "fast"] as const)("%s:", (wire) => {
  beforeEach(() => void (world.protocol = wire));

  describe("a server that is killed under load", { timeout: 90_000 }, () => {
    it("costs no idempotent call, leaves rotation, and every other call settles with a typed reason", async () => {
      const [a] = await Promise.all([world.replica("a"), world.replica("b")]);
      const greet = greeterOf();
      const safe = steady(() => greet.safe());
      const plain = steady(() => greet.hello());
      await until(() => safe.tally.from.size === 2 && plain.tally.from.size === 2, "both replicas answer");
      a.kill("SIGKILL");
      await a.gone;
      const before = safe.tally.calls;
      await until(() => safe.tally.calls > before + 500, "calls go on");
      const [{ failed }, others] = await Promise.all([safe.stop(), plain.stop()]);
      expect(codes(failed)).toEqual([]);
      expect(codes(others.failed).filter((code) => code !== "CONNECTION_LOST")).toEqual([]);
      expect(others.failed.length).toBeLessThanOrEqual(8);
    });

    it("is out of the registry before anybody's deadline", async () => {
      const a = await world.replica("a");
      const registry = localRegistry({ directory: world.directory });
      try {
        const watcher = registry.watch({ service: "greeter" });
        await watcher.ready;
        const deleted = (async () => {
          for await (const { action } of watcher) if (action === "delete") return performance.now();
          return undefined;
        })();
        a.kill("SIGKILL");
        await a.gone;
        expect(await deleted).toBeDefined();
        expect(await registry.getService("greeter")).toEqual([]);
      } finally {
        await registry.close();
      }
    });

    it("gives streams that ran on it CONNECTION_LOST, not an end", async () => {
      const a = await world.replica("a");
      const stream = greeterOf().count({ to: 1_000_000, ms: 1 });
      const error = await (async () => {
        for await (const { n } of stream) if (n === 5) a.kill("SIGKILL");
        return "a clean end";
      })().catch((reason: unknown) => reason);
      expect(isMicroError(error) && error.code).toBe("CONNECTION_LOST");
    });
  });

  describe("a server that is paused under load", { timeout: 90_000 }, () => {
    it("lets every call settle within its deadline, is avoided, and is used again when it goes on", async () => {
      const [a] = await Promise.all([world.replica("a"), world.replica("b")]);
      const greet = greeterOf({ requestTimeout: "2s" });
      const load = steady(() => greet.hello());
      await until(() => load.tally.from.size === 2, "both replicas answer");
      a.kill("SIGSTOP");
      await until(() => load.tally.failed.length > 0, "calls to the paused node run into their deadline");
      const avoided = load.tally.calls;
      await until(() => load.tally.calls > avoided + 500, "calls go on beside it");
      expect(codes(load.tally.failed)).toEqual(["TIMEOUT"]);
      // Those under way when it stopped, and a probe now and then.
      expect(load.tally.failed.length).toBeLessThanOrEqual(16);
      a.kill("SIGCONT");
      const resumed = performance.now();
      await until(() => (load.tally.last.get("a") ?? 0) > resumed, "the node is used again", 60);
      const { slowestMs } = await load.stop();
      expect(slowestMs).toBeLessThan(20_000);
    });

    it("costs no idempotent call", async () => {
      const [a] = await Promise.all([world.replica("a"), world.replica("b")]);
      const greet = greeterOf({ attemptTimeout: "500ms", requestTimeout: "30s" });
      const load = steady(() => greet.safe());
      await until(() => load.tally.from.size === 2, "both replicas answer");
      a.kill("SIGSTOP");
      await new Promise((resolve) => setTimeout(resolve, 1500));
      const before = load.tally.calls;
      await until(() => load.tally.calls > before + 300, "calls go on");
      expect(codes((await load.stop()).failed)).toEqual([]);
    });
  });

  describe("replicas restarted in turn under load", { timeout: 120_000 }, () => {
    it("fail no call, idempotent or not", async () => {
      let [a, b] = await Promise.all([world.replica("a1"), world.replica("b1")]);
      const greet = greeterOf();
      const load = steady(() => greet.hello());
      await until(() => load.tally.from.size === 2, "both replicas answer");
      for (const round of [2, 3]) {
        a.kill("SIGTERM");
        await a.gone;
        a = await world.replica(`a${round}`);
        await until(() => load.tally.from.has(`a${round}`), "the new replica answers");
        b.kill("SIGTERM");
        await b.gone;
        b = await world.replica(`b${round}`);
        await until(() => load.tally.from.has(`b${round}`), "the new replica answers");
      }
      const { failed, calls } = await load.stop();
      expect(failed.map(String)).toEqual([]);
      expect(calls).toBeGreaterThan(200);
    });

    it("finish what is under way when they are told to stop", async () => {
      const a = await world.replica("a");
      const greet = greeterOf();
      await greet.hello();
      const slow = greet.slow({ ms: 3000 });
      const counted: number[] = [];
      const stream = (async () => {
        for await (const { n } of greet.count({ to: 20, ms: 100 })) counted.push(n);
      })();
      await until(() => counted.length > 0, "the stream runs");
      a.kill("SIGTERM");
      expect(await slow).toEqual({ from: "a" });
      await stream;
      expect(counted).toHaveLength(20);
      await a.gone;
    });

    it("come back on the same port after a kill, and are called again", async () => {
      const a = await world.replica("a1");
      const greet = greeterOf();
      expect(await greet.hello()).toEqual({ from: "a1" });
      a.kill("SIGKILL");
      await a.gone;
      await world.replica("a2", { MICRO_SERVER_ADDRESS: a.address });
      await until(
        () =>
          greet.hello().then(
            ({ from }) => from === "a2",
            () => false,
          ),
        "the new process answers on the old port",
      );
      const load = steady(() => greet.hello());
      await until(() => load.tally.calls > 100, "calls go on");
      expect((await load.stop()).failed).toEqual([]);
    });
  });
});

describe("a registry directory that is swept away", { timeout: 60_000 }, () => {
  it("fails no call, and everybody is found again", async () => {
    await Promise.all([world.replica("a"), world.replica("b")]);
    const greet = greeterOf();
    const load = steady(() => greet.hello());
    await until(() => load.tally.from.size === 2, "both replicas answer");
    rmSync(world.directory, { recursive: true, maxRetries: 5 });
    const before = load.tally.calls;
    await until(() => load.tally.calls > before + 300, "calls go on");
    await until(async () => {
      const registry = localRegistry({ directory: world.directory });
      const found = await registry.getService("greeter").catch(() => []);
      await registry.close();
      return found.flatMap(({ nodes }) => nodes).length === 2;
    }, "both are in the registry again");
    expect((await load.stop()).failed.map(String)).toEqual([]);
  });
});
