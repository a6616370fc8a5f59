import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createClient, createService, errors } from "../../../src/index.ts";
import { memoryRegistry } from "../../../src/registry/memory.ts";
import { eventually } from "../../../src/testing/suite.ts";
import { Flag, Frame } from "../../../src/wire/fast/frame.ts";
import { frame } from "../../wire/fast/frames.ts";
import { FastWorld, failure, hello, request, route, type as contentType, type Wire } from "./world.ts";

let world: FastWorld;
const open: { close(): Promise<void> }[] = [];
const dropped: string[] = [];
const onDropped = (event: unknown): void => void dropped.push((event as { reason: string }).reason);
beforeEach(() => {
  world = new FastWorld();
  dropped.length = 0;
  subscribe("ts-micro:fast:dropped", onDropped);
});
afterEach(async () => {
  unsubscribe("ts-micro:fast:dropped", onDropped);
  await world.close();
  for (const each of open.splice(0).toReversed()) await each.close();
});

const bidi = 3;
const piece = Buffer.alloc(64 << 10);
const message = (id: number, body: Buffer | string = piece): Buffer => frame(Frame.message, 0, id, body);

describe("what waits to be read, of all streams of a connection", () => {
  /** Ids of streams that ended because there was too much. */
  const exhausted = (wire: Wire): number[] =>
    wire
      .of(Frame.end)
      .filter(({ payload }) => String(payload).includes("RESOURCE_EXHAUSTED"))
      .map(({ id }) => id);

  it("is bounded at the server: the stream that brings more ends, the others and the connection go on", async () => {
    world.bench.on("bidi", "Test.Stuck", (call) => new Promise((resolve) => call.cancellation.onCancel(resolve)));
    world.bench.on("bidi", "Test.Chat", async (_call, stream) => {
      for (let body = await stream.read(); body !== undefined; body = await stream.read()) await stream.send(body);
      return undefined;
    });
    const { address } = await world.serve({ maxUnread: 1 << 20 });
    const wire = await world.wire(address);
    const ids = Array.from({ length: 20 }, (_, n) => n + 1);
    await wire.say(route(1, "Test.Stuck"), route(2, "Test.Chat"), ...ids.map((id) => request(id, { flags: bidi })));
    for (const id of ids) await wire.say(message(id), message(id), message(id));
    await wire.pong("flooded");
    // Of 64 KiB each, and what a message costs beside its body, fifteen fit.
    expect(exhausted(wire)).toEqual(ids.slice(5));
    // One that is read is not held up.
    await wire.say(request(21, { route: 2, flags: bidi }));
    for (let n = 0; n < 32; n++) await wire.say(message(21, Buffer.alloc(7000)));
    await wire.raw.until(() => wire.of(Frame.message).length === 32, "echoes");
    // There is room again once others are over.
    await wire.say(...ids.map((id) => frame(Frame.cancel, 0, id)), request(22, { flags: bidi }));
    await wire.say(message(22), message(22), message(22));
    await wire.pong("after");
    expect(exhausted(wire)).toEqual(ids.slice(5));
  });

  it("is bounded at the client, which tells the server", async () => {
    const address = await world.strange((wire) => void wire.say(hello()));
    const peer = world.dial(address, { maxUnread: 1 << 20 });
    const head = { service: "test", endpoint: "Test.Feed", contentType, kind: "server", id: "ts-1" } as const;
    const open = () => peer.stream({ ...head, deadline: Infinity, metadata: undefined });
    const streams = Array.from({ length: 20 }, open);
    await eventually(() => world.wires.length === 1, "a connection");
    const [wire] = world.wires as [Wire];
    await wire.frame(Frame.request, 20);
    for (let id = 1; id <= 20; id++) await wire.say(message(id), message(id), message(id));
    await wire.frame(Frame.cancel, 20);
    expect(wire.of(Frame.cancel).map(({ id }) => id)).toEqual(Array.from({ length: 15 }, (_, n) => n + 6));
    expect(await failure(streams[19]!.read())).toMatchObject({ code: "RESOURCE_EXHAUSTED", refused: false });
    for (let n = 0; n < 3; n++) expect((await streams[0]!.read())?.length).toBe(piece.length);
    // What was read has made room, and what is over is its reader's alone.
    await wire.say(
      message(2),
      message(3),
      message(4),
      message(5, ""),
      ...[1, 2, 3, 4, 5].map((id) => frame(Frame.end, 0, id)),
    );
    for (let n = 0; n < 4; n++) expect((await streams[1]!.read())?.length).toBe(piece.length);
    expect(await streams[1]!.read()).toBeUndefined();
    expect(peer.pending).toBe(0);
    for (let id = 21; id <= 60; id++) {
      const stream = open();
      await wire.frame(Frame.request, id);
      await wire.say(message(id), frame(Frame.end, 0, id));
      await eventually(() => peer.pending === 0, "it is over");
      if (id === 60) expect((await stream.read())?.length).toBe(piece.length);
    }
    expect(wire.of(Frame.cancel).length).toBe(15);
  });

  it("leaves out messages at which their receiver cancels the stream", async () => {
    const address = await world.strange((wire) => void wire.say(hello()));
    const peer = world.dial(address, { maxUnread: 1 << 20 });
    const feed = () => peer.stream(world.bench.head("Test.Feed", { kind: "server" }));
    const first = feed();
    await eventually(() => world.wires.length === 1, "a connection");
    const [wire] = world.wires as [Wire];
    await wire.frame(Frame.request, 1);
    for (let id = 2; id <= 21; id++) {
      const stream = feed();
      const message = (): boolean => {
        stream.cancel(errors.cancelled("test", "it does not decode"));
        return false;
      };
      stream.receive?.({ message, ended: () => {} });
      await wire.frame(Frame.request, id);
      await wire.say(frame(Frame.message, 0, id, piece));
      await wire.frame(Frame.cancel, id);
    }
    await wire.say(message(1));
    await wire.pong("unread");
    expect((await first.read())?.length).toBe(piece.length);
  });
});

