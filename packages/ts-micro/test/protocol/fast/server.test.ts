import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { MicroError, errors } from "../../../src/errors.ts";
import type { CallHandler } from "../../../src/protocol.ts";
import { virtualClock, type VirtualClock } from "../../../src/testing/clock.ts";
import { text } from "../../../src/testing/protocol/bench.ts";
import { eventually, within } from "../../../src/testing/suite.ts";
import { Flag, Frame, preface } from "../../../src/wire/fast/frame.ts";
import { Reader } from "../../support/reader.ts";
import { frame } from "../../wire/fast/frames.ts";
import { FastWorld, failed, hello, request, route, settings, type Wire } from "./world.ts";

let world: FastWorld;
beforeEach(() => void (world = new FastWorld()));
afterEach(() => world.close());

const bidi = 3;
const credit = (id: number, bytes: number): Buffer => {
  const body = Buffer.alloc(4);
  body.writeUInt32BE(bytes);
  return frame(Frame.credit, 0, id, body);
};

const much = 48 << 20;

/** A client that has asked for one reply of {@link much} bytes, and does not read for now. */
async function readerOfMuch(clock: VirtualClock) {
  const calls: CallHandler = world.bench;
  calls.target = (known) => ({ kind: "unary", route: known }) as never;
  calls.direct = (call) => call.reply(Buffer.alloc(much, 7));
  const listener = await world.serve({ clock, maxBody: much });
  const wire = await world.wire(listener.address, hello({ maxPayload: much + 10 }));
  const reader = new Reader(wire.raw.socket);
  await reader.reads(0);
  await wire.say(route(1, "Test.Large"), request(1));
  await new Promise((resolve) => setTimeout(resolve, 50));
  return { listener, reader };
}

/** The client that says this is told so, and left; others are served. */
async function offends(said: Buffer | readonly Buffer[]): Promise<string> {
  const { address } = await world.serve();
  const wire = await world.wire(address);
  await wire.say(...[said].flat());
  const last = await wire.over();
  expect(last).toMatchObject({ type: Frame.goaway, flags: Flag.error });
  await world.healthy(address);
  return String(last?.payload);
}

describe("what breaks the rules is answered with GOAWAY and its reason", () => {
  const echo = route(1, "Test.Echo");
  const cases: Record<string, [Buffer | Buffer[], string | RegExp]> = {
    "an id that comes again": [[echo, request(5), request(5)], "request 5 after 5"],
    "an id below the last": [[echo, request(5), request(4)], "request 4 after 5"],
    "the id 0": [[echo, request(0)], "request 0"],
    "an id above 2^31-1": [[echo, request(0x8000_0000)], "request 2147483648"],
    "a route that was not defined": [request(1, { route: 7 }), "route 7"],
    "metadata that were not defined": [[echo, request(1, { metadata: 3 })], "metadata 3"],
    "metadata longer than their frame": [[echo, request(1, { metadata: 30, flags: Flag.inline, body: "x" })], "longer"],
    "more metadata than there may be": [
      [echo, request(1, { metadata: 20_000, flags: Flag.inline, body: "a\0\0".repeat(7000) })],
      "metadata of 20000 bytes and",
    ],
    "a request without its head": [[echo, frame(Frame.request, 0, 1, "123456789")], "without its head"],
    "a message of a stream that was not opened": [frame(Frame.message, 0, 1, "x"), "not opened"],
    "a reply": [frame(Frame.reply, 0, 1, ""), "a reply from a client"],
    "a ping of seven bytes": [frame(Frame.ping, 0, 0, "1234567"), "ping"],
    "a credit of five bytes": [frame(Frame.credit, 0, 1, "12345"), "credit"],
    "settings again": [settings(), "once"],
    "a number of a route beyond the table": [route(1025, "Test.Echo"), "number 1025"],
    "the number 0": [route(0, "Test.Echo"), "number 0"],
    "a number of metadata beyond the table": [frame(Frame.define, Flag.metadata, 65, "a\0b\0"), "number 65"],
    "a table's entry of more than 8 KiB": [frame(Frame.define, Flag.metadata, 1, Buffer.alloc(8193, 65)), "8193 bytes"],
    "a route that is none": [frame(Frame.define, 0, 1, "test\0Test.Echo\0"), "does not decode"],
    "a frame too long that belongs to no call": [
      frame(Frame.define, 0, 1, Buffer.alloc(5 << 20)),
      "a frame of 5242880",
    ],
  };
  it.each(Object.entries(cases))("%s", async (_what, [said, why]) => {
    expect(await offends(said)).toMatch(why);
  });

  it("a first frame that is no settings", async () => {
    const { address } = await world.serve();
    const wire = await world.wire(address, Buffer.concat([preface(1), route(1, "Test.Echo")]));
    expect(String((await wire.over())?.payload)).toMatch("settings stand first");
  });

  it("settings below the least", async () => {
    const { address } = await world.serve();
    const wire = await world.wire(address, hello({ maxPayload: 100 }));
    expect(String((await wire.over())?.payload)).toMatch("below the least");
  });

  it("messages beyond the credit of their stream", async () => {
    world.bench.on("bidi", "Test.Stuck", (call) => new Promise((resolve) => call.cancellation.onCancel(resolve)));
    const { address } = await world.serve({ window: 1000, maxBody: 16_384 });
    const wire = await world.wire(address);
    await wire.say(route(1, "Test.Stuck"), request(1, { flags: bidi }));
    const message = frame(Frame.message, 0, 1, Buffer.alloc(468));
    await wire.say(message, frame(Frame.message, 0, 1, Buffer.alloc(16_384)));
    await wire.pong("within");
    await wire.say(message);
    await wire.say(message);
    expect(String((await wire.over())?.payload)).toMatch("more than its credit");
  });
});

