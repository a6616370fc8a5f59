import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Cancellation } from "../../../src/context.ts";
import { errors } from "../../../src/errors.ts";
import type { CallHead, Peer } from "../../../src/protocol.ts";
import { Metadata } from "../../../src/metadata.ts";
import { virtualClock } from "../../../src/testing/clock.ts";
import { text } from "../../../src/testing/protocol/bench.ts";
import { eventually } from "../../../src/testing/suite.ts";
import { Flag, Frame, leastPayload, preface } from "../../../src/wire/fast/frame.ts";
import { frame } from "../../wire/fast/frames.ts";
import { FastWorld, failure, hello, settings, type as contentType, type Wire } from "./world.ts";

let world: FastWorld;
beforeEach(() => void (world = new FastWorld()));
afterEach(() => world.close());

const head = (endpoint = "Test.Echo", more: Partial<CallHead> = {}): CallHead => ({
  service: "test",
  endpoint,
  contentType,
  kind: "unary",
  deadline: Infinity,
  metadata: undefined,
  id: "ts-1",
  ...more,
});
const none = Buffer.alloc(0);

function collector(): () => void {
  setFlagsFromString("--expose-gc");
  return runInNewContext("gc") as () => void;
}

const reply = (id: number, body: Buffer | string = "", flags = 0): Buffer => frame(Frame.reply, flags, id, body);

/** A strange server that answers the preface; the wire of its first connection. */
async function server(first: Buffer = hello()): Promise<{ address: string; wires: Wire[]; one: () => Promise<Wire> }> {
  const wires: Wire[] = [];
  const address = await world.strange((wire) => {
    wires.push(wire);
    void wire.say(first);
  });
  return {
    address,
    wires,
    one: async () => {
      await eventually(() => wires.length > 0, "a connection");
      return wires[0] as Wire;
    },
  };
}

describe("a reply", () => {
  it("may carry flags that are not known yet", async () => {
    const { address, one } = await server();
    const call = world.dial(address).unary(head(), none);
    const wire = await one();
    await wire.frame(Frame.request);
    await wire.say(reply(1, "yes", 0xf0));
    expect(text((await call).body)).toBe("yes");
  });

  it("that is too long fails its call, and no other", async () => {
    const { address, one } = await server();
    const peer = world.dial(address, { maxBody: 20_000 });
    const calls = [peer.unary(head(), none), peer.unary(head(), none)];
    const wire = await one();
    await wire.frame(Frame.request, 2);
    await wire.say(reply(1, Buffer.alloc(20_011)), reply(2, Buffer.alloc(20_000)));
    expect(await failure(calls[0]!)).toMatchObject({ code: "PAYLOAD_TOO_LARGE", refused: false });
    expect((await calls[1]!).body.length).toBe(20_000);
  });

  it("to what was not asked breaks the connection; a late one does not", async () => {
    const { address, one } = await server();
    const peer = world.dial(address);
    const cancellation = new Cancellation();
    const given = failure(peer.unary(head(), none, cancellation));
    const wire = await one();
    await wire.frame(Frame.request);
    cancellation.cancel(errors.cancelled("test", "enough"));
    expect((await given).code).toBe("CANCELLED");
    await wire.frame(Frame.cancel, 1);
    await wire.say(reply(1, "late"));
    const second = failure(peer.unary(head(), none));
    await wire.frame(Frame.request, 2);
    await wire.say(reply(3));
    expect(await second).toMatchObject({ code: "PROTOCOL", refused: false });
    expect(String((await wire.over())?.payload)).toMatch("a reply to 3");
  });
});