describe("who calls and gives up without end", () => {
  async function service(maxInFlight: number) {
    const registry = memoryRegistry();
    const shared = { registry, env: false as const, logLevel: "fatal" as const };
    const goOn: (() => void)[] = [];
    const made = createService({ ...shared, name: "s", address: "127.0.0.1:0", settle: 0, drain: 0, maxInFlight });
    made.handle("S", {
      deaf: () => new Promise<object>((resolve) => goOn.push(() => resolve({}))),
      heeds: (_: object, { signal }) =>
        new Promise<object>((resolve) => signal.addEventListener("abort", () => resolve({}))),
      async *deafStream() {
        await new Promise<void>((resolve) => goOn.push(resolve));
        yield {};
      },
      hello: () => ({ msg: "well" }),
    });
    await made.start();
    open.push({ close: () => made.stop() });
    const client = createClient({ ...shared, protocols: ["fast"] });
    open.push(client);
    return { service: made, client, goOn };
  }

  const call = (id: number): Buffer[] => [request(id, { body: "{}" }), frame(Frame.cancel, 0, id)];
  const deaf = frame(Frame.define, 0, 1, "s\0S.Deaf\0application/json\0");
  const greet = frame(Frame.define, 0, 2, "s\0S.Hello\0application/json\0");

  it("has to leave, and is told why, when thousands of its handlers go on; others are served", async () => {
    const { service: made, client, goOn } = await service(20_000);
    const wire = await world.wire(made.server.address);
    await wire.say(deaf, greet, ...Array.from({ length: 5000 }, (_, n) => call(n + 1)).flat());
    const goaway = await wire.frame(Frame.goaway);
    expect(goaway).toMatchObject({ id: 4097, flags: 0 });
    expect(String(goaway.payload)).toBe("4096 handlers go on after their calls were given up");
    expect(dropped).toEqual([String(goaway.payload)]);
    await wire.say(...Array.from({ length: 5000 }, (_, n) => call(n + 5001)).flat(), request(20_000, { route: 2 }));
    await wire.over();
    expect(goOn.length).toBe(4097);
    expect(wire.of(Frame.reply).some(({ id }) => id > 4097)).toBe(false);
    expect(await client.call("s", "S.Hello", {})).toEqual({ msg: "well" });
    for (const each of goOn) each();
  });

  it.each<[string, string, number]>([
    ["streams", "s\0S.DeafStream\0application/json\0", 1],
    ["bodies in envelopes", "s\0S.Deaf\0application/json-rpc\0", 0],
  ])("has to leave with %s too", async (_, where, flags) => {
    const { service: made, client, goOn } = await service(20_000);
    const wire = await world.wire(made.server.address);
    const body = '{"method":"S.Deaf","params":[{}],"id":1}';
    const calls = Array.from({ length: 5000 }, (_, n) => [
      request(n + 1, flags === 0 ? { body } : { flags }),
      ...(flags === 0 ? [] : [frame(Frame.message, Flag.last, n + 1, "{}")]),
    ]);
    await wire.say(frame(Frame.define, 0, 1, where), ...calls.flat());
    await eventually(() => goOn.length === 5000, "they run");
    await wire.say(...Array.from({ length: 5000 }, (_, n) => frame(Frame.cancel, 0, n + 1)));
    await wire.pong("gave up");
    await wire.say(request(5001));
    const goaway = await wire.frame(Frame.goaway);
    expect(goaway.id).toBe(5000);
    expect(String(goaway.payload)).toBe("4096 handlers go on after their calls were given up");
    expect(await client.call("s", "S.Hello", {})).toEqual({ msg: "well" });
    for (const each of goOn) each();
    await eventually(() => made.server.stats.inFlight === 0, "all is over");
  });

  it("may give up thousands at once, whose handlers heed it, and go on", async () => {
    const { service: made } = await service(20_000);
    const wire = await world.wire(made.server.address);
    const all = Array.from({ length: 6000 }, (_, n) => n + 1);
    await wire.say(frame(Frame.define, 0, 1, "s\0S.Heeds\0application/json\0"), greet);
    await wire.say(...all.map((id) => request(id, { body: "{}" })));
    await eventually(() => made.server.stats.inFlight === 6000, "they run");
    await wire.say(...all.map((id) => frame(Frame.cancel, 0, id)));
    await eventually(() => made.server.stats.inFlight === 0, "they have ended");
    await wire.say(request(6001, { route: 2, body: "{}" }));
    expect(String((await wire.frame(Frame.reply, 6001)).payload)).toBe('{"msg":"well"}');
    expect(wire.of(Frame.goaway)).toEqual([]);
  });

  it("gets no more work than there may be at once, on however many connections", async () => {
    const { service: made, goOn } = await service(1000);
    for (let n = 0; n < 3; n++) {
      const wire = await world.wire(made.server.address);
      await wire.say(deaf, ...Array.from({ length: 1000 }, (_, id) => call(id + 1)).flat());
      await wire.pong(`round ${n}`);
      if (n > 0) {
        const first = wire.of(Frame.reply)[0]!;
        expect(first.flags).toBe(Flag.error | Flag.refused);
        expect(String(first.payload)).toMatch("1000 of them given up by their callers");
      }
      wire.raw.socket.destroy();
    }
    expect(goOn.length).toBe(1000);
    for (const each of goOn) each();
    await new Promise(setImmediate);
    await world.wire(made.server.address).then(async (wire) => {
      await wire.say(greet, request(1, { route: 2, body: "{}" }));
      expect(String((await wire.frame(Frame.reply, 1)).payload)).toBe('{"msg":"well"}');
    });
  });

  it("is let be as long as its handlers heed it: 20,000 calls", { timeout: 60_000 }, async () => {
    const { service: made, client } = await service(10_000);
    await client.call("s", "S.Hello", {});
    for (let n = 0; n < 20; n++) {
      const controller = new AbortController();
      const calls = Array.from({ length: 1000 }, () =>
        client.call("s", "S.Heeds", {}, { signal: controller.signal }).catch((error: { code: string }) => error.code),
      );
      await eventually(() => made.server.stats.inFlight === 1000, "all run");
      controller.abort();
      expect(new Set(await Promise.all(calls))).toEqual(new Set(["CANCELLED"]));
      await eventually(() => made.server.stats.inFlight === 0, "all have ended");
    }
    expect(dropped).toEqual([]);
    expect(await client.call("s", "S.Hello", {})).toEqual({ msg: "well" });
  });
});
