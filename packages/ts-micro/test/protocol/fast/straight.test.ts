import { Socket } from "node:net";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { errors, type MicroError } from "../../../src/errors.ts";
import type { IncomingCall, Peer, RawStream, Receiver } from "../../../src/protocol.ts";
import { createClient } from "../../../src/index.ts";
import { fast } from "../../../src/protocol/fast.ts";
import { memoryRegistry } from "../../../src/registry/memory.ts";
import { all, bytes, gone, settled, text } from "../../../src/testing/protocol/bench.ts";
import { eventually } from "../../../src/testing/suite.ts";
import { Flag, Frame, encodeFailure } from "../../../src/wire/fast/frame.ts";
import { frame } from "../../wire/fast/frames.ts";
import { FastWorld, hello, type Wire } from "./world.ts";

/** Keeps the beginnings of messages; `takes`: counts them as read. */
class Collecting implements Receiver {
  readonly texts: string[] = [];
  readonly lengths: number[] = [];
  readonly ends: { error: MicroError | undefined; dropped: boolean }[] = [];
  takes = true;

  message(body: Buffer, from: number, to: number): boolean {
    this.texts.push(body.toString("latin1", from, Math.min(to, from + 8)));
    this.lengths.push(to - from);
    return this.takes;
  }

  ended(error: MicroError | undefined, dropped: boolean): void {
    this.ends.push({ error, dropped });
  }
}

let world: FastWorld;
let peer: Peer;
beforeEach(async () => {
  world = new FastWorld();
  peer = world.dial((await world.serve()).address);
});
afterEach(() => world.close());

const open = (kind: "server" | "client" | "bidi", endpoint: string): RawStream =>
  peer.stream(world.bench.head(endpoint, { kind }));

/** A connection is there: a stream need not wait for one. */
async function connected(): Promise<void> {
  await peer.unary(world.bench.head("Test.Echo"), bytes("x"));
}

const numbers = Array.from({ length: 300 }, (_, i) => `m${i}`);

function count(): void {
  world.bench.on("server", "Test.Count", async (_call, stream) => {
    await stream.read();
    for (const each of numbers) await stream.send(bytes(each));
    return undefined;
  });
}

it("a receiver gets what has come and what comes, in order, then the end, once", async () => {
  count();
  await connected();
  const stream = open("server", "Test.Count");
  await stream.send(bytes("go"));
  expect(text(await stream.read())).toBe("m0");
  const receiver = new Collecting();
  stream.receive?.(receiver);
  await eventually(() => receiver.ends.length > 0, "the end");
  expect(receiver.texts).toEqual(numbers.slice(1));
  expect(receiver.ends).toEqual([{ error: undefined, dropped: false }]);
});

it("a receiver that comes after the end gets it all", async () => {
  count();
  await connected();
  const stream = open("server", "Test.Count");
  await stream.send(bytes("go"));
  await eventually(() => peer.pending === 0, "the server's last word");
  const receiver = new Collecting();
  stream.receive?.(receiver);
  expect(receiver.texts).toEqual(numbers);
  expect(receiver.ends).toEqual([{ error: undefined, dropped: false }]);
});

it("what a receiver has not taken holds the sender back, until it says so", async () => {
  let sent = 0;
  const body = bytes("x".repeat(8192));
  world.bench.on("server", "Test.Flood", async (_call, stream) => {
    await stream.read();
    for (; sent < 200; sent++) await stream.send(body);
    return undefined;
  });
  await connected();
  const stream = open("server", "Test.Flood");
  const receiver = new Collecting();
  receiver.takes = false;
  stream.receive?.(receiver);
  await stream.send(bytes("go"));
  await settled(() => sent);
  expect(sent).toBeLessThan(200);
  for (let told = 0; told < 200;) {
    await eventually(() => receiver.lengths.length > told, "a message");
    stream.took?.(receiver.lengths[told++] as number);
  }
  await eventually(() => receiver.ends.length > 0, "the end");
  expect(receiver.texts.length).toBe(200);
});

it("a receiver is told of a cancellation that what it has not used is not wanted any more", async () => {
  world.bench.on("bidi", "Test.Quiet", async (call) => void (await gone(call)));
  await connected();
  const stream = open("bidi", "Test.Quiet");
  const receiver = new Collecting();
  stream.receive?.(receiver);
  const reason = errors.cancelled("me", "enough");
  stream.cancel(reason);
  expect(receiver.ends[0]).toEqual({ error: reason, dropped: true });
  await eventually(() => world.bench.calls.at(-1)?.cancellation.reason !== undefined, "the handler hears of it");
});