describe("what a later version may say is skipped", () => {
  it("unknown frames, settings and flags", async () => {
    const { address } = await world.serve();
    const wire = await world.wire(
      address,
      Buffer.concat([preface(250), frame(Frame.settings, 0xf0, 9, Buffer.from("00990000000100010040000a", "hex"))]),
    );
    expect(wire.raw.bytes.subarray(0, 9)).toEqual(wire.raw.bytes.length === 0 ? Buffer.alloc(0) : preface(1));
    await wire.say(
      frame(77, 255, 12, "whatever"),
      route(1, "Test.Echo"),
      request(1, { flags: 0xf0, body: "still" }),
      frame(Frame.cancel, 0, 99),
      frame(Frame.end, 0, 98),
    );
    expect(String((await wire.frame(Frame.reply, 1)).payload)).toBe("still");
    expect(wire.raw.bytes.subarray(0, 9)).toEqual(preface(1));
    await wire.pong("ok");
  });
});

describe("a call that cannot be served fails alone", () => {
  it("when it is too large, while others of the connection go on", async () => {
    const gate = world.bench.hanging("Test.Hang");
    const { address } = await world.serve({ maxBody: 20_000 });
    const wire = await world.wire(address);
    await wire.say(route(1, "Test.Echo"), route(2, "Test.Hang"), request(1, { route: 2, body: "kept" }));
    await wire.say(request(2, { body: Buffer.alloc(20_001) }), request(3, { body: Buffer.alloc(20_000) }));
    const refusal = await wire.frame(Frame.reply, 2);
    expect(refusal.flags).toBe(Flag.error);
    expect(JSON.parse(String(refusal.payload))).toEqual([
      "ts.micro.protocol.fast",
      413,
      "PAYLOAD_TOO_LARGE",
      expect.stringContaining("20000"),
    ]);
    expect((await wire.frame(Frame.reply, 3)).payload.length).toBe(20_000);
    gate.open();
    expect(String((await wire.frame(Frame.reply, 1)).payload)).toBe("kept");
  });

  it("when there is no such endpoint, no such codec, or it is a stream", async () => {
    world.bench.on("server", "Test.Stream", async () => undefined);
    const { address } = await world.serve();
    const wire = await world.wire(address);
    await wire.say(route(1, "Test.None"), route(2, "Test.Echo", "text/x-none"), route(3, "Test.Stream"));
    await wire.say(request(1, { route: 1 }), request(2, { route: 2 }), request(3, { route: 3 }));
    await wire.say(
      request(4, { route: 1, flags: bidi }),
      request(5, { route: 2, flags: bidi }),
      request(6, { route: 2, flags: Flag.oneway }),
    );
    const code = async (kind: number, id: number): Promise<unknown> =>
      (JSON.parse(String((await wire.frame(kind, id)).payload)) as unknown[])[2];
    expect(await code(Frame.reply, 1)).toBe("NOT_FOUND");
    expect(await code(Frame.reply, 2)).toBe("UNSUPPORTED");
    expect(await code(Frame.reply, 3)).toBe("METHOD_NOT_ALLOWED");
    expect(await code(Frame.end, 5)).toBe("UNSUPPORTED");
    await wire.pong("after");
    expect(wire.frames.some(({ id }) => id === 6)).toBe(false);
  });

  it("when a message of its stream is too large", async () => {
    const errors: unknown[] = [];
    world.bench.on("bidi", "Test.Read", async (_call, stream) => {
      try {
        while ((await stream.read()) !== undefined);
      } catch (error) {
        errors.push((error as { code: string }).code);
      }
      return undefined;
    });
    const { address } = await world.serve({ maxBody: 20_000 });
    const wire = await world.wire(address);
    await wire.say(route(1, "Test.Read"), request(1, { flags: bidi }), request(2, { flags: bidi }));
    await wire.say(
      frame(Frame.message, 0, 1, Buffer.alloc(20_011)),
      frame(Frame.message, 0, 2, "fine"),
      frame(Frame.end, 0, 2),
    );
    const end = await wire.frame(Frame.end, 1);
    expect(String(end.payload)).toMatch("PAYLOAD_TOO_LARGE");
    expect(failed(await wire.frame(Frame.end, 2))).toBe(false);
    await wire.say(frame(Frame.message, 0, 1, Buffer.alloc(20_011)), frame(Frame.message, 0, 1, "late"));
    await wire.pong("alive");
    expect(errors).toEqual(["PAYLOAD_TOO_LARGE"]);
  });
});

