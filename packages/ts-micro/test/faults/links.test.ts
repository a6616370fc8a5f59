import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  createClient,
  createService,
  endpoint,
  isMicroError,
  type Client,
  type ClientOptions,
  type MicroError,
  type Service,
} from "../../src/index.ts";
import { fast } from "../../src/protocol/fast.ts";
import { memoryRegistry } from "../../src/registry/memory.ts";
import { faultProxy, type FaultProxy } from "../fault-proxy.ts";
import { codes, until } from "./world.ts";

let wire: "mucp" | "fast";
let service: Service;
let proxy: FaultProxy;
let clients: Client[];
let running = 0;
let aborted = 0;
let ran = 0;

beforeEach(async () => {
  running = aborted = ran = 0;
  clients = [];
  service = createService({
    name: "target",
    registry: memoryRegistry(),
    address: "127.0.0.1:0",
    settle: 0,
    drain: "100ms",
    logLevel: "fatal",
    env: false,
  }).handle("Target", {
    echo: (request: { text: string }) => (ran++, request),
    wait: async (_: object, ctx) => {
      running++;
      await new Promise<void>((resolve) => ctx.signal.addEventListener("abort", () => (aborted++, resolve())));
      running--;
      return {};
    },
    async *count({ to, pad }: { to: number; pad: number }, ctx) {
      ctx.signal.addEventListener("abort", () => aborted++);
      for (let n = 1; n <= to; n++) {
        await new Promise((resolve) => setImmediate(resolve));
        yield { n, pad: "x".repeat(pad) };
      }
    },
    chat: endpoint({ stream: "bidi" }, async function* (messages, ctx) {
      ctx.signal.addEventListener("abort", () => aborted++);
      for await (const message of messages) yield message;
    }),
  });
  await service.start();
  proxy = await faultProxy(service.server.address);
});
afterEach(async () => {
  await Promise.all(clients.map((client) => client.close()));
  await proxy.close();
  await service.stop();
});

/** A client whose only node is reached through the proxy. */
function client(options: ClientOptions = {}): Client {
  const node = { id: "target-1", address: proxy.address, metadata: { protocol: "mucp", "ts-wire": "1" } };
  const endpoints = ["Count", "Chat"].map((name) => ({
    name: `Target.${name}`,
    metadata: { stream: "true", kind: name === "Count" ? "server" : "bidi" },
  }));
  const registry = memoryRegistry({
    services: [{ name: "target", version: "latest", metadata: {}, endpoints, nodes: [node] }],
  });
  const made = createClient({
    registry,
    env: false,
    logLevel: "fatal",
    requestTimeout: "1h",
    protocols: [wire],
    ...options,
  });
  clients.push(made);
  return made;
}

async function failure(promise: Promise<unknown>): Promise<MicroError> {
  const error: unknown = await promise.then(
    () => new Error("it succeeded"),
    (reason: unknown) => reason,
  );
  if (!isMicroError(error)) throw error;
  return error;
}

const request = { text: "t".repeat(2000) };
const idle = (): Promise<void> =>
  until(() => service.server.stats.inFlight === 0, "nothing is under way at the server");