describe("what the server says of itself", () => {
  it("is waited for before anything is asked", async () => {
    const clock = virtualClock();
    const { address, one } = await server(preface(1));
    const call = failure(world.dial(address, { clock }).unary(head(), none));
    const wire = await one();
    await wire.frame(Frame.settings);
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(wire.of(Frame.request)).toEqual([]);
    await clock.advance(2100);
    expect(await call).toMatchObject({ code: "CONNECTION_LOST", refused: true });
    await wire.over();
  });

  it("limits bodies, and the tables", async () => {
    const { address, one } = await server(hello({ maxPayload: leastPayload, routes: 2, metadata: 0 }));
    const peer = world.dial(address);
    expect(await failure(peer.unary(head(), Buffer.alloc(leastPayload - 9)))).toMatchObject({
      code: "PAYLOAD_TOO_LARGE",
    });
    const wire = await one();
    const metadata = Metadata.from({ A: "b" });
    for (const [i, endpoint] of ["Test.A", "Test.B", "Test.C", "Test.A"].entries()) {
      const call = peer.unary(head(endpoint, { metadata }), none);
      const { flags, payload } = await wire.frame(Frame.request, i + 1);
      expect(flags).toBe(Flag.inline);
      expect(payload.readUInt16BE(0)).toBe([1, 2, 1, 2][i]);
      expect(String(payload.subarray(10))).toBe("A\0b\0");
      await wire.say(reply(i + 1));
      await call;
    }
    expect(wire.of(Frame.define).map(({ id }) => id)).toEqual([1, 2, 1, 2]);
  });

  it("can be that it is going: calls go to another node", async () => {
    const { address } = await server(Buffer.concat([hello(), frame(Frame.goaway, 0, 0)]));
    expect(await failure(world.dial(address).unary(head(), none))).toMatchObject({ code: "DRAINING", refused: true });
  });
});

describe("GOAWAY", () => {
  it("leaves what is served, refuses what is not, and the next call uses a new connection", async () => {
    const { address, one, wires } = await server();
    const peer = world.dial(address);
    const first = peer.unary(head(), none);
    const second = failure(peer.unary(head(), none));
    const stream = peer.stream(head("Test.Chat", { kind: "bidi" }));
    const read = failure(stream.read());
    const wire = await one();
    await wire.frame(Frame.request, 3);
    await wire.say(frame(Frame.goaway, 0, 1));
    expect(await second).toMatchObject({ code: "DRAINING", refused: true });
    expect(await read).toMatchObject({ code: "DRAINING", refused: true });
    const third = peer.unary(head(), none);
    await eventually(() => wires.length === 2, "a new connection");
    await wires[1]!.frame(Frame.request, 1);
    await wires[1]!.say(reply(1, "new"));
    expect(text((await third).body)).toBe("new");
    await wire.say(frame(Frame.goaway, 0, 1), reply(1, "old"));
    expect(text((await first).body)).toBe("old");
    expect(await wire.raw.end()).toBe("fin");
    expect(peer.pending).toBe(0);
  });

  it("with an error is PROTOCOL for all", async () => {
    const { address, one } = await server();
    const call = failure(world.dial(address).unary(head(), none));
    const wire = await one();
    await wire.frame(Frame.request);
    await wire.say(frame(Frame.goaway, Flag.error, 1, "you speak in tongues"));
    expect(await call).toMatchObject({ code: "PROTOCOL", refused: false });
    expect((await call).detail).toMatch("tongues");
  });
});

