import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { readFileSync } from "node:fs";
import { createServer as createTls } from "node:tls";
import type { AddressInfo, Socket } from "node:net";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Cancellation } from "../../../src/context.ts";
import { MicroError } from "../../../src/errors.ts";
import type { CallHead, Peer, RawStream } from "../../../src/protocol.ts";
import { virtualClock, type VirtualClock } from "../../../src/testing/clock.ts";
import { text } from "../../../src/testing/protocol/bench.ts";
import { eventually, within } from "../../../src/testing/suite.ts";
import { Frame, preface } from "../../../src/wire/fast/frame.ts";
import { frame } from "../../wire/fast/frames.ts";
import { FastWorld, failure, hello, type as contentType, type Wire } from "./world.ts";

const head = (more: Partial<CallHead> = {}): CallHead => ({
  service: "test",
  endpoint: "Test.Echo",
  contentType,
  kind: "unary",
  deadline: Infinity,
  metadata: undefined,
  id: "ts-1",
  ...more,
});
const none = Buffer.alloc(0);

/** The other way: says that it was taken. */
class Other implements Peer {
  readonly node = { id: "test-1", address: "elsewhere", metadata: {} };
  readonly pending = 0;
  calls = 0;
  closed = 0;

  async unary(): Promise<{ body: Uint8Array }> {
    this.calls++;
    return { body: Buffer.from("another way") };
  }

  stream(_head: CallHead, _cancellation: unknown, over?: (error: MicroError | undefined) => void): RawStream {
    this.calls++;
    return {
      send: () => Promise.resolve(),
      end: () => over?.(undefined),
      read: () => Promise.resolve(Buffer.from("another way")),
      cancel: (reason) => over?.(reason),
    };
  }

  async close(): Promise<void> {
    this.closed++;
  }
}

let world: FastWorld;
let clock: VirtualClock;
let other: Other;
beforeEach(() => {
  world = new FastWorld();
  clock = virtualClock();
  other = new Other();
});
afterEach(() => world.close());

/** What a node, or something before it, does with our preface. */
const strangers: Record<string, (wire: Wire) => void> = {
  "answers 400": (wire) => void wire.raw.write("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n").catch(() => {}),
  "answers with a newer version": (wire) => void wire.raw.write(Buffer.concat([preface(2), none])).catch(() => {}),
  "answers with a version of no sense": (wire) => void wire.raw.write("\0MICRO/0\n").catch(() => {}),
  "answers with half a preface": (wire) => void wire.raw.write("\0MICR").catch(() => {}),
  "answers nothing": () => {},
  closes: (wire) => void wire.raw.socket.end(),
  resets: (wire) => void wire.raw.socket.once("data", () => wire.raw.socket.resetAndDestroy()),
};

