/** What links and peers do to gRPC: each call settles once, nothing grows, nothing is left (lessons: RT9 to RT13). */
import { channel } from "node:diagnostics_channel";
import { once } from "node:events";
import { constants, type ClientHttp2Stream, type ServerHttp2Stream } from "node:http2";
import { connect, type AddressInfo } from "node:net";
import { setImmediate as turn } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { gzipSync } from "node:zlib";
import { afterEach, beforeAll, describe, expect, it } from "vitest";
import { Greeter } from "../../../../interop/proto/gen/greeter_pb.ts";
import { Cancellation } from "../../src/context.ts";
import { errors } from "../../src/errors.ts";
import { grpc } from "../../src/protocol/grpc.ts";
import { virtualClock } from "../../src/testing/clock.ts";
import { eventually, within } from "../../src/testing/suite.ts";
import { frame } from "../../src/wire/grpc/frame.ts";
import { faultProxy } from "../fault-proxy.ts";
import { clientOf, greeter } from "./grpc-world.ts";
import {
  answer,
  bare,
  bareSocket,
  closing,
  dial,
  hanging,
  head,
  http2Frame,
  nothing,
  outcome,
  raw,
  requestHeaders,
  served,
} from "./grpc-bare.ts";

beforeAll(() => grpc().loadClient?.());

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close();
});