describe("what a handler adds to its reply", () => {
  const seen = (text: string): Buffer => Buffer.from(`x-seen\0${text}\0`);

  it("goes to who asks, before the reply; for others nothing is said, byte for byte", async () => {
    world.bench.unaries.set("Test.Add", async (call, body) => {
      call.response?.header.set("X-Seen", "zoë");
      call.response?.trailer.set("X-Seen", "3").set("Micro-Error", "x");
      if (body.length === 0) throw errors.conflict("t", "sold");
      return { body };
    });
    const { address } = await world.serve();
    const wire = await world.wire(address);
    await wire.say(route(1, "Test.Add"), request(1, { body: "silent" }));
    await wire.frame(Frame.reply, 1);
    expect(wire.raw.bytes.toString("hex")).toBe(
      Buffer.concat([hello({ maxPayload: (4 << 20) + 10 }), frame(Frame.reply, 0, 1, "silent")]).toString("hex"),
    );
    for (const [id, body] of [
      [2, "asks"],
      [3, ""],
    ] as const) {
      await wire.say(request(id, { flags: Flag.listens, body }));
      const reply = await wire.frame(Frame.reply, id);
      expect(failed(reply)).toBe(body === "");
      const said = wire.frames
        .filter((each) => each.id === id)
        .map(({ type, flags, payload }) => [type, flags, payload]);
      expect(said.slice(0, 2)).toEqual([
        [Frame.metadata, 0, seen("zoë")],
        [Frame.metadata, Flag.trailer, seen("3")],
      ]);
      expect(said).toHaveLength(3);
    }
    await wire.say(request(4, { flags: Flag.listens | Flag.oneway, body: "gone" }));
    await wire.pong("after");
    expect(wire.of(Frame.metadata)).toHaveLength(4);
  });

  it("stands before the first message and before the end, though messages wait for credit", async () => {
    world.bench.on("server", "Test.Count", async (call, stream) => {
      call.response?.header.set("X-Seen", "yes");
      for (const word of ["a", "b", "c"]) void stream.send(Buffer.from(word));
      call.response?.trailer.set("X-Seen", "3");
      return undefined;
    });
    const { address } = await world.serve();
    const wire = await world.wire(address, hello({ credit: 1 }));
    await wire.say(route(1, "Test.Count"), request(1, { flags: Flag.listens | 1 }));
    await wire.frame(Frame.message, 1);
    await wire.say(frame(Frame.credit, 0, 1, Buffer.from([0, 0, 1, 0])));
    await wire.frame(Frame.end, 1);
    const said = wire.frames.filter(({ id }) => id === 1).map(({ type, payload }) => `${type} ${String(payload)}`);
    expect(said).toEqual([`10 ${String(seen("yes"))}`, "4 a", "4 b", "4 c", `10 ${String(seen("3"))}`, "5 "]);
  });
});

