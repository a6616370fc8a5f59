import { beforeAll, beforeEach, describe, expect, it } from "vitest";
import { Cancellation, type Kind } from "../../src/context.ts";
import { MicroError, errors } from "../../src/errors.ts";
import type { CallHead, Peer, Reply } from "../../src/protocol.ts";
import { mucp } from "../../src/protocol/mucp.ts";
import { virtualClock, type VirtualClock } from "../../src/testing/clock.ts";
import { Dials, turns, Wire } from "./wire.ts";

beforeAll(() => mucp({ transport: new Dials() }).loadClient?.());

let clock: VirtualClock;
let dials: Dials;
let peer: Peer;
let ids = 0;
const go = { protocol: "mucp", transport: "test" };
const ours = { ...go, "ts-wire": "1" };

function dial(metadata: Record<string, string>): void {
  const protocol = mucp({ transport: dials, clock });
  peer = protocol.dial({ id: "n1", address: "test:2", metadata });
}

beforeEach(() => {
  clock = virtualClock(1000);
  dials = new Dials();
  dial(ours);
});

function head(init: Partial<CallHead> = {}): CallHead {
  const id = `ts-unit-${++ids}`;
  const contentType = "application/json";
  return {
    service: "s",
    endpoint: "A.B",
    contentType,
    kind: "unary",
    deadline: Infinity,
    metadata: undefined,
    id,
    ...init,
  };
}

function call(init?: Partial<CallHead>, cancellation?: Cancellation): Promise<Reply> {
  return peer.unary(head(init), Buffer.from("{}"), cancellation);
}

const stream = (kind: Kind, init: Partial<CallHead> = {}) => peer.stream(head({ kind, ...init }));
const failure = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => "no failure",
    (error: unknown) => error,
  );
const text = (body: Uint8Array | undefined): string | undefined => body && Buffer.from(body).toString();