describe("a client of ours", () => {
  it("goes on with a new connection after GOAWAY: idle, with a call under way, twice", async () => {
    const held: ServerHttp2Stream[] = [];
    const node = await bare((stream) =>
      stream.session?.closed === false && held.length < 1 ? held.push(stream) : answer(stream),
    );
    const peer = dial(node.address);
    const first = outcome(peer.unary(head("Test.Echo"), nothing));
    await eventually(() => held.length === 1, "the first call arrives");
    const session = held[0]?.session as import("node:http2").ServerHttp2Session;
    session.goaway(0, 1);
    session.goaway(0, 1);
    // What was on its way when the GOAWAY came was left out, and may be sent again.
    await eventually(async () => {
      const next = await outcome(peer.unary(head("Test.Echo"), nothing));
      expect(next).toMatch(/^ok$|refused$/);
      return next === "ok";
    }, "a call on a new connection");
    expect(node.sessions).toBe(2);
    answer(held[0] as ServerHttp2Stream);
    expect(await first).toBe("ok");
    expect(peer.pending).toBe(0);
  });

  it("knows what a GOAWAY has left out, which may be called again", async () => {
    const node = await bare((stream) => {
      if (stream.id === 1) return;
      const session = stream.session as import("node:http2").ServerHttp2Session;
      session.goaway(0, 1);
    });
    const peer = dial(node.address);
    const first = outcome(peer.unary(head("Test.Echo"), nothing));
    await eventually(() => node.sessions === 1, "the connection is there");
    expect(await outcome(within(peer.unary(head("Test.Echo"), nothing), "the second call"))).toBe(
      "UNAVAILABLE refused",
    );
    await peer.close();
    expect(await first).toBe("CONNECTION_LOST");
  });

  it.each([
    [constants.NGHTTP2_REFUSED_STREAM, "UNAVAILABLE refused"],
    [constants.NGHTTP2_CANCEL, "CANCELLED"],
    [constants.NGHTTP2_ENHANCE_YOUR_CALM, "RESOURCE_EXHAUSTED"],
    [constants.NGHTTP2_INTERNAL_ERROR, "PROTOCOL"],
  ])("has an error for a reset with code %i", async (code, expected) => {
    const node = await bare((stream) => stream.close(code));
    const peer = dial(node.address);
    expect(await outcome(within(peer.unary(head("Test.Echo"), nothing), "the call"))).toBe(expected);
    const stream = peer.stream(head("Test.Chat", { kind: "bidi" }));
    expect(await outcome(within(stream.read(), "the stream"))).toBe(expected);
    expect(peer.pending).toBe(0);
  });

  it("has an error for answers that are no gRPC", async () => {
    const replies: [object, string][] = [
      [{ ":status": 503 }, "UNAVAILABLE"],
      [{ ":status": 404 }, "UNSUPPORTED"],
      [{ ":status": 302 }, "PROTOCOL"],
      [{ ":status": 200, "content-type": "text/html" }, "PROTOCOL"],
      [{ ":status": 200, "content-type": "application/grpc" }, "INTERNAL"],
    ];
    let n = 0;
    const node = await bare((stream) => stream.respond(replies[n]?.[0] as never, { endStream: true }));
    const peer = dial(node.address);
    for (; n < replies.length; n++)
      expect(await outcome(within(peer.unary(head("Test.Echo"), nothing), "a call"))).toBe(replies[n]?.[1]);
  });

  it("settles when the other end does not speak HTTP/2, or hangs up in the handshake", async () => {
    const { createServer: plain } = await import("node:net");
    const server = plain((socket) =>
      socket.on("error", () => {}).once("data", () => socket.end("HTTP/1.1 400 Bad Request\r\n\r\n")),
    );
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    closing.push(() => server.close());
    const peer = dial(`127.0.0.1:${(server.address() as AddressInfo).port}`);
    expect(await outcome(within(peer.unary(head("Test.Echo"), nothing), "the call"))).toMatch(
      /CONNECTION_LOST|PROTOCOL/,
    );
    const secure = dial(`127.0.0.1:${(server.address() as AddressInfo).port}`, { tls: {} });
    expect(await outcome(within(secure.unary(head("Test.Echo"), nothing), "the TLS call"))).toBe("UNAVAILABLE refused");
  });

  it("notices a half-open link by its ping, and not before its time", async () => {
    const ours = await served();
    const proxy = await faultProxy(ours.address);
    closing.push(() => proxy.close());
    const clock = virtualClock();
    const peer = dial(proxy.address, { clock });
    const call = outcome(peer.unary(head("Test.Hang"), nothing));
    await eventually(() => ours.running() === 1, "the call arrives");
    for (const link of proxy.links) {
      link.up.stop();
      link.down.stop();
    }
    await clock.advance(10_000); // what came in meanwhile counts as a sign of life
    await clock.advance(10_000); // the ping leaves
    await turn();
    expect(peer.pending).toBe(1);
    await eventually(async () => {
      await clock.advance(10_000);
      return peer.pending === 0;
    }, "the call settles");
    expect(await call).toBe("CONNECTION_LOST");
  });

  it(
    "leaves no trace of ten thousand cancelled calls, and no neighbour loses its own",
    { timeout: 120_000 },
    async () => {
      const ours = await served();
      const peer = dial(ours.address);
      let echoes = 0;
      let on = true;
      const neighbour = (async () => {
        for (; on; echoes++) await peer.unary(head("Test.Echo"), Buffer.from("x"));
      })();
      for (let round = 0; round < 10; round++) {
        const cancellations = Array.from({ length: 1000 }, () => new Cancellation());
        const calls = cancellations.map((cancellation) =>
          outcome(peer.unary(head("Test.Hang"), nothing, cancellation)),
        );
        await turn();
        for (const cancellation of cancellations) cancellation.cancel(errors.cancelled("me", "enough"));
        expect(new Set(await Promise.all(calls))).toEqual(new Set(["CANCELLED"]));
      }
      on = false;
      await neighbour;
      expect(echoes).toBeGreaterThan(0);
      expect(peer.pending).toBe(0);
      await eventually(() => ours.running() === 0, "every handler ends");
    },
  );

  it("has those wait who come to a full connection, and gives them the place of who was cancelled", async () => {
    const ours = await served({ maxStreams: 10 });
    const peer = dial(ours.address);
    for (let round = 0; round < 5; round++) {
      const cancellations = Array.from({ length: 10 }, () => new Cancellation());
      const hanging = cancellations.map((each) => outcome(peer.unary(head("Test.Hang"), nothing, each)));
      await eventually(() => ours.running() === 10, "the connection is full");
      const waiting = [1, 2, 3].map(() => outcome(peer.unary(head("Test.Echo"), nothing)));
      const cancel = (each: Cancellation): void => each.cancel(errors.cancelled("me", "enough"));
      cancellations.slice(0, 3).forEach(cancel);
      expect(await within(Promise.all(waiting), "those who waited")).toEqual(["ok", "ok", "ok"]);
      cancellations.slice(3).forEach(cancel);
      expect(new Set(await Promise.all(hanging))).toEqual(new Set(["CANCELLED"]));
      await eventually(() => ours.running() === 0, "every handler ends");
    }
  });

  it("has those who wait for a full connection move when that takes no more", async () => {
    const held: ServerHttp2Stream[] = [];
    const node = await bare((stream) => (node.sessions === 1 && stream.id !== 1 ? held.push(stream) : answer(stream)), {
      maxConcurrentStreams: 2,
    });
    const peer = dial(node.address);
    expect(await outcome(peer.unary(head("Test.Echo"), nothing))).toBe("ok");
    const calls = Array.from({ length: 4 }, () => outcome(peer.unary(head("Test.Echo"), nothing)));
    await eventually(() => held.length === 2, "the connection is full");
    held[0]?.session?.goaway(0, 5);
    expect(await within(Promise.all(calls.slice(2)), "those who waited")).toEqual(["ok", "ok"]);
    held.forEach(answer);
    expect(await Promise.all(calls.slice(0, 2))).toEqual(["ok", "ok"]);
  });

  it("refuses to send or take what is too large", async () => {
    const ours = await served();
    const peer = dial(ours.address, { maxMessage: 1000 });
    expect(await outcome(peer.unary(head("Test.Echo"), new Uint8Array(1001)))).toBe("PAYLOAD_TOO_LARGE");
    expect(await outcome(peer.unary(head("Test.Big"), nothing))).toBe("RESOURCE_EXHAUSTED");
    expect(await outcome(peer.unary(head("Test.Echo"), new Uint8Array(1000)))).toBe("ok");
  });
});