describe("draining", () => {
  it("serves what was sent before GOAWAY, and ignores what crosses it, streams and their messages too", async () => {
    const gate = world.bench.hanging("Test.Hang");
    const listener = await world.serve();
    const wire = await world.wire(listener.address);
    await wire.say(route(1, "Test.Hang"), route(2, "Test.Echo"), request(1, { body: "first" }));
    await eventually(() => world.bench.running === 1, "it runs");
    const drained = listener.drain();
    expect(await wire.frame(Frame.goaway)).toMatchObject({ id: 1, flags: 0 });
    await wire.say(
      request(2, { route: 2 }),
      request(3, { route: 2, flags: bidi }),
      frame(Frame.message, 0, 3, "of a stream that is not there"),
      frame(Frame.end, 0, 3),
      frame(Frame.cancel, 0, 2),
      request(4, { route: 2, body: Buffer.alloc(5 << 20) }),
    );
    await wire.pong("crossed");
    expect(wire.frames.filter(({ id }) => id > 1)).toEqual([]);
    gate.open();
    expect(String((await wire.frame(Frame.reply, 1)).payload)).toBe("first");
    wire.raw.socket.end();
    await within(drained, "drained");
    expect(world.bench.calls).toHaveLength(1);
  });

  it("ends a connection whose client does not close it, after a second", async () => {
    const clock = virtualClock();
    const listener = await world.serve({ clock });
    const wire = await world.wire(listener.address);
    await wire.pong("there");
    const drained = listener.drain();
    await wire.frame(Frame.goaway);
    await clock.advance(1100);
    expect((await wire.over())?.type).toBe(Frame.goaway);
    await within(drained, "drained");
  });

  it("waits for a client that reads, however slowly, and for no other", { timeout: 60_000 }, async () => {
    const clock = virtualClock();
    for (const reads of [true, false]) {
      const { listener, reader } = await readerOfMuch(clock);
      let drained = false;
      const drain = listener.drain().then(() => (drained = true));
      // Ten times the patience with one that does not read.
      for (let n = 0; n < 100; n++) {
        if (reads && !drained) await reader.reads(400 << 10);
        await clock.advance(1100);
      }
      if (reads) reader.socket.resume();
      // What the kernel takes of it, and when, is its own affair: the server looks again once all of it has left.
      await eventually(async () => {
        if (!drained) await clock.advance(1100);
        return drained;
      }, "drained");
      await drain;
      await listener.close();
      if (reads) await eventually(() => reader.got > much, "all of it comes");
      else expect(reader.got).toBeLessThan(much);
    }
  });

  it("tells a connection that comes meanwhile", async () => {
    const clock = virtualClock();
    const listener = await world.serve({ clock });
    const first = await world.wire(listener.address);
    await first.pong("there");
    const drained = listener.drain();
    const wire = await world.wire(
      listener.address,
      Buffer.concat([hello(), route(1, "Test.Echo"), request(1, { body: "x" })]),
    );
    const goaway = await wire.frame(Frame.goaway);
    expect(wire.frames.map(({ type }) => type).slice(0, 1)).toEqual([Frame.settings]);
    if (goaway.id === 1) expect(String((await wire.frame(Frame.reply, 1)).payload)).toBe("x");
    await clock.advance(5000);
    await within(drained, "drained");
  });
});

