import { createServer, type AddressInfo } from "node:net";
import { hostname } from "node:os";
import { afterEach, describe, expect, it } from "vitest";
import { httpBroker, type HttpBroker, type HttpBrokerOptions } from "../../src/broker/http.ts";
import type { MicroError } from "../../src/errors.ts";
import type { Registry } from "../../src/registry.ts";
import { memoryRegistry } from "../../src/registry/memory.ts";
import { text } from "../../src/testing/broker.ts";
import { virtualClock, type VirtualClock } from "../../src/testing/clock.ts";
import { eventually, within } from "../../src/testing/suite.ts";
import { Reader } from "../support/reader.ts";
import { RawPeer, announce } from "./peer.ts";

const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close();
});

interface World {
  readonly clock: VirtualClock;
  readonly registry: Registry;
  readonly broker: HttpBroker;
  readonly told: MicroError[];
  /** So many publishes at once. */
  burst(count: number): { readonly all: Promise<unknown>; readonly done: () => number };
}

function open(options: Partial<HttpBrokerOptions> = {}): World {
  const clock = virtualClock();
  const registry = memoryRegistry({ clock });
  const broker = httpBroker({ registry, clock, ...options });
  const told: MicroError[] = [];
  broker.onError = (error) => void told.push(error);
  closing.push(
    () => registry.close(),
    () => broker.close(),
  );
  const burst = (count: number): ReturnType<World["burst"]> => {
    let done = 0;
    const all = Array.from({ length: count }, async (_, i) => {
      await broker.publish("news", text(String(i)));
      done++;
    });
    return { all: Promise.all(all), done: () => done };
  };
  return { clock, registry, broker, told, burst };
}

const ok = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

/** A peer that answers when it is told to, as Go does when its handler is done. */
async function slow(): Promise<RawPeer & { reply: () => void }> {
  const made = await RawPeer.listen();
  closing.push(() => made.close());
  made.answer = undefined;
  let replied = 0;
  const reply = (): void => {
    while (replied < made.requests.length) made.requests[replied++]?.socket.write(ok);
  };
  return Object.assign(made, { reply });
}

const arrived = (peer: RawPeer, count: number): Promise<unknown> =>
  eventually(() => peer.requests.length === count, `${count} requests`);