describe.each(["mucp", "fast"] as const)("%s:", (name) => {
  beforeEach(() => void (wire = name));
  /** Where the connection did not even come about, fast framing says so. */
  const lost = name === "mucp" ? ["CONNECTION_LOST"] : ["CONNECTION_LOST", "UNAVAILABLE"];

  describe("a link that is cut", { timeout: 60_000 }, () => {
    for (const how of ["fin", "rst"] as const) {
      it(`(${how}) before the request has all left settles the call, which did not run and is not repeated`, async () => {
        for (const bytes of [1, 50, 400, 1500]) {
          proxy.onLink = (link) => link.truncateUp(bytes, how);
          expect(lost).toContain((await failure(client({ retries: 3 }).call("target", "Target.Echo", request))).code);
        }
        expect(ran).toBe(0);
        await idle();
      });

      it(`(${how}) inside the reply settles the call, which ran once`, async () => {
        // Of fast framing the first 43 are its preface and settings: nothing has been asked.
        for (const bytes of name === "mucp" ? [0, 1, 30, 150, 1500] : [44, 53, 150, 1500]) {
          proxy.onLink = (link) => link.truncateDown(bytes, how);
          const before = ran;
          expect(["CONNECTION_LOST", "PROTOCOL"]).toContain(
            (await failure(client({ retries: 3 }).call("target", "Target.Echo", request))).code,
          );
          expect(ran - before).toBe(1);
        }
        await idle();
      });

      it(`(${how}) while the handler runs cancels the handler`, async () => {
        const error = failure(client().call("target", "Target.Wait"));
        await until(() => running === 1, "the handler runs");
        proxy.cutAll(how);
        expect((await error).code).toBe("CONNECTION_LOST");
        await until(() => aborted === 1, "the handler is told");
        await idle();
      });

      it(`(${how}) at any byte of a stream's replies is an error and never a clean end`, async () => {
        for (const bytes of [0, 1, 60, 300, 1000, 5000, 20_000]) {
          proxy.onLink = (link) => link.truncateDown(bytes, how);
          const seen: number[] = [];
          const error = await failure(
            (async () => {
              for await (const { n } of client()
                .service<{ Target: { count(request: { to: number; pad: number }): AsyncIterable<{ n: number }> } }>(
                  "target",
                )
                .Target.count({ to: 1000, pad: 100 }))
                seen.push(n);
            })(),
          );
          expect([...lost, "PROTOCOL"]).toContain(error.code);
          expect(seen).toEqual(Array.from({ length: seen.length }, (_, i) => i + 1));
        }
        await idle();
      });

      it(`(${how}) at any byte of a stream's requests settles both ends`, async () => {
        for (const bytes of [1, 100, 700, 3000]) {
          proxy.onLink = (link) => link.truncateUp(bytes, how);
          const chat = client().stream<{ n: number }, { n: number; pad: string }>("target", "Target.Chat", {
            stream: "bidi",
          });
          const read = failure(
            (async () => {
              for await (const _ of chat);
            })(),
          );
          const sent = (async () => {
            for (let n = 0; n < 100; n++) await chat.send({ n, pad: "x".repeat(100) });
          })().catch((error: unknown) => error);
          expect(lost).toContain((await read).code);
          await sent;
        }
        await idle();
      });
    }

    it("at once for a thousand calls under way settles them all, and leaves nothing behind", async () => {
      const caller = client({ retries: 0 });
      const calls = Array.from({ length: 1000 }, () => failure(caller.call("target", "Target.Wait")));
      await until(() => running === 1000, "a thousand handlers run", 50);
      proxy.cutAll("rst");
      const settled = await Promise.all(calls);
      expect(codes(settled)).toEqual(["CONNECTION_LOST"]);
      await until(() => running === 0, "every handler was told");
      await idle();
      expect(aborted).toBe(1000);
      expect(await caller.call("target", "Target.Echo", request)).toEqual(request);
      await until(() => proxy.open <= 1, "connections are gone");
    });

    it("and refused from then on is UNAVAILABLE, safe to repeat", async () => {
      proxy.refusing = true;
      const error = await failure(client({ retries: 0 }).call("target", "Target.Echo", request));
      expect(["UNAVAILABLE", "CONNECTION_LOST"]).toContain(error.code);
      await proxy.close();
      const gone = await failure(client({ retries: 0 }).call("target", "Target.Echo", request));
      expect(gone).toMatchObject({ code: "UNAVAILABLE", refused: true });
    });
  });

  describe("a link that goes silent", { timeout: 60_000 }, () => {
    it("lets a call, and a stream with a deadline, settle with TIMEOUT, and the next call use a new connection", async () => {
      // One connection for all: that it is silent must show before another is made.
      const brisk = name === "mucp" ? {} : { protocols: [fast({ pingInterval: "100ms", pingTimeout: "200ms" })] };
      const silent = name === "mucp" ? "TIMEOUT" : "CONNECTION_LOST";
      const caller = client({ requestTimeout: "500ms", retries: 0, ...brisk });
      await caller.call("target", "Target.Echo", request);
      for (const link of proxy.links) link.freeze();
      expect((await failure(caller.call("target", "Target.Echo", request))).code).toBe(silent);
      expect(await caller.call("target", "Target.Echo", request)).toEqual(request);
      const stream = caller.stream<{ n: number }>("target", "Target.Chat", { stream: "bidi", timeout: "700ms" });
      await stream.send({ n: 1 });
      const iterator = stream[Symbol.asyncIterator]();
      expect((await iterator.next()).value).toEqual({ n: 1 });
      for (const link of proxy.links) link.freeze();
      expect((await failure(iterator.next())).code).toBe(silent);
    });

    it("does not hold up a server that stops", async () => {
      const caller = client({ requestTimeout: "300ms", retries: 0 });
      await caller.call("target", "Target.Echo", request);
      const waiting = failure(caller.call("target", "Target.Wait"));
      await until(() => running === 1, "the handler runs");
      for (const link of proxy.links) link.freeze();
      await service.stop();
      expect((await waiting).code).toBe("TIMEOUT");
    });
  });

  describe("a reader that is slow", { timeout: 60_000 }, () => {
    it("slows the server's stream down instead of filling memory", async () => {
      const caller = client();
      const stream = caller
        .service<{ Target: { count(request: { to: number; pad: number }): AsyncIterable<{ n: number }> } }>("target")
        .Target.count({ to: 4000, pad: 64 * 1024 });
      const iterator = stream[Symbol.asyncIterator]();
      await iterator.next();
      await until(() => proxy.bytes > 64 * 1024, "data flows");
      // 256 MiB would come; with nobody reading only what buffers hold does.
      let last = -1;
      await until(
        () => {
          const still = proxy.bytes === last;
          last = proxy.bytes;
          return still;
        },
        "the stream comes to a halt",
        30,
      );
      expect(proxy.bytes).toBeLessThan(64 * 1024 * 1024);
      await iterator.return?.();
      await idle();
    });
  });

  describe("a link that corrupts", { timeout: 60_000 }, () => {
    it("costs single calls with a typed reason and never the server", async () => {
      let at = 0;
      proxy.onLink = (link) => link.up.corrupt((at = (at * 7 + 13) % 300), 0x80);
      const outcomes = await Promise.all(
        Array.from({ length: 60 }, () =>
          client({ retries: 0, requestTimeout: "5s" })
            .call("target", "Target.Echo", request)
            .catch((error: unknown) => error),
        ),
      );
      for (const outcome of outcomes) if (outcome instanceof Error) expect(isMicroError(outcome)).toBe(true);
      proxy.onLink = () => {};
      expect(await client().call("target", "Target.Echo", request)).toEqual(request);
      await idle();
    });
  });
});