it("post waits for no promise while there is room, and keeps what it could not send", async () => {
  let go = (): void => {};
  const opened = new Promise<void>((resolve) => (go = resolve));
  const got: string[] = [];
  world.bench.on("client", "Test.Sink", async (_call, stream) => {
    await opened;
    got.push(...(await all(stream)));
    return undefined;
  });
  await connected();
  const stream = open("client", "Test.Sink");
  const shared = { bytes: Buffer.alloc(4096), length: 4096 };
  const waits: Promise<void>[] = [];
  for (let n = 0; n < 200; n++) {
    shared.bytes.fill(97 + (n % 26));
    const wait = stream.post?.(shared);
    if (wait !== undefined) waits.push(wait);
    else expect(waits).toEqual([]);
  }
  expect(waits.length).toBeGreaterThan(100);
  go();
  await Promise.all(waits);
  stream.end();
  await stream.read();
  expect(got.map((each) => each.length)).toEqual(numbers.slice(0, 200).map(() => 4096));
  expect(got.map((each) => each[0])).toEqual(numbers.slice(0, 200).map((_, n) => String.fromCharCode(97 + (n % 26))));
  await expect(stream.post?.("late")).rejects.toMatchObject({ code: "INVALID_STATE" });
});

it("a stream that was made before its connection does in order what it was asked, and gives way to the one behind it", async () => {
  const seen: string[] = [];
  let call: IncomingCall | undefined;
  world.bench.on("bidi", "Test.Late", async (incoming, stream) => {
    call = incoming;
    for (let body = await stream.read(); body !== undefined; body = await stream.read()) {
      seen.push(text(body));
      await stream.send(body);
    }
    return undefined;
  });
  const stream = open("bidi", "Test.Late");
  expect(stream.receive).toBeUndefined();
  const sends = [stream.send(bytes("a")), stream.send(bytes("b"))];
  expect(text(await stream.read())).toBe("a");
  const { behind } = stream;
  expect(behind?.post?.("c")).toBeUndefined();
  const receiver = new Collecting();
  behind?.receive?.(receiver);
  stream.end();
  await Promise.all(sends);
  await eventually(() => receiver.ends.length > 0, "the end");
  expect(receiver.texts).toEqual(["b", "c"]);
  expect(seen).toEqual(["a", "b", "c"]);
  expect(call?.cancellation.reason).toBeUndefined();
});

it("a stream that the server has ended with an error is not cancelled at it, one whose message does not decode is", async () => {
  let wire!: Wire;
  const address = await world.strange((each) => {
    wire = each;
    void each.say(hello());
  });
  const registry = memoryRegistry();
  const node = { id: "test-1", address, metadata: { protocol: "mucp", "ts-wire": "1" } };
  await registry.register({ name: "test", version: "1", metadata: {}, endpoints: [], nodes: [node] });
  const client = createClient({ registry, protocols: [fast()], env: false, logLevel: "fatal" });
  try {
    const stream = (endpoint: string) => client.stream("test", endpoint, { stream: "bidi" });
    const failing = stream("Test.Fail");
    const failed = failing.forEach(() => {}).catch((error: unknown) => error);
    await eventually(() => wire !== undefined && wire.of(Frame.request).length === 1, "the first stream");
    const text = encodeFailure(errors.conflict("test", "broken"), 1 << 16);
    await wire.say(frame(Frame.end, Flag.error, wire.of(Frame.request)[0]?.id ?? 0, text));
    expect(await failed).toMatchObject({ code: "CONFLICT", detail: "broken" });
    await wire.pong("first");
    expect(wire.of(Frame.cancel)).toEqual([]);

    const spoiled = stream("Test.Spoil");
    const seen: unknown[] = [];
    const read = (async () => {
      for await (const message of spoiled) seen.push(message);
    })().catch((error: unknown) => error);
    await eventually(() => wire.of(Frame.request).length === 2, "the second stream");
    const { id } = wire.of(Frame.request)[1] as { id: number };
    await wire.say(frame(Frame.message, 0, id, '{"a":1}'), frame(Frame.message, 0, id, "{"));
    expect(await read).toMatchObject({ code: "INTERNAL" });
    expect(seen).toEqual([{ a: 1 }]);
    expect((await wire.frame(Frame.cancel)).id).toBe(id);
  } finally {
    await client.close();
  }
});

it("a turn's calls leave in one write, and so do their replies; where the turn before said much, half of these leave early", async () => {
  await connected();
  const write = vi.spyOn(Socket.prototype, "write");
  try {
    const of = (type: number): number => write.mock.calls.filter(([chunk]) => (chunk as Buffer)[4] === type).length;
    const burst = async (calls: number): Promise<number[]> => {
      write.mockClear();
      const call = (): Promise<unknown> => peer.unary(world.bench.head("Test.Echo"), bytes("x".repeat(32)));
      await Promise.all(Array.from({ length: calls }, call));
      return [of(Frame.request), of(Frame.reply)];
    };
    // The first slab is small, and full before that.
    await burst(400);
    expect(await burst(20)).toEqual([1, 1]);
    expect(await burst(200)).toEqual([1, 1]);
    expect(await burst(200)).toEqual([1, 2]);
    expect(await burst(20)).toEqual([1, 1]);
    expect(await burst(20)).toEqual([1, 1]);
  } finally {
    write.mockRestore();
  }
});