describe("http broker, subscribers that are slow", () => {
  for (const [name, metadata] of [
    ["of this host", { host: hostname() }],
    ["on loopback that does not say whose", undefined],
  ] as const)
    it(`a burst reaches a subscriber whose handlers take seconds: waiting for a turn says nothing of a node ${name}`, async () => {
      const { clock, registry, broker, told, burst } = open();
      const peer = await slow();
      await announce(registry, "news", peer.address, metadata === undefined ? {} : { metadata });
      const { all } = burst(150);
      for (const count of [32, 64, 96, 128, 150]) {
        await arrived(peer, count);
        await clock.advance(3000);
        peer.reply();
      }
      await within(all, "the publishes");
      expect(peer.connections).toBeLessThanOrEqual(32);
      expect(told).toEqual([]);
      expect(broker.counters).toMatchObject({ published: 150, skipped: 0, buffered: 0, dropped: 0, unconfirmed: 0 });
    });

  it("requests that are silent hold up no others, and are torn down; a publish waits seven seconds at most", async () => {
    const { clock, registry, broker, told, burst } = open();
    const peer = await slow();
    await announce(registry, "news", peer.address);
    const { all, done } = burst(100);
    await arrived(peer, 32);
    await clock.advance(5000);
    await arrived(peer, 64);
    expect(done()).toBe(32);
    await clock.advance(2000);
    await within(all, "the publishes");
    await clock.advance(3000);
    await arrived(peer, 96);
    await clock.advance(5000);
    await arrived(peer, 100);
    await clock.advance(20_000);
    expect(broker.counters).toMatchObject({ unconfirmed: 100, skipped: 0, buffered: 0, dropped: 0 });
    expect(told).toEqual([]);
    const gone = (): boolean => peer.requests.every(({ socket }) => socket.readableEnded);
    await eventually(gone, "the end of the connections");
    await eventually(() => clock.pending() === 0, "the end of the timers");
  });

  it("of a queue, members that are busy come last", async () => {
    const { registry, broker, burst } = open();
    const [busy, free] = [await slow(), await slow()];
    free.answer = ok;
    await announce(registry, "news", busy.address, { queue: "q" });
    await announce(registry, "news", free.address, { queue: "q" });
    const { done } = burst(64);
    await eventually(() => busy.requests.length + done() === 64, "the first ones");
    for (let i = 0; i < 100; i++) await burst(1).all;
    expect(busy.requests.length + free.requests.length).toBe(164);
    busy.reply();
    await eventually(() => done() === 64, "the answers");
    expect(broker.counters).toMatchObject({ unconfirmed: 0, dropped: 0 });
  });

  it("more than 1024 that wait for a turn are kept as for a node without room, then dropped and told", async () => {
    const { clock, registry, broker, told, burst } = open({ drain: 1 });
    const peer = await slow();
    await announce(registry, "news", peer.address);
    burst(32 + 1024 + 64 + 3).all.catch(() => {});
    await arrived(peer, 32);
    await eventually(() => told.length === 3, "what was dropped");
    expect(told.map(({ code }) => code)).toEqual(Array.from({ length: 3 }, () => "RESOURCE_EXHAUSTED"));
    expect(broker.counters).toMatchObject({ buffered: 67, dropped: 3, skipped: 0 });
    const over = broker.close();
    await clock.advance(1);
    await over;
  });

  it("what waits for a turn is bounded in bytes too", async () => {
    const { clock, registry, broker } = open({ drain: 1 });
    const peer = await slow();
    await announce(registry, "news", peer.address);
    const body = Buffer.alloc(2 << 20, 7);
    for (let n = 0; n < 32 + 30; n++) void broker.publish("news", { header: {}, body }).catch(() => {});
    await eventually(() => broker.counters.buffered > 0, "some are kept for later");
    expect(broker.counters.buffered).toBeLessThan(10);
    const over = broker.close();
    await clock.advance(1);
    await over;
  });

  it("what waits for many nodes counts once", async () => {
    const { clock, registry, broker, burst } = open({ drain: 1 });
    const peers = await Promise.all(Array.from({ length: 20 }, () => slow()));
    for (const peer of peers) await announce(registry, "news", peer.address);
    burst(32).all.catch(() => {});
    await eventually(() => peers.every(({ requests }) => requests.length === 32), "they have what they may");
    const body = Buffer.alloc(1 << 20, 7);
    for (let n = 0; n < 8; n++) void broker.publish("news", { header: {}, body }).catch(() => {});
    await clock.advance(1);
    expect(broker.counters).toMatchObject({ published: 40, buffered: 0, dropped: 0 });
    const over = broker.close();
    await clock.advance(1);
    await over;
  });

  it.each([true, false])("a long message has left when all of it has, as long as its peer reads: %s", async (reads) => {
    const { clock, registry, broker, told } = open({ maxBytes: 64 << 20 });
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    closing.push(() => new Promise((resolve) => void server.close(() => resolve())));
    const accepted = new Promise<Reader>((resolve) =>
      server.once("connection", (socket) => resolve(new Reader(socket))),
    );
    await announce(registry, "news", `127.0.0.1:${(server.address() as AddressInfo).port}`);
    const published = broker.publish("news", { header: {}, body: Buffer.alloc(36 << 20, 7) });
    const reader = await within(accepted, "a connection");
    reader.socket.on("error", () => {});
    await reader.reads(0);
    for (let n = 0; n < 8; n++) {
      if (reads) await reader.reads(4 << 20);
      await clock.advance(29_000);
    }
    await within(published, "the publish");
    expect(told.map(({ code, detail }) => [code, detail])).toEqual(
      reads ? [] : [["CONNECTION_LOST", expect.stringContaining("it does not read")]],
    );
    reader.socket.resume();
    // 48 MiB as base64, and what is around them.
    if (reads) await eventually(() => reader.got > 48 << 20, "all of it");
    reader.socket.destroy();
  });

  it("close waits for copies on their way as long as for handlers; those that are left are told", async () => {
    const { clock, registry, broker, told, burst } = open({ drain: 4000 });
    const peer = await slow();
    await announce(registry, "news", peer.address);
    const { all } = burst(70);
    await arrived(peer, 32);
    let closed = false;
    const over = broker.close().then(() => (closed = true));
    await clock.advance(3000);
    peer.reply();
    await arrived(peer, 64);
    expect(closed).toBe(false);
    await clock.advance(1000);
    await over;
    await within(all, "the publishes");
    expect(told.map(({ code }) => code).sort()).toEqual([
      ...Array.from({ length: 32 }, () => "CONNECTION_LOST"),
      ...Array.from({ length: 6 }, () => "INVALID_STATE"),
    ]);
    expect(broker.counters).toMatchObject({ dropped: 38, skipped: 0 });
    expect(clock.pending()).toBe(0);
  });
});