describe("a unary call", () => {
  it("leaves one timer for the whole peer, and none when it is closed", async () => {
    const calls = Array.from({ length: 50 }, (_, i) => call({ deadline: 2000 + i }));
    expect(clock.pending()).toBe(1);
    const wires = calls.map(() => dials.connect());
    await turns();
    for (const wire of wires) wire.hear({}, "{}");
    await Promise.all(calls);
    expect(clock.pending()).toBe(1);
    await peer.close();
    expect(clock.pending()).toBe(0);
  });

  it("times out while it dials, gives up the dial, and destroys a connection that comes after all", async () => {
    const late = failure(call({ deadline: 1500 }));
    const { options, resolve } = dials.next();
    const { signal } = options;
    await clock.advance(501);
    expect(await late).toMatchObject({ code: "TIMEOUT", refused: true });
    expect(signal?.aborted).toBe(true);
    expect(peer.pending).toBe(0);
    const wire = new Wire();
    resolve(wire);
    await turns();
    expect([wire.log, wire.sent]).toEqual([["destroy"], []]);
  });

  it("is cancelled while it dials", async () => {
    const cancellation = new Cancellation();
    const reason = errors.cancelled("me", "enough");
    const cancelled = failure(call({}, cancellation));
    cancellation.cancel(reason);
    expect(await cancelled).toBe(reason);
    const wire = dials.connect();
    await turns();
    expect([wire.log, wire.sent, peer.pending]).toEqual([["destroy"], [], 0]);
  });

  it("destroys its connection at the deadline, when it is cancelled, and when the peer is closed", async () => {
    const cancellation = new Cancellation();
    const calls = [failure(call({ deadline: 1500 })), failure(call({}, cancellation)), failure(call())];
    const wires = calls.map(() => dials.connect());
    await turns();
    await clock.advance(501);
    cancellation.cancel(errors.cancelled("me", "enough"));
    await peer.close();
    const codes = (await Promise.all(calls)).map((error) => (error as MicroError).code);
    expect(codes).toEqual(["TIMEOUT", "CANCELLED", "CONNECTION_LOST"]);
    expect((await Promise.all(calls)).map((error) => (error as MicroError).refused)).toEqual([false, false, false]);
    for (const wire of wires) {
      expect(wire.log).toEqual(["destroy"]);
      wire.hear({}, "late");
    }
  });

  it("gives its connection back after a reply and after an error, and never after trouble", async () => {
    const calls = [failure(call()), failure(call()), failure(call()), failure(call())];
    const wires = calls.map(() => dials.connect()) as [Wire, Wire, Wire, Wire];
    await turns();
    wires[0].hear({}, "{}");
    wires[1].hear({ "Micro-Error": "boom" });
    wires[2].hear({ "Micro-Error": "EOS" });
    wires[3].lose();
    expect(await Promise.all(calls)).toMatchObject([
      "no failure",
      { detail: "boom", layer: "remote" },
      { code: "PROTOCOL" },
      { code: "CONNECTION_LOST", refused: false },
    ]);
    expect(wires.map(({ log }) => log)).toEqual([["release"], ["release"], ["release"], []]);
  });

  it("fails a call whose connection talks before it is asked, and says that it cannot have run", async () => {
    const failing = failure(call());
    const wire = new Wire();
    wire.receive = (receiver) => {
      wire.receiver = receiver;
      wire.hear({}, '{"stale":true}');
    };
    dials.next().resolve(wire);
    expect(await failing).toMatchObject({ code: "PROTOCOL", refused: true });
    expect([wire.log, wire.sent]).toEqual([["destroy"], []]);
  });

  it("says that it cannot have run when its connection dies before it is asked", async () => {
    const failing = failure(call());
    const wire = new Wire();
    wire.receive = (receiver) => receiver.closed(errors.connectionLost("test", "gone"));
    dials.next().resolve(wire);
    expect(await failing).toMatchObject({ code: "CONNECTION_LOST", refused: true });
  });

  it("is not even dialled for when its deadline has passed", async () => {
    expect(await failure(call({ deadline: 1000 }))).toMatchObject({ code: "TIMEOUT", refused: true });
    expect(await failure(stream("bidi", { deadline: 1000 }).read())).toMatchObject({ code: "TIMEOUT", refused: true });
    expect([dials.dials.length, peer.pending]).toEqual([0, 0]);
  });

  it("is refused by a closed peer, which has let go of its idle connections", async () => {
    await peer.close();
    expect(dials.forgotten).toBe(1);
    expect(await failure(call())).toMatchObject({ code: "CONNECTION_LOST", refused: true });
    expect(await failure(stream("bidi").read())).toMatchObject({ code: "CONNECTION_LOST", refused: true });
    expect([dials.dials.length, peer.pending]).toEqual([0, 0]);
  });

  it("settles when its request cannot be sent", async () => {
    const failing = failure(call());
    const wire = new Wire();
    wire.failure = errors.payloadTooLarge("test", "too large");
    dials.next().resolve(wire);
    expect(await failing).toMatchObject({ code: "PAYLOAD_TOO_LARGE" });
    expect([wire.log, peer.pending]).toEqual([["destroy"], 0]);
  });

  it("passes on what the dial failed with", async () => {
    const failing = failure(call());
    dials.next().reject(new MicroError({ code: "UNAVAILABLE", detail: "refused", refused: true }));
    expect(await failing).toMatchObject({ code: "UNAVAILABLE", refused: true, layer: "dial" });
  });

  it("knows a refusal by its header, and keeps what the error says", async () => {
    const refused = failure(call());
    const wire = dials.connect();
    await turns();
    wire.hear({ "Micro-Error": '{"id":"s","code":503,"detail":"full"}', "Micro-Refused": "1" });
    expect(await refused).toMatchObject({ id: "s", status: 503, detail: "full", refused: true });
  });

  it("writes the time that is left in whole nanoseconds", async () => {
    const calls = [failure(call({ deadline: 1000.0015 })), failure(call({ deadline: 31_000 }))];
    const wires = [dials.connect(), dials.connect()];
    await turns();
    expect(wires.map(({ sent }) => sent[0]?.header["Timeout"])).toEqual(["1500", "30000000000"]);
    await peer.close();
    await Promise.all(calls);
  });
});