describe("a stream", () => {
  it("whose server has ended tells those who still wait to send", async () => {
    const { address, one } = await server(hello({ credit: 100 }));
    const over: unknown[] = [];
    const stream = world
      .dial(address)
      .stream(head("Test.Chat", { kind: "bidi" }), undefined, (error) => over.push(error));
    const sends = [stream.send(Buffer.alloc(100)), stream.send(Buffer.alloc(100)), stream.send(Buffer.alloc(100))];
    const waiting = Promise.allSettled(sends);
    const wire = await one();
    await wire.frame(Frame.message, 1);
    await wire.say(frame(Frame.end, 0, 1));
    expect(await stream.read()).toBeUndefined();
    expect((await waiting).map(({ status }) => status)).toEqual(["rejected", "rejected", "rejected"]);
    expect(await failure(stream.send(none))).toMatchObject({ code: "INVALID_STATE" });
    expect(over).toEqual([undefined]);
  });

  it("sends nothing behind its end", async () => {
    const { address, one } = await server(hello({ credit: 100 }));
    const stream = world.dial(address).stream(head("Test.Chat", { kind: "bidi" }));
    const first = stream.send(Buffer.alloc(100));
    const second = stream.send(Buffer.from("second"));
    const wire = await one();
    await wire.frame(Frame.message, 1);
    stream.end();
    expect(await failure(stream.send(Buffer.from("behind")))).toMatchObject({ code: "INVALID_STATE" });
    const credit = Buffer.alloc(4);
    credit.writeUInt32BE(1000);
    await wire.say(frame(Frame.credit, 0, 1, credit));
    await Promise.all([first, second]);
    await wire.frame(Frame.end, 1);
    expect(wire.frames.slice(-2).map(({ type, payload }) => [type, String(payload)])).toEqual([
      [Frame.message, "second"],
      [Frame.end, ""],
    ]);
    stream.cancel(errors.cancelled("test", "enough"));
  });

  it("ends with a last message that says so", async () => {
    const { address, one } = await server();
    const over: unknown[] = [];
    const peer = world.dial(address);
    const stream = peer.stream(head("Test.Count", { kind: "server" }), undefined, (error) => over.push(error));
    const wire = await one();
    await wire.frame(Frame.request, 1);
    await wire.say(frame(Frame.message, 0, 1, "a"), frame(Frame.message, Flag.last, 1, "b"));
    expect([text(await stream.read()), text(await stream.read()), await stream.read()]).toEqual(["a", "b", undefined]);
    expect(over).toEqual([undefined]);
    expect(peer.pending).toBe(0);
  });

  it("beyond its credit breaks the connection", async () => {
    const { address, one } = await server();
    const stream = world
      .dial(address, { window: 1000, maxBody: 16_384 })
      .stream(head("Test.Count", { kind: "server" }));
    const wire = await one();
    await wire.frame(Frame.request, 1);
    await wire.say(...[1, 2, 3].map(() => frame(Frame.message, 0, 1, Buffer.alloc(16_384))));
    await wire.over();
    expect(
      (
        await failure(
          (async () => {
            for (;;) await stream.read();
          })(),
        )
      ).code,
    ).toBe("PROTOCOL");
  });

  it("keeps no more of what is not read than its window, though each message came in a chunk of its own", async () => {
    const { address, one } = await server();
    const peer = world.dial(address);
    const stream = peer.stream(head("Test.Count", { kind: "server" }));
    const wire = await one();
    await wire.frame(Frame.request, 1);
    const gc = collector();
    gc();
    const before = process.memoryUsage().arrayBuffers;
    const filler = frame(99, 0, 0, Buffer.alloc(60_000));
    for (let n = 0; n < 600; n++) await wire.say(frame(Frame.message, 0, 1, "small"), filler);
    await wire.say(frame(Frame.ping, 0, 0, "the end."));
    await wire.frame(Frame.ping);
    wire.raw.socket.destroy();
    await eventually(() => {
      gc();
      return process.memoryUsage().arrayBuffers - before < 16 << 20;
    }, "the chunks are free again");
    let n = 0;
    await failure(
      (async () => {
        for (; (await stream.read()) !== undefined; n++);
      })(),
    );
    expect(n).toBe(600);
  });
});

describe("what cannot be sent", () => {
  it("fails alone, also while the connection is being made", async () => {
    const { address, one } = await server();
    const peer = world.dial(address);
    const large = Metadata.from(Object.fromEntries(Array.from({ length: 2001 }, (_, n) => [`n${n}`, ""])));
    const bads = [
      failure(peer.stream(head("Test.Chat", { kind: "bidi", metadata: large })).read()),
      failure(peer.unary(head("Test.Zero\0"), none)),
      failure(peer.unary(head("Test.Echo", { metadata: large }), none)),
      failure(peer.unary(head(`Test.${"x".repeat(9000)}`), none)),
    ];
    const good = peer.unary(head(), none);
    const wire = await one();
    await wire.frame(Frame.request, 1);
    await wire.say(reply(1, "good"));
    expect(text((await good).body)).toBe("good");
    expect((await Promise.all(bads)).map(({ code }) => code)).toEqual([
      "PAYLOAD_TOO_LARGE",
      "BAD_REQUEST",
      "PAYLOAD_TOO_LARGE",
      "BAD_REQUEST",
    ]);
    const again = failure(peer.stream(head("Test.Chat", { kind: "bidi", metadata: large })).read());
    expect((await again).code).toBe("PAYLOAD_TOO_LARGE");
    expect(peer.pending).toBe(0);
  });
});