describe("a server of ours", () => {
  it("closes a connection that resets too much, with ENHANCE_YOUR_CALM, counted", async () => {
    const ours = await served({ resets: { burst: 50, perSecond: 1 } });
    const dropped: unknown[] = [];
    const listener = (event: unknown): void => void dropped.push(event);
    channel("ts-micro:http2:dropped").subscribe(listener);
    closing.push(() => channel("ts-micro:http2:dropped").unsubscribe(listener));
    const session = await raw(ours.address);
    const code = new Promise((resolve) => session.once("goaway", resolve));
    for (let n = 0; n < 200 && !session.destroyed; n++) {
      const stream = session.request({ ...requestHeaders, ":path": "/test.Test/Hang" });
      stream.on("error", () => {}).end(frame(nothing));
      await turn();
      stream.close(constants.NGHTTP2_CANCEL);
      await turn();
    }
    expect(await within(code as Promise<number>, "the GOAWAY")).toBe(constants.NGHTTP2_ENHANCE_YOUR_CALM);
    expect(dropped).toEqual([expect.objectContaining({ reason: "too many resets" })]);
    await eventually(() => ours.running() === 0, "every handler ends");
  });

  it.each([
    ["in small writes", 20],
    ["that leave no time to look", 5000],
  ])("closes the connection of a bare socket that sends resets %s", async (_how, burst) => {
    const dropped: unknown[] = [];
    const listener = (event: unknown): void => void dropped.push(event);
    channel("ts-micro:http2:dropped").subscribe(listener);
    closing.push(() => channel("ts-micro:http2:dropped").unsubscribe(listener));
    const ours = await served();
    const attacker = bareSocket(ours.address);
    const reset = Buffer.of(0, 0, 0, constants.NGHTTP2_CANCEL);
    for (let sent = 0; sent < 5000 && !attacker.gone; sent += burst) {
      const ids = Array.from({ length: burst }, (_, n) => 2 * (sent + n) + 1);
      attacker.write(...ids.flatMap((id) => hanging(id).concat(http2Frame(3, 0, id, reset))));
      await turn();
      await turn();
    }
    await eventually(() => attacker.gone, "the connection is closed");
    expect(dropped).toEqual([expect.objectContaining({ reason: "too many resets" })]);
    expect(ours.begun()).toBeLessThan(1000);
    // Bursts are ended by node:http2 itself, if that is faster.
    if (burst === 20) expect(attacker.goaway()).toBe(constants.NGHTTP2_ENHANCE_YOUR_CALM);
    expect(await outcome(dial(ours.address).unary(head("Test.Echo"), nothing))).toBe("ok");
    await eventually(() => ours.running() === 0, "every handler ends");
  });

  it("stands a connection that says goodbye and goes on", async () => {
    const ours = await served();
    const attacker = bareSocket(ours.address);
    attacker.write(http2Frame(7, 0, 0, Buffer.of(0, 0, 0, 0, 0, 0, 0, 1)), ...[1, 3, 5].flatMap(hanging));
    await eventually(() => attacker.gone, "the connection is closed");
    expect(await outcome(dial(ours.address).unary(head("Test.Echo"), nothing))).toBe("ok");
    await eventually(() => ours.running() === 0, "every handler ends");
  });

  it.each(["/test.Test/Echo", "/test.Test/Count"])(
    "names the encoding that it has when it refuses another (%s)",
    async (path) => {
      const ours = await served();
      const session = await raw(ours.address);
      const refused = async (encoding: object): Promise<unknown[]> => {
        const stream = session.request({ ...requestHeaders, ":path": path, ...encoding });
        stream.on("error", () => {}).end(frame(Buffer.from("x"), 1));
        const [got] = (await once(stream.resume(), "response")) as [Record<string, string>];
        return [got["grpc-status"], got["grpc-accept-encoding"]];
      };
      expect(await refused({ "grpc-encoding": "br" })).toEqual(["12", "gzip"]);
      expect(await refused({})).toEqual(["13", undefined]);
    },
  );

  it("stands header bombs, messages announced too large, cut ones and no message at all", async () => {
    const ours = await served();
    const session = await raw(ours.address, { maxSessionMemory: 1024 });
    const status = (headers: object, body: Uint8Array | undefined): Promise<string> =>
      new Promise((resolve) => {
        const stream = session.request({ ...requestHeaders, ...headers });
        stream.on("response", (got) => resolve(String(got["grpc-status"] ?? got[":status"])));
        stream.on("error", () => {}).on("close", () => resolve(`reset ${stream.rstCode}`));
        stream.resume().end(body);
      });
    expect(await status({}, frame(Buffer.from("x")))).toBe("200");
    expect(await status({}, Buffer.from("ffffffffff", "hex"))).toBe("8");
    expect(await status({}, Buffer.from("0000ffffff00", "hex"))).toBe("8");
    expect(await status({}, Buffer.from("000000000561", "hex"))).toBe("3");
    expect(await status({}, undefined)).toBe("3");
    expect(await status({}, Buffer.concat([frame(nothing), frame(nothing)]))).toBe("3");
    expect(await status({}, frame(Buffer.from("x"), 1))).toBe("13");
    expect(await status({ "grpc-encoding": "gzip" }, frame(Buffer.from("x"), 1))).toBe("13");
    expect(await status({ ":path": "/a/b/c" }, frame(nothing))).toBe("3");
    expect(await status({ ":path": "/test.Test/Nope" }, frame(nothing))).toBe("12");
    expect(await status({ ":method": "GET" }, undefined)).toBe("404");
    expect(await status({ "content-type": "text/html" }, frame(nothing))).toBe("404");
    const bomb = Object.fromEntries(Array.from({ length: 100 }, (_, n) => [`x-${n}`, "b".repeat(4000)]));
    expect(await status(bomb, frame(nothing))).toMatch(/^reset/);
    expect(await outcome(dial(ours.address).unary(head("Test.Echo"), nothing))).toBe("ok");
  });

  const large = 4 << 20;
  const packed = frame(gzipSync(Buffer.alloc(large)), 1);

  it.each([
    ["unary calls, whole messages that have no end", "/test.Test/Echo", packed],
    ["streams, messages that are not whole", "/test.Test/Idle", frame(Buffer.alloc(large)).subarray(0, large)],
    ["streams, long messages that nobody reads", "/test.Test/Idle", frame(Buffer.alloc(large))],
  ])("keeps no more than 256 MiB of %s", { timeout: 60_000 }, async (_what, path, body) => {
    const ours = await served();
    for (let round = 0; round < 2; round++) {
      const session = await raw(ours.address, { maxSessionMemory: 1024 });
      let refused = 0;
      const keep = (): Promise<unknown> => {
        const stream = session.request({ ...requestHeaders, ":path": path, "grpc-encoding": "gzip" });
        stream.on("response", (got) => (refused += got["grpc-status"] === "8" ? 1 : 0));
        return new Promise((resolve) => stream.on("error", () => {}).write(body, resolve));
      };
      // What is below the limit is the peer's right, again when it let go of all before.
      await within(Promise.all(Array.from({ length: 60 }, keep)), "all are written");
      await within(new Promise((resolve) => session.ping(() => resolve(undefined))), "a ping");
      expect(refused).toBe(0);
      for (let n = 0; n < 40; n++) void keep();
      await eventually(() => refused > 0, "some are refused");
      session.destroy();
      expect(await outcome(dial(ours.address).unary(head("Test.Echo"), nothing))).toBe("ok");
      await eventually(() => ours.running() === 0, "every handler ends");
    }
  });

  it("keeps compressed messages of streams as they came, and none of those that were reset", async () => {
    const ours = await served();
    const session = await raw(ours.address, { maxSessionMemory: 1024 });
    const used = (): number => (collect(), process.memoryUsage().arrayBuffers / (1 << 20));
    // What earlier tests left is freed in the background, after the collection that finds it.
    await eventually(() => used() < 64, "nothing is left of what was before");
    const before = used();
    const kept = (): number => used() - before;
    const busy = async (body: Buffer): Promise<ClientHttp2Stream> => {
      const stream = session.request({ ...requestHeaders, ":path": "/test.Test/Deaf", "grpc-encoding": "gzip" });
      await new Promise((resolve) => stream.on("error", () => {}).write(body, resolve));
      return stream;
    };
    for (let n = 0; n < 40; n++) await busy(Buffer.concat(Array.from({ length: 8 }, () => packed)));
    await eventually(() => ours.running() === 40, "they run");
    await eventually(() => kept() < 64, "what they carry is kept as it came");
    // 1 MiB each: what is read until nobody reads it.
    const messages = Buffer.concat(Array.from({ length: 16 }, () => frame(Buffer.alloc(64 << 10))));
    const streams = await Promise.all(Array.from({ length: 100 }, () => busy(messages)));
    await eventually(() => kept() > 90, "their messages are kept");
    for (const stream of streams) stream.close(constants.NGHTTP2_CANCEL);
    await eventually(() => kept() < 64, "they are let go");
    expect(ours.running()).toBe(140);
    const cut = session.request({ ...requestHeaders, ":path": "/test.Test/Count", "grpc-encoding": "gzip" });
    const status = new Promise((resolve) => cut.on("response", (got) => resolve(got["grpc-status"])));
    cut.on("error", () => {}).end(Buffer.concat([packed, frame(Buffer.from("no gzip"), 1)]));
    expect(await within(status, "its status")).toBe("13");
    expect([ours.begun(), ours.ends]).toEqual([1, ["PROTOCOL"]]);
  });

  it("cuts off who says nothing, who stays idle, and who answers no ping", async () => {
    const clock = virtualClock();
    const ours = await served({ clock });
    const port = Number(ours.address.slice(ours.address.lastIndexOf(":") + 1));
    const silent = connect(port, "127.0.0.1");
    const silentGone = new Promise((resolve) => silent.once("close", resolve));
    silent.on("error", () => {}).resume();
    await new Promise((resolve) => silent.once("data", resolve));
    await clock.advance(6000);
    await within(silentGone, "the silent one is cut off");

    const idle = await raw(ours.address);
    await within(new Promise((resolve) => idle.ping(() => resolve(undefined))), "a ping");
    const idleGone = new Promise((resolve) => idle.once("close", resolve));
    await clock.advance(121_000);
    await within(idleGone, "the idle one is closed");

    const proxy = await faultProxy(ours.address);
    closing.push(() => proxy.close());
    const stuck = await raw(proxy.address);
    stuck
      .request({ ...requestHeaders, ":path": "/test.Test/Hang" })
      .on("error", () => {})
      .end(frame(nothing));
    await eventually(() => ours.running() === 1, "its call arrives");
    for (const link of proxy.links) link.up.stop();
    await eventually(async () => {
      await clock.advance(10_000);
      return ours.running() === 0;
    }, "the handler is cancelled");
    expect(await outcome(dial(ours.address).unary(head("Test.Echo"), nothing))).toBe("ok");
  });

  it("sends no faster than a stopped reader reads: 64 MiB, memory bounded", { timeout: 60_000 }, async () => {
    const ours = await served();
    const session = await raw(ours.address);
    const stream = session.request({ ...requestHeaders, ":path": "/test.Test/Flood" });
    stream.on("error", () => {}).end(frame(nothing));
    stream.pause();
    await eventually(() => ours.running() === 1, "the stream begins");
    globalThis.gc?.();
    const before = process.memoryUsage().rss;
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(ours.running()).toBe(1);
    expect((process.memoryUsage().rss - before) / (1 << 20)).toBeLessThan(16);
    stream.close(constants.NGHTTP2_CANCEL);
    await eventually(() => ours.running() === 0, "the handler ends");
  });
});