describe("a node that our framing does not reach", () => {
  for (const [what, act] of Object.entries(strangers)) {
    it(`(${what}) is called another way, and our framing is tried again later, while calls go on`, async () => {
      let act2 = act;
      const address = await world.strange((wire) => act2(wire));
      const peer = world.dial(address, { clock, avoid: "5m" }, () => other);
      const call = peer.unary(head(), none);
      const stream = peer.stream(head({ kind: "bidi" }));
      const sent = stream.send(none);
      const read = stream.read();
      await eventually(() => world.wires.length === 1, "a connection");
      if (what === "answers nothing" || what === "answers with half a preface") {
        await eventually(() => clock.pending() > 0, "the limit of the answer");
        await clock.advance(2100);
      }
      expect(text((await call).body)).toBe("another way");
      expect(text(await read)).toBe("another way");
      await sent;
      for (let n = 0; n < 10; n++) await peer.unary(head(), none);
      expect(world.wires).toHaveLength(1);
      // As long as the second try is not answered, nobody waits for it.
      act2 = () => {};
      await clock.advance(5 * 60_000);
      const before = other.calls;
      for (let n = 0; n < 10; n++) expect(text((await peer.unary(head(), none)).body)).toBe("another way");
      await eventually(() => world.wires.length === 2, "one more try");
      expect(other.calls).toBe(before + 10);
      expect(world.wires).toHaveLength(2);
      // Answered, it carries what comes then.
      await world.wires[1]!.say(hello());
      await world.wires[1]!.frame(Frame.settings);
      await new Promise((resolve) => setTimeout(resolve, 20));
      const ours = peer.unary(head(), none);
      await world.wires[1]!.frame(Frame.request);
      await world.wires[1]!.say(frame(Frame.reply, 0, 1, "ours"));
      expect(text((await ours).body)).toBe("ours");
      await peer.close();
      expect(other.closed).toBe(1);
      expect(peer.pending).toBe(0);
    });
  }

  it.each(["closes", "resets"])("(%s), as one that restarts does, is tried again within seconds", async (what) => {
    let act = strangers[what] as (wire: Wire) => void;
    const address = await world.strange((wire) => act(wire));
    const peer = world.dial(address, { clock, avoid: "5m" }, () => other);
    expect(text((await peer.unary(head(), none)).body)).toBe("another way");
    act = () => {};
    await clock.advance(5000);
    await peer.unary(head(), none);
    await eventually(() => world.wires.length === 2, "one more try");
    await peer.close();
  });

  it("by TLS's choice of another protocol is called another way at once", async () => {
    const pem = (name: string): Buffer => readFileSync(new URL(`../../fixtures/tls/${name}.pem`, import.meta.url));
    const server = createTls({ cert: pem("server"), key: pem("server-key"), ALPNProtocols: ["http/1.1"] });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const peer = world.dial(
      `127.0.0.1:${(server.address() as AddressInfo).port}`,
      { clock, tls: { ca: pem("ca"), servername: "localhost" } },
      () => other,
    );
    expect(text((await peer.unary(head(), none)).body)).toBe("another way");
    await peer.close();
    await new Promise<void>((resolve) => server.close(() => resolve()));
  });

  it("by the second of two connections is called by the first", async () => {
    const address = await world.strange((wire) => {
      if (world.wires.length > 1) return void wire.raw.write("HTTP/1.1 503 \r\n\r\n").catch(() => {});
      void wire.say(hello());
      wire.raw.socket.on("data", () => {
        for (const { id } of wire.of(Frame.request)) if (!wire.raw.socket.destroyed) void answer(wire, id);
      });
    });
    const answered = new Set<number>();
    const answer = async (wire: Wire, id: number): Promise<void> => {
      if (answered.has(id)) return;
      answered.add(id);
      await wire.say(frame(Frame.reply, 0, id, "first"));
    };
    const peer = world.dial(address, { connections: 2, clock }, () => other);
    await peer.unary(head(), none);
    await eventually(() => world.wires.length >= 2, "two connections");
    await new Promise((resolve) => setTimeout(resolve, 20));
    for (let n = 0; n < 5; n++) expect(text((await peer.unary(head(), none)).body)).toBe("first");
  });

  it("by the second of two connections is connected to again when the first has ended", async () => {
    let first: Wire | undefined;
    const address = await world.strange((wire) => {
      if (first === undefined) {
        first = wire;
        setTimeout(() => void wire.say(hello()), 50);
      } else if (world.wires.length === 2) void wire.raw.write("HTTP/1.1 503 \r\n\r\n").catch(() => {});
      else void wire.say(hello());
      wire.raw.socket.on("data", () => {
        for (const { id } of wire.of(Frame.request)) void wire.say(frame(Frame.reply, 0, id, "again")).catch(() => {});
      });
    });
    const peer = world.dial(address, { connections: 2, clock }, () => other);
    await peer.unary(head(), none);
    await eventually(() => world.wires.length === 2, "two connections");
    await new Promise((resolve) => setTimeout(resolve, 100));
    first?.raw.socket.destroy();
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(text((await within(peer.unary(head(), none), "a reply")).body)).toMatch(/^(again|another way)$/);
  });

  it("and that has no other way is UNAVAILABLE, refused", async () => {
    const address = await world.strange((wire) => void wire.raw.write("HTTP/1.1 400 \r\n\r\n").catch(() => {}));
    expect(await failure(world.dial(address).unary(head(), none))).toMatchObject({
      code: "UNAVAILABLE",
      refused: true,
    });
  });
});