describe("a peer that is silent", () => {
  it("is asked after 15 s, and left 10 s later; an answer is enough", async () => {
    const clock = virtualClock();
    const { address } = await world.serve({ clock });
    const wire = await world.wire(address);
    await wire.pong("here");
    for (let round = 0; round < 3; round++) {
      await clock.advance(15_100);
      await wire.raw.until(() => wire.of(Frame.ping).length === 2 + round);
      await wire.say(frame(Frame.ping, Flag.pong, 0, "ts-micro"));
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    await clock.advance(15_100);
    await wire.raw.until(() => wire.of(Frame.ping).length === 5);
    await clock.advance(10_100);
    expect((await wire.over())?.type).toBe(Frame.ping);
  });

  it("but reads on, is not left in the midst of one long reply", { timeout: 30_000 }, async () => {
    const clock = virtualClock();
    const { reader } = await readerOfMuch(clock);
    for (let n = 0; n < 8; n++) {
      await reader.reads(4 << 20);
      await new Promise((resolve) => setTimeout(resolve, 10));
      await clock.advance(9000);
    }
    expect(reader.got).toBeLessThan(much);
    reader.socket.resume();
    await eventually(() => reader.got > much, "all of it comes");
  });

  it("in the middle of its preface is left by the listener's deadline, in the middle of a frame by the ping's", async () => {
    const clock = virtualClock();
    const { address } = await world.serve({ clock }, { clock });
    const slow = await world.wire(address, preface(1).subarray(0, 5));
    const half = await world.wire(address, Buffer.concat([hello(), route(1, "Test.Echo").subarray(0, 12)]));
    await half.frame(Frame.settings);
    await clock.advance(5100);
    expect((await slow.over())?.type).toBeUndefined();
    await clock.advance(25_000);
    await half.over();
    await world.healthy(address);
  });
});

describe("floods", () => {
  it("of calls and streams that never end are turned away above 65,536 of each", { timeout: 30_000 }, async () => {
    world.bench.hanging("Test.Hang");
    world.bench.on("bidi", "Test.Stuck", (call) => new Promise((resolve) => call.cancellation.onCancel(resolve)));
    const { address } = await world.serve();
    const wire = await world.wire(address);
    const most = 65_536;
    const many = (from: number, init: Parameters<typeof request>[1]): Buffer =>
      Buffer.concat(Array.from({ length: most }, (_, n) => request(from + n, init)));
    await wire.say(route(1, "Test.Hang"), route(2, "Test.Stuck"), many(1, {}), request(most + 1));
    const refused = Flag.error | Flag.refused;
    expect(await wire.frame(Frame.reply)).toMatchObject({ id: most + 1, flags: refused });
    await wire.say(many(most + 2, { route: 2, flags: bidi }), request(2 * most + 2, { route: 2, flags: bidi }));
    const end = await wire.frame(Frame.end);
    expect(end).toMatchObject({ id: 2 * most + 2, flags: refused });
    expect(String(end.payload)).toMatch("RESOURCE_EXHAUSTED");
    await world.healthy(address);
  });

  it("of pings that are never read are held back", async () => {
    const { address } = await world.serve();
    const wire = await world.wire(address);
    await wire.frame(Frame.settings);
    wire.raw.socket.pause();
    const pings = Buffer.concat(Array.from({ length: 50_000 }, () => frame(Frame.ping, 0, 0, "12345678")));
    let sent = 0;
    // What the server takes no more piles up here.
    while (sent < 64 << 20 && wire.raw.socket.writableLength < 2 << 20) {
      wire.raw.socket.write(pings);
      sent += pings.length;
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    expect(sent).toBeLessThan(64 << 20);
    await world.healthy(address);
    wire.raw.socket.resume();
    await eventually(() => wire.raw.socket.writableLength === 0, "it goes on once it is read");
  });

  it("of routes and metadata that change take no more than the tables hold", async () => {
    const { address } = await world.serve();
    const wire = await world.wire(address);
    for (let n = 0; n < 20_000; n++) {
      const block = frame(
        Frame.define,
        n % 2,
        (n % 64) + 1,
        n % 2 ? `a\0${"x".repeat(4000)}\0` : `test\0Test.E${n}\0x/${n}\0`,
      );
      if (!wire.raw.socket.write(block)) await new Promise((resolve) => wire.raw.socket.once("drain", resolve));
    }
    await wire.say(route(9, "Test.Echo"), request(1, { route: 9, metadata: 2, body: "end" }));
    expect(String((await wire.frame(Frame.reply, 1)).payload)).toBe("end");
  });

  it("of large replies that nobody reads stop the reading, at the frame", async () => {
    const large = Buffer.alloc(1 << 20, 5);
    let ran = 0;
    const bench: CallHandler = world.bench;
    bench.target = (known) => ({ kind: "unary", route: known }) as never;
    bench.direct = (call) => {
      ran++;
      call.reply(large);
    };
    const { address } = await world.serve();
    const wire = await world.wire(address);
    await wire.frame(Frame.settings);
    wire.raw.socket.pause();
    await wire.say(route(1, "Test.Large"), ...Array.from({ length: 500 }, (_, n) => request(n + 1)));
    await wire.raw.write(Buffer.alloc(0));
    await eventually(() => ran > 0, "it has begun");
    await new Promise((resolve) => setTimeout(resolve, 100));
    // The socket's buffers take some megabytes.
    expect(ran).toBeLessThan(40);
    let bytes = 0;
    wire.raw.socket.removeAllListeners("data").on("data", (chunk: Buffer) => (bytes += chunk.length));
    wire.raw.socket.resume();
    await eventually(() => bytes >= 500 * (large.length + 10), "every reply comes");
    expect(ran).toBe(500);
  });

  it("of 100,000 requests that are cancelled at once leave nothing under way", { timeout: 60_000 }, async () => {
    world.bench.hanging("Test.Hang");
    const { address } = await world.serve();
    const wire = await world.wire(address);
    await wire.say(route(1, "Test.Hang"), route(2, "Test.Echo"));
    // Looked for in what comes, which is too much to be kept and read again and again.
    const last = frame(Frame.reply, 0, 100_001, "end");
    let tail = Buffer.alloc(0);
    let answered = false;
    wire.raw.socket.removeAllListeners("data").on("data", (chunk: Buffer) => {
      tail = Buffer.concat([tail, chunk]);
      answered ||= tail.includes(last);
      tail = tail.subarray(-last.length);
    });
    for (let id = 1; id <= 100_000; id += 500) {
      const some = Array.from({ length: 500 }, (_, n) => [request(id + n), frame(Frame.cancel, 0, id + n)]).flat();
      await wire.say(...some);
      world.bench.calls.length = 0;
    }
    await wire.say(request(100_001, { route: 2, body: "end" }));
    await eventually(() => answered, "the last reply", 40_000);
    await eventually(() => world.bench.running === 0, "no handler runs");
    expect(wire.raw.ending).toBeUndefined();
  });
});

describe("hostile bytes behind the preface (20,000 inputs)", () => {
  const word = fc.constantFrom(0, 1, 2, 3, 7, 64, 65, 1024, 1025, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff);
  const payload = fc.oneof(
    fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
    fc
      .constantFrom(
        "",
        "test\0Test.Echo\0application/octet-stream\0",
        "test\0Test.Talk\0application/octet-stream\0",
        "a\0b\0",
      )
      .map((each) => Buffer.from(each)),
    fc
      .tuple(fc.constantFrom(1, 1, 1, 2), word, word, fc.string({ maxLength: 9 }))
      .map(([n, metadata, timeout, body]) => request(0, { route: n, metadata, timeout, body }).subarray(10)),
    word.map((n) => {
      const four = Buffer.alloc(4);
      four.writeUInt32BE(n);
      return four;
    }),
  );
  const hostile = fc.oneof(
    {
      weight: 8,
      arbitrary: fc.tuple(fc.nat(11), fc.nat(31), fc.oneof(word, fc.nat(20)), payload).map((args) => frame(...args)),
    },
    { weight: 1, arbitrary: fc.constant(Buffer.concat([route(1, "Test.Echo"), route(2, "Test.Talk")])) },
    { weight: 1, arbitrary: fc.uint8Array({ maxLength: 30 }).map((bytes) => Buffer.from(bytes)) },
  );

  it("end in replies or in GOAWAY, and others are served", { timeout: 180_000 }, async () => {
    world.bench.unaries.set("Test.Echo", async ({ response }, body) => {
      response?.header.set("X-Seen", "yes");
      return { body };
    });
    world.bench.on("bidi", "Test.Talk", async ({ response }, stream) => {
      response?.trailer.set("X-Seen", "3");
      for (let body = await stream.read(); body !== undefined; body = await stream.read()) await stream.send(body);
      return undefined;
    });
    const { address } = await world.serve();
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(hostile, { minLength: 1, maxLength: 10 }), { minLength: 100, maxLength: 100 }),
        async (inputs) => {
          const wires: Wire[] = await Promise.all(
            inputs.map((frames) =>
              world.wire(address, Buffer.concat([hello(), ...frames, frame(Frame.ping, 0, 0, "the end.")])),
            ),
          );
          await Promise.all(
            wires.map(async (wire) => {
              wire.raw.socket.end();
              await wire.over();
              wire.raw.socket.destroy();
            }),
          );
          world.wires.length = 0;
          world.bench.calls.length = 0;
        },
      ),
      { numRuns: 200, endOnFailure: true },
    );
    await world.healthy(address);
    await eventually(() => world.bench.running === 0, "nothing runs on");
    expect(world.bench.running).toBe(0);
  });
});