describe("whole services", () => {
  it("are restarted one after another without a failed call", { timeout: 60_000 }, async () => {
    const { memoryRegistry } = await import("../../src/registry/memory.ts");
    const { createClient } = await import("../../src/index.ts");
    const registry = memoryRegistry();
    const options = { registry, settle: "50ms" as const, metadata: { protocol: "grpc" } };
    let [one, other] = [await greeter(options), await greeter(options)];
    await using client = createClient({ registry, env: false, logLevel: "fatal" });
    const stub = client.service("greeter", Greeter);
    const failed: unknown[] = [];
    let calls = 0;
    let on = true;
    const load = Array.from({ length: 16 }, async () => {
      for (; on; calls++) await stub.hello({ name: "x" }).catch((error: unknown) => failed.push(error));
    });
    for (let round = 0; round < 4; round++) {
      const before = calls;
      const next = await greeter(options);
      await one[Symbol.asyncDispose]();
      [one, other] = [other, next];
      await eventually(() => calls > before + 50, "calls go on");
    }
    on = false;
    await Promise.all(load);
    expect(failed).toEqual([]);
    for (const each of [one, other]) await each[Symbol.asyncDispose]();
  });

  it("of mucp and gRPC stand on one port, and a client calls each node in its own protocol", async () => {
    await using ours = await greeter();
    await using viaGrpc = clientOf(ours.address);
    expect(await viaGrpc.service("greeter", Greeter).hello({ name: "h2" })).toMatchObject({ msg: "Hello h2" });
    expect(ours.seen.at(-1)?.metadata.get("user-agent")).toBe("grpc-node-ts-micro");
    const { createClient } = await import("../../src/index.ts");
    await using direct = createClient({ env: false, logLevel: "fatal" });
    expect(await direct.service("greeter", Greeter).hello({ name: "h1" }, { address: ours.address })).toMatchObject({
      msg: "Hello h1",
    });
    expect(ours.seen.at(-1)?.metadata.get("micro-endpoint")).toBe("Greeter.Hello");
  });
});