describe("a peer that is closed", () => {
  it("while it connects, at each step, settles what waits, and leaves no socket", async () => {
    for (const said of [none, preface(1).subarray(0, 4), preface(1), hello()]) {
      const address = await world.strange((wire) => void wire.raw.write(said).catch(() => {}));
      const peer = world.dial(address, {}, () => other);
      const call = failure(peer.unary(head(), none));
      const stream = failure(peer.stream(head({ kind: "bidi" })).read());
      const wire = await (async () => {
        await eventually(() => world.wires.length > 0, "a connection");
        return world.wires.at(-1)!;
      })();
      await wire.raw.until((bytes) => bytes.length >= 9);
      await peer.close();
      expect((await call).code).toBe("CONNECTION_LOST");
      expect((await stream).code).toBe("CONNECTION_LOST");
      await wire.raw.end();
      expect(peer.pending).toBe(0);
      expect(await failure(peer.unary(head(), none))).toMatchObject({ code: "CONNECTION_LOST", refused: true });
      world.wires.length = 0;
    }
  });
});

describe("a connection that is lost", () => {
  it("before it was asked anything refuses what waited, so that it is tried elsewhere", async () => {
    const address = await world.strange(
      (wire) => void wire.say(preface(1)).then(() => wire.raw.socket.resetAndDestroy()),
    );
    expect(await failure(world.dial(address).unary(head(), none))).toMatchObject({ refused: true });
  });

  it("after a request left cannot say whether it ran", async () => {
    const address = await world.strange((wire) => {
      void wire.say(hello()).then(async () => {
        await wire.frame(Frame.request).catch(() => {});
        wire.raw.socket.resetAndDestroy();
      });
    });
    expect(await failure(world.dial(address).unary(head(), none))).toMatchObject({
      code: "CONNECTION_LOST",
      refused: false,
    });
  });

  it("is safe to repeat for what was not handed to the system, and for that alone", async () => {
    const address = await world.strange((wire) => void wire.say(hello()));
    const sockets: Socket[] = [];
    const opened = (message: unknown): void => void sockets.push((message as { socket: Socket }).socket);
    subscribe("net.client.socket", opened);
    try {
      const peer = world.dial(address);
      const left = failure(peer.unary(head(), none));
      const leftStream = peer.stream(head({ kind: "bidi" }));
      const leftRead = failure(leftStream.read());
      await eventually(() => world.wires.length === 1, "a connection");
      await world.wires[0]!.frame(Frame.request, 2);
      sockets.at(-1)!.destroy();
      const unsent = failure(peer.unary(head(), none));
      const unsentRead = failure(peer.stream(head({ kind: "bidi" })).read());
      expect(await left).toMatchObject({ code: "CONNECTION_LOST", refused: false });
      expect(await leftRead).toMatchObject({ code: "CONNECTION_LOST", refused: false });
      expect(await unsent).toMatchObject({ code: "CONNECTION_LOST", refused: true });
      expect(await unsentRead).toMatchObject({ code: "CONNECTION_LOST", refused: true });
    } finally {
      unsubscribe("net.client.socket", opened);
    }
  });
});

/** Counts who listens. */
class Counted extends Cancellation {
  live = 0;

  override onCancel(listener: (reason: MicroError) => void): () => void {
    const unlink = super.onCancel(listener);
    this.live++;
    return () => {
      this.live--;
      unlink();
    };
  }
}

describe("a call that has waited for its connection", () => {
  it("leaves nothing with its caller, whichever way it went", async () => {
    const cancellation = new Counted();
    const address = await world.strange((wire) => {
      void wire.say(hello()).then(async () => {
        await wire.frame(Frame.request);
        await wire.say(frame(Frame.reply, 0, 1, "ours"));
      });
    });
    expect(text((await world.dial(address).unary(head(), none, cancellation)).body)).toBe("ours");
    expect(cancellation.live).toBe(0);
    const elsewhere = await world.strange((wire) => void wire.raw.write("HTTP/1.1 400 \r\n\r\n").catch(() => {}));
    const reply = await world.dial(elsewhere, { clock }, () => other).unary(head(), none, cancellation);
    expect(text(reply.body)).toBe("another way");
    expect(cancellation.live).toBe(0);
    await failure(world.dial(elsewhere, { clock }).unary(head(), none, cancellation));
    expect(cancellation.live).toBe(0);
  });
});