describe("a client stream end", () => {
  it("keeps the order of what was sent before it was connected", async () => {
    const s = stream("bidi");
    const sent = ["a", "b"].map((body) => s.send(Buffer.from(body)));
    s.end();
    const wire = dials.connect();
    await Promise.all(sent);
    expect(wire.sent.map(({ header, body }) => header["Micro-Error"] ?? text(body))).toEqual(["{}\n", "a", "b", "EOS"]);
    expect(wire.sent.map(({ header }) => header["Micro-Kind"])).toEqual(["bidi", undefined, undefined, undefined]);
    await peer.close();
  });

  it("pauses the connection when nobody reads, and resumes it when somebody does", async () => {
    const s = stream("server");
    const wire = dials.connect();
    await turns();
    for (let i = 0; i < 64; i++) wire.hear({}, `m${i}`);
    expect(wire.paused).toBe(true);
    for (let i = 0; i < 64; i++) expect(text(await s.read())).toBe(`m${i}`);
    expect(wire.log).toEqual(["pause", "resume"]);
    await peer.close();
  });

  it("rejects its first read and its sends when the dial fails", async () => {
    const s = stream("bidi");
    const send = failure(s.send(Buffer.from("x")));
    dials.next().reject(new MicroError({ code: "UNAVAILABLE", detail: "refused", refused: true }));
    expect(await send).toMatchObject({ code: "UNAVAILABLE", refused: true });
    expect(await failure(s.read())).toMatchObject({ code: "UNAVAILABLE", layer: "dial" });
    expect(peer.pending).toBe(0);
  });

  it("gives up its dial when it is cancelled, and destroys a connection that comes after all", async () => {
    const s = stream("bidi");
    const { options, resolve } = dials.next();
    const reason = errors.cancelled("me", "enough");
    s.cancel(reason);
    expect(options.signal?.aborted).toBe(true);
    const wire = new Wire();
    resolve(wire);
    await turns();
    expect([wire.log, wire.sent]).toEqual([["destroy"], []]);
    expect(await failure(s.read())).toBe(reason);
  });

  it("does not say the end of a server stream's one request, which Go would take for its leaving", async () => {
    const s = stream("server");
    const wire = dials.connect();
    await s.send(Buffer.from("request"));
    s.end();
    expect(wire.sent.map(({ body }) => text(body))).toEqual(["{}\n", "request"]);
    await peer.close();
  });

  it("says its own end after the server's, and closes", async () => {
    const s = stream("server");
    const wire = dials.connect();
    await turns();
    wire.hear({ "Micro-Error": "EOS" });
    expect(await s.read()).toBeUndefined();
    expect(wire.sent.at(-1)?.header["Micro-Error"]).toBe("EOS");
    expect(wire.log).toEqual(["close"]);
    s.cancel(errors.cancelled("me", "too late to matter"));
    expect(peer.pending).toBe(0);
  });

  it("waits for the end of a server of ours after the answer, so that the handler sees no lost caller", async () => {
    const s = stream("client");
    const wire = dials.connect();
    await turns();
    s.end();
    wire.hear({}, "answer");
    expect([text(await s.read()), await s.read()]).toEqual(["answer", undefined]);
    expect(wire.log).toEqual([]);
    wire.hear({ "Micro-Error": "EOS" });
    expect([wire.log, peer.pending, clock.pending()]).toEqual([["close"], 0, 0]);
    expect(wire.sent.filter(({ header }) => header["Micro-Error"] === "EOS").length).toBe(1);
  });

  it("does not wait longer than two seconds for that end, and keeps the answer whatever comes", async () => {
    const s = stream("client", { deadline: 1500 });
    const wire = dials.connect();
    await turns();
    wire.hear({}, "answer");
    await clock.advance(501);
    expect(text(await s.read())).toBe("answer");
    expect([wire.log, peer.pending]).toEqual([["close"], 0]);
    const other = stream("client");
    const otherWire = dials.connect();
    await turns();
    otherWire.hear({}, "answer");
    await clock.advance(2001);
    expect([otherWire.log, peer.pending, text(await other.read())]).toEqual([["close"], 0, "answer"]);
  });

  it("takes a Go server's silence after its own end for the end, counted from the last message", async () => {
    dial(go);
    const s = stream("bidi");
    const wire = dials.connect();
    await turns();
    await clock.advance(10_000);
    s.end();
    await clock.advance(1500);
    wire.hear({}, "a");
    await clock.advance(1500);
    wire.hear({}, "b");
    expect(peer.pending).toBe(1);
    await clock.advance(2001);
    expect([text(await s.read()), text(await s.read()), await s.read()]).toEqual(["a", "b", undefined]);
    expect([wire.log, peer.pending, clock.pending()]).toEqual([["close"], 0, 0]);
  });

  it("does not take its own not listening for a Go server's silence", async () => {
    dial(go);
    const s = stream("bidi");
    const wire = dials.connect();
    await turns();
    s.end();
    for (let i = 0; i < 64; i++) wire.hear({}, "x");
    expect(wire.paused).toBe(true);
    await clock.advance(10_000);
    expect(peer.pending).toBe(1);
    for (let i = 0; i < 64; i++) await s.read();
    wire.hear({}, "more");
    expect(text(await s.read())).toBe("more");
    await clock.advance(4001);
    expect(await s.read()).toBeUndefined();
  });

  it("knows a Go server behind a bare address by its echo", async () => {
    dial({});
    const s = stream("bidi");
    const wire = dials.connect();
    await turns();
    s.end();
    await clock.advance(60_000);
    wire.hear({ "Micro-Kind": "bidi", "Micro-Id": "x" }, "a");
    expect(text(await s.read())).toBe("a");
    await clock.advance(2001);
    expect([await s.read(), wire.log, peer.pending]).toEqual([undefined, ["close"], 0]);
    const other = stream("bidi");
    const otherWire = dials.connect();
    await turns();
    otherWire.hear({ "Micro-Kind": "bidi" }, "a");
    other.end();
    otherWire.lose();
    expect([text(await other.read()), await other.read()]).toEqual(["a", undefined]);
  });

  it("never takes silence for the end with a server of ours, or one that may be", async () => {
    for (const metadata of [ours, {}] as Record<string, string>[]) {
      dial(metadata);
      const s = stream("bidi");
      const wire = dials.connect();
      await turns();
      s.end();
      await clock.advance(60_000);
      wire.hear({}, "slow but sure");
      expect(text(await s.read())).toBe("slow but sure");
      wire.lose();
      expect(await failure(s.read())).toMatchObject({ code: "CONNECTION_LOST" });
    }
  });

  it("waits for a Go server's answer however long it takes", async () => {
    dial(go);
    const s = stream("client");
    const wire = dials.connect();
    await turns();
    s.end();
    await clock.advance(60_000);
    wire.hear({}, "answer");
    expect([text(await s.read()), await s.read(), wire.log]).toEqual(["answer", undefined, ["close"]]);
  });

  it("destroys its connection at the deadline and leaves no timer", async () => {
    const s = stream("server", { deadline: 1500 });
    const wire = dials.connect();
    await turns();
    wire.hear({}, "unread");
    await clock.advance(501);
    expect(await failure(s.read())).toMatchObject({ code: "TIMEOUT", refused: false });
    expect([wire.log, peer.pending, clock.pending()]).toEqual([["destroy"], 0, 0]);
  });

  it("keeps its connection when one message is too large to be sent", async () => {
    const s = stream("bidi");
    const wire = dials.connect();
    await turns();
    wire.failure = errors.payloadTooLarge("test", "too large");
    expect(await failure(s.send(Buffer.from("x")))).toMatchObject({ code: "PAYLOAD_TOO_LARGE" });
    wire.failure = undefined;
    await s.send(Buffer.from("y"));
    expect([wire.log, peer.pending]).toEqual([[], 1]);
    await peer.close();
  });
});