describe("streams from a strange client", () => {
  it("are not held by a reader without credit: the sender waits, and is told when the reader gives up", async () => {
    const sent: number[] = [];
    world.bench.on("server", "Test.Count", async (_call, stream) => {
      for (let n = 0; n < 1000; n++) {
        await stream.send(Buffer.alloc(68));
        sent.push(n);
      }
      return undefined;
    });
    const { address } = await world.serve();
    const wire = await world.wire(address, hello({ credit: 250 }));
    await wire.say(route(1, "Test.Count"), request(1, { flags: 1 }));
    await wire.raw.until(() => wire.of(Frame.message).length === 3);
    await wire.pong("still");
    expect(sent).toEqual([0, 1]);
    await wire.say(credit(1, 100));
    await wire.raw.until(() => wire.of(Frame.message).length === 4);
    await wire.say(frame(Frame.cancel, 0, 1));
    expect(String((await wire.frame(Frame.end, 1)).payload)).toMatch("CANCELLED");
  });

  it.each<[string, (wire: Wire) => unknown]>([
    ["gives up", (wire) => wire.say(frame(Frame.cancel, 0, 1))],
    ["is gone", (wire) => wire.raw.socket.destroy()],
  ])("are let go without credit too when the client has said its last, and then %s", async (_, leave) => {
    let failed: unknown;
    world.bench.on("bidi", "Test.Count", async (_call, stream) => {
      try {
        for (;;) await stream.send(Buffer.alloc(68));
      } catch (error) {
        failed = error;
        throw error;
      }
    });
    const { address } = await world.serve();
    const wire = await world.wire(address, hello({ credit: 250 }));
    await wire.say(route(1, "Test.Count"), request(1, { flags: bidi }), frame(Frame.end, 0, 1));
    await wire.raw.until(() => wire.of(Frame.message).length === 3);
    await wire.pong("still");
    await leave(wire);
    await eventually(() => world.bench.running === 0, "its handler goes on");
    expect(failed).toBeInstanceOf(MicroError);
  });

  it("may be one of the longest payload on the last byte of credit", async () => {
    world.bench.on("client", "Test.Sum", async (call) => {
      await new Promise((resolve) => call.cancellation.onCancel(resolve));
      return undefined;
    });
    const { address } = await world.serve({ maxBody: 64 << 10 });
    const wire = await world.wire(address);
    const [settingsOfServer] = wire.of(Frame.settings);
    expect(settingsOfServer ?? (await wire.frame(Frame.settings))).toBeDefined();
    const window = 256 << 10;
    const longest = (64 << 10) + 10;
    await wire.say(route(1, "Test.Sum"), request(1, { flags: 2 }));
    let used = 0;
    for (; used + longest + 32 < window; used += longest + 32)
      await wire.say(frame(Frame.message, 0, 1, Buffer.alloc(longest)));
    await wire.say(frame(Frame.message, 0, 1, Buffer.alloc(window - used - 32 - 1)));
    await wire.say(frame(Frame.message, 0, 1, Buffer.alloc(longest)));
    await wire.pong("served");
    expect(wire.of(Frame.goaway)).toEqual([]);
  });

  it("read what came before the end, and the end with the last message", async () => {
    const seen: string[] = [];
    world.bench.on("client", "Test.Sum", async (_call, stream) => {
      for (let body = await stream.read(); body !== undefined; body = await stream.read()) seen.push(text(body));
      return undefined;
    });
    const { address } = await world.serve();
    const wire = await world.wire(address);
    await wire.say(
      route(1, "Test.Sum"),
      request(1, { flags: 2 }),
      frame(Frame.message, 0, 1, "a"),
      frame(Frame.message, Flag.last, 1, "b"),
    );
    await wire.frame(Frame.end, 1);
    expect(seen).toEqual(["a", "b"]);
  });
});