describe("a server that is silent", () => {
  it("is asked after 15 s of silence while calls are pending, and left 10 s later", async () => {
    const clock = virtualClock();
    const { address, one } = await server();
    const peer = world.dial(address, { clock });
    const call = failure(peer.unary(head(), none));
    const stream = failure(peer.stream(head("Test.Count", { kind: "server" })).read());
    const wire = await one();
    await wire.frame(Frame.request, 2);
    for (let n = 1; n <= 2; n++) {
      await clock.advance(15_100);
      await wire.raw.until(() => wire.of(Frame.ping).length === n);
      await wire.say(frame(Frame.ping, Flag.pong, 0, wire.of(Frame.ping)[0]?.payload));
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    await clock.advance(15_100);
    await wire.raw.until(() => wire.of(Frame.ping).length === 3);
    await clock.advance(10_100);
    expect(await call).toMatchObject({ code: "CONNECTION_LOST", refused: false });
    expect((await stream).code).toBe("CONNECTION_LOST");
  });

  it("is not asked while nothing is pending", async () => {
    const clock = virtualClock();
    const { address, one } = await server();
    const peer = world.dial(address, { clock });
    const call = peer.unary(head(), none);
    const wire = await one();
    await wire.frame(Frame.request, 1);
    await wire.say(reply(1));
    await call;
    await clock.advance(120_000);
    expect(wire.of(Frame.ping)).toEqual([]);
    expect(clock.pending()).toBe(0);
  });

  it("before it has answered the preface is called another way after 2 s, and the deadline of a call holds", async () => {
    const clock = virtualClock();
    const address = await world.strange(() => {});
    const peer = world.dial(address, { clock });
    const late = failure(peer.unary(head("Test.Echo", { deadline: 1000 }), none));
    const other = failure(peer.unary(head(), none));
    await eventually(() => world.wires.length === 1, "a connection");
    await eventually(() => clock.pending() >= 2, "its timers");
    await clock.advance(1100);
    expect(await late).toMatchObject({ code: "TIMEOUT", refused: true });
    await clock.advance(1000);
    expect(await other).toMatchObject({ code: "UNAVAILABLE", refused: true });
  });
});

describe("many calls", () => {
  it("beyond 65,536 on one connection, with one that never ends", { timeout: 60_000 }, async () => {
    world.bench.hanging("Test.Hang");
    const { address } = await world.serve();
    const peer = world.dial(address);
    const cancellation = new Cancellation();
    const hanging = failure(peer.unary(head("Test.Hang"), none, cancellation));
    for (let n = 0; n < 70; n++) {
      await Promise.all(
        Array.from({ length: 1000 }, async (_, i) => {
          expect(text((await peer.unary(head(), Buffer.from(`${n}/${i}`))).body)).toBe(`${n}/${i}`);
        }),
      );
      world.bench.calls.length = 1;
    }
    expect(peer.pending).toBe(1);
    cancellation.cancel(errors.cancelled("test", "enough"));
    expect((await hanging).code).toBe("CANCELLED");
    await eventually(() => world.bench.running === 0, "its handler was told");
  });

  it("cancelled, 100,000 of them, leave no trace on either end", { timeout: 60_000 }, async () => {
    world.bench.hanging("Test.Hang");
    const { address } = await world.serve();
    const peer = world.dial(address);
    for (let n = 0; n < 100; n++) {
      const cancellation = new Cancellation();
      const calls = Array.from({ length: 1000 }, () =>
        peer.unary(head("Test.Hang"), none, cancellation).catch((error: { code: string }) => error.code),
      );
      if (n % 2 === 0) await new Promise((resolve) => setImmediate(resolve));
      cancellation.cancel(errors.cancelled("test", "enough"));
      expect(new Set(await Promise.all(calls))).toEqual(new Set(["CANCELLED"]));
      world.bench.calls.length = 0;
    }
    expect(peer.pending).toBe(0);
    await eventually(() => world.bench.running === 0, "nothing runs at the server");
    expect(text((await peer.unary(head(), Buffer.from("well"))).body)).toBe("well");
  });

  /** A peer whose server has stopped to read. */
  async function unread(): Promise<Peer> {
    const { address, one } = await server();
    const peer = world.dial(address);
    const first = peer.unary(head(), none);
    const wire = await one();
    await wire.frame(Frame.request, 1);
    await wire.say(reply(1));
    await first;
    wire.raw.socket.pause();
    return peer;
  }

  it("to a server that does not read are turned away once 64 MiB wait", { timeout: 60_000 }, async () => {
    const peer = await unread();
    const body = Buffer.alloc(1 << 20);
    const codes: Promise<string>[] = [];
    for (let n = 0; n < 90; n++) {
      codes.push(
        peer.unary(head(), body).then(
          () => "",
          (error: { code: string; refused: boolean }) => `${error.code} ${error.refused}`,
        ),
      );
      await new Promise((resolve) => setImmediate(resolve));
    }
    await peer.close();
    const all = await Promise.all(codes);
    expect(all.filter((code) => code === "RESOURCE_EXHAUSTED true").length).toBeGreaterThan(10);
    expect(all.filter((code) => !code.startsWith("RESOURCE")).every((code) => code.startsWith("CONNECTION_LOST"))).toBe(
      true,
    );
  });

  it("are turned away as streams too", { timeout: 60_000 }, async () => {
    const peer = await unread();
    const body = Buffer.alloc(1 << 20);
    const ends: (string | undefined)[] = [];
    for (let n = 0; n < 90; n++) {
      const stream = peer.stream(head("Test.Sum", { kind: "client" }), undefined, (error) => ends.push(error?.code));
      stream.send(body).catch(() => {});
      await new Promise((resolve) => setImmediate(resolve));
    }
    await peer.close();
    expect(ends).toHaveLength(90);
    expect(ends.filter((code) => code === "RESOURCE_EXHAUSTED").length).toBeGreaterThan(10);
  });
});

describe("a call that waits for no reply", () => {
  it("has the bytes that it was given, whatever becomes of them after it", async () => {
    const { address, one } = await server();
    const peer = world.dial(address);
    const body = Buffer.alloc(1 << 20, 1);
    // The second finds the connection there, and settles at once.
    await peer.unary(head("Test.Echo", { oneway: true }), Buffer.alloc(1));
    await peer.unary(head("Test.Echo", { oneway: true }), body);
    body.fill(2);
    const wire = await one();
    const { payload } = await wire.frame(Frame.request, 2);
    expect(payload.subarray(10).equals(Buffer.alloc(1 << 20, 1))).toBe(true);
  });
});

describe("a body of 4 MiB", () => {
  it("goes to a server that says nothing of its limit", async () => {
    const { address, one } = await server(Buffer.concat([preface(1), frame(Frame.settings, 0, 0, "")]));
    const peer = world.dial(address);
    const sent = peer.unary(head(), Buffer.alloc(4 << 20));
    const wire = await one();
    expect((await wire.frame(Frame.request, 1)).payload.length).toBe((4 << 20) + 10);
    await wire.say(reply(1));
    await sent;
  });
});

describe("what was added to a reply", () => {
  /** Hears, in words. */
  function hearing() {
    const heard: string[] = [];
    const note = (part: string) => (metadata: Metadata) => {
      heard.push(`${part} ${JSON.stringify(metadata.toObject())}`);
    };
    return { heard, listener: { header: note("header"), trailer: note("trailer") } };
  }
  const block = "X-Seen\0yes\0";

  it("is asked for by a flag, and stands before the reply", async () => {
    const { address, one } = await server();
    const peer = world.dial(address);
    const { heard, listener } = hearing();
    const asking = peer.unary(head("Test.Echo", { listener }), none);
    const stream = peer.stream(head("Test.Count", { kind: "server", listener }));
    const silent = peer.unary(head(), none);
    const oneway = peer.unary(head("Test.Echo", { listener, oneway: true }), none);
    const wire = await one();
    await wire.frame(Frame.request, 4);
    const flags = wire.of(Frame.request).map(({ flags }) => flags);
    expect(flags).toEqual([Flag.listens, Flag.listens | 1, 0, Flag.oneway]);
    await oneway;
    // Who did not ask is told nothing, and what is over is not heard of.
    await wire.say(
      ...[3, 1].map((id) => frame(Frame.metadata, 0, id, block)),
      frame(Frame.metadata, 0xf1, 1, "x-cost\x003\0half"),
      ...[3, 1].map((id) => reply(id, `r${id}`)),
      frame(Frame.metadata, 0, 1, block),
    );
    expect([text((await asking).body), text((await silent).body)]).toEqual(["r1", "r3"]);
    expect(heard).toEqual(['header {"X-Seen":"yes"}', 'trailer {"X-Cost":"3"}']);
    await wire.say(frame(Frame.metadata, 1, 2, block), frame(Frame.end, 0, 2));
    expect(await stream.read()).toBeUndefined();
    expect(heard.slice(2)).toEqual(['trailer {"X-Seen":"yes"}']);
  });

  it.each([
    ["of what was not asked", 2, Buffer.from(block)],
    ["longer than metadata may be", 1, Buffer.alloc((1 << 20) + 1)],
    ["of too many entries", 1, Buffer.alloc(8194)],
  ])("that is %s breaks the connection", async (_, id, payload) => {
    const { address, one } = await server();
    const call = world.dial(address).unary(head("Test.Echo", hearing()), none);
    const wire = await one();
    await wire.frame(Frame.request);
    await wire.say(frame(Frame.metadata, 0, id, payload));
    expect(await failure(call)).toMatchObject({ code: "PROTOCOL" });
    expect(await wire.over()).toMatchObject({ type: Frame.goaway, flags: Flag.error });
  });
});

describe("hostile bytes behind the preface (20,000 inputs)", () => {
  const word = fc.constantFrom(0, 1, 2, 3, 4, 5, 0x7fff_ffff, 0xffff_ffff);
  const payload = fc.oneof(
    fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
    fc.constantFrom("", '["a",400,"BAD_REQUEST","x"]', "[", "\0\0\0\x10", "X\0a\0b").map((each) => Buffer.from(each)),
  );
  const hostile = fc.oneof(
    { weight: 8, arbitrary: fc.tuple(fc.nat(11), fc.nat(3), word, payload).map((args) => frame(...args)) },
    { weight: 1, arbitrary: fc.constant(settings()) },
    { weight: 1, arbitrary: fc.uint8Array({ maxLength: 30 }).map((bytes) => Buffer.from(bytes)) },
  );

  it("settle every call and stream with a reply or a MicroError", { timeout: 180_000 }, async () => {
    let input: Buffer = none;
    let told = 0;
    const heard = (metadata: Metadata): void => {
      told += metadata.size;
    };
    const address = await world.strange((wire) => {
      const said = input;
      wire.raw.socket.on("error", () => {});
      void wire.say(hello()).then(
        async () => {
          await wire.frame(Frame.request).catch(() => {});
          wire.raw.socket.end(said);
        },
        () => {},
      );
    });
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(hostile, { minLength: 1, maxLength: 8 }), { minLength: 100, maxLength: 100 }),
        async (inputs) => {
          for (const frames of inputs) {
            input = Buffer.concat(frames);
            const peer = world.dial(address);
            const listener = { header: heard, trailer: heard };
            const stream = peer.stream(head("Test.Chat", { kind: "bidi", listener }));
            const results = await Promise.allSettled([
              peer.unary(head("Test.Echo", { listener }), none),
              stream.send(Buffer.from("x")),
              (async () => {
                while ((await stream.read()) !== undefined);
              })(),
              peer.unary(head(), none),
            ]);
            for (const result of results)
              if (result.status === "rejected") expect(result.reason).toMatchObject({ name: "MicroError" });
            await peer.close();
            expect(peer.pending).toBe(0);
          }
          for (const { raw } of world.wires) raw.socket.destroy();
          world.wires.length = world.protocols.length = 0;
        },
      ),
      { numRuns: 200, endOnFailure: true },
    );
    expect(told).toBeGreaterThan(0);
  });
});
