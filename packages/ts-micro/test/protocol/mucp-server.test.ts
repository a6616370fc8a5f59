import { beforeEach, describe, expect, it } from "vitest";
import type { Kind } from "../../src/context.ts";
import { MicroError, errors } from "../../src/errors.ts";
import type { CallHandler, IncomingCall, RawStream, Reply } from "../../src/protocol.ts";
import { ServerConnection } from "../../src/protocol/mucp/server.ts";
import { virtualClock, type VirtualClock } from "../../src/testing/clock.ts";
import { nth } from "../codec/captured.ts";
import { turns, Wire } from "./wire.ts";

/** Handlers that wait until the test lets them go. */
class Scripted implements CallHandler {
  readonly calls: {
    call: IncomingCall;
    body: string;
    reply: (reply: Reply) => void;
    throw: (error: unknown) => void;
  }[] = [];
  readonly streams: {
    call: IncomingCall;
    stream: RawStream;
    end: (error?: MicroError) => void;
    throw: (error: unknown) => void;
  }[] = [];
  readonly topics: string[] = [];

  kindOf(endpoint: string): Kind | undefined {
    return { "A.Unary": "unary", "A.Server": "server", "A.Bidi": "bidi" }[endpoint] as Kind | undefined;
  }

  supports(contentType: string): boolean {
    return ["application/json", "application/json-rpc", "application/protobuf"].includes(contentType);
  }

  unary(call: IncomingCall, body: Uint8Array): Promise<Reply> {
    return new Promise((reply, fail) =>
      this.calls.push({ call, body: Buffer.from(body).toString(), reply, throw: fail }),
    );
  }

  stream(call: IncomingCall, stream: RawStream): Promise<MicroError | undefined> {
    return new Promise((end, fail) => this.streams.push({ call, stream, end, throw: fail }));
  }

  async message({ topic }: { topic: string }): Promise<MicroError | undefined> {
    this.topics.push(topic);
    return undefined;
  }
}

let clock: VirtualClock;
let wire: Wire;
let handler: Scripted;
const json = { "Content-Type": "application/json" };
const lost = errors.connectionLost("test", "gone");

beforeEach(() => {
  clock = virtualClock(1000);
  wire = new Wire();
  handler = new Scripted();
  wire.receive(new ServerConnection(wire, handler, clock));
});

function request(stream: string, endpoint = "A.Unary", more: Record<string, string> = {}): Record<string, string> {
  const ids = stream === "" ? {} : { "Micro-Stream": stream, "Micro-Id": stream };
  return { ...json, "Micro-Endpoint": endpoint, ...ids, ...more };
}

const errorsSent = (): (string | undefined)[] => wire.sent.map(({ header }) => header["Micro-Error"]);
const bodies = (): string[] => wire.sent.map(({ body }) => Buffer.from(body).toString());
const body = (text: string): Uint8Array => Buffer.from(text);

describe("a server's connection", () => {
  it("runs 128 calls at once and the others after them, all answered", async () => {
    for (let i = 0; i < 150; i++) wire.hear(request(`s${i}`), `${i}`);
    expect(handler.calls.length).toBe(128);
    for (let i = 0; i < 150; i++) {
      handler.calls[i]?.reply({ body: body(`r${i}`) });
      await turns();
    }
    expect(bodies()).toEqual(Array.from({ length: 150 }, (_, i) => `r${i}`));
    expect(wire.log).toEqual(["busy", "idle"]);
  });

  it("pauses when too much waits, and resumes as it is worked off", async () => {
    for (let i = 0; i < 128 + 31; i++) wire.hear(request(`s${i}`));
    expect(wire.paused).toBe(false);
    wire.hear(request("last"));
    expect(wire.paused).toBe(true);
    handler.calls[0]?.reply({ body: body("r") });
    await turns();
    expect(wire.paused).toBe(false);
    expect(handler.calls.length).toBe(129);
  });

  it("pauses when few but large requests wait", () => {
    wire.hear(request(""));
    wire.hear(request(""), "x".repeat(1 << 20));
    expect([handler.calls.length, wire.paused]).toEqual([1, true]);
  });

  it("serves requests that cannot be told apart one after another", async () => {
    for (const id of ["", "", "leaked", "leaked"]) wire.hear(request(id, "A.Unary", { "Micro-Id": "7" }), id);
    expect(handler.calls.map(({ body }) => body)).toEqual(["", "leaked"]);
    handler.calls[1]?.reply({ body: body("b") });
    await turns();
    expect(handler.calls.length).toBe(3);
    for (const { reply } of handler.calls) reply({ body: body("x") });
    await turns();
    handler.calls[3]?.reply({ body: body("x") });
    await turns();
    expect(wire.sent.length).toBe(4);
  });

  it("counts the time that a request waits for its turn", async () => {
    wire.hear(request(""));
    wire.hear(request("", "A.Unary", { Timeout: "5000000" }));
    await clock.advance(100);
    handler.calls[0]?.reply({ body: body("x") });
    await turns();
    expect(handler.calls[1]?.call.head.deadline).toBe(1005);
  });

  it.each([
    ["5000000000", 6000],
    ["0", 1000],
    ["1", 1000.000001],
    ["18446744073709551615", 1000 + 18446744073709.55],
    ["18446744073709551616", Infinity],
    ["-1", Infinity],
    ["1e9", Infinity],
    ["", Infinity],
  ])("reads Timeout %j as Go does", (timeout, deadline) => {
    wire.hear(request("", "A.Unary", { Timeout: timeout }));
    expect(handler.calls[0]?.call.head.deadline).toBeCloseTo(deadline, 6);
  });

  it("answers with the ids and the content type of the request, and never with an empty JSON body", async () => {
    wire.hear(request("ts-1-1"));
    wire.hear(request("s", "A.Unary", { "Micro-Id": "7" }));
    for (const { reply } of handler.calls) reply({ body: new Uint8Array(0) });
    await turns();
    expect(wire.sent.map(({ header }) => ({ ...header }))).toEqual([
      { ...json, "Micro-Id": "ts-1-1" },
      { ...json, "Micro-Id": "7", "Micro-Stream": "s" },
    ]);
    expect(bodies()).toEqual(["{}\n", "{}\n"]);
  });

  it("tells a refusal to clients of ours only", async () => {
    const refusal = new MicroError({ id: "s", code: "UNAVAILABLE", detail: "full", refused: true });
    for (const header of [request("ts-a-1"), request("go-1"), request("ts-b-1", "A.Unary", { "Micro-Id": "ts-c-1" })])
      wire.hear(header);
    expect(handler.calls.map(({ call }) => call.retries)).toEqual([true, false, false]);
    for (const { reply } of handler.calls) reply({ body: new Uint8Array(0), error: refusal });
    await turns();
    expect(wire.sent.map(({ header }) => header["Micro-Refused"])).toEqual(["1", undefined, undefined]);
    expect(new Set(errorsSent())).toEqual(
      new Set(['{"id":"s","code":503,"detail":"full","status":"Service Unavailable"}']),
    );
  });

  it("answers even when the engine throws", async () => {
    wire.hear(request("a"));
    handler.calls[0]?.throw(new Error("boom"));
    wire.hear(request("b", "A.Bidi"));
    handler.streams[0]?.throw(new Error("boom"));
    await turns();
    expect(errorsSent()).toEqual(
      Array(2).fill('{"id":"go.micro.server","code":500,"detail":"boom","status":"Internal Server Error"}'),
    );
  });

  it("tells the caller when its reply is too large to be sent", async () => {
    wire.hear(request("a"));
    wire.failure = errors.payloadTooLarge("test", "body of 5 bytes, at most 4");
    handler.calls[0]?.reply({ body: body("12345") });
    // The error itself goes through.
    await Promise.resolve();
    wire.failure = undefined;
    await turns();
    expect(errorsSent()).toEqual([
      '{"id":"test","code":413,"detail":"body of 5 bytes, at most 4","status":"Request Entity Too Large"}',
    ]);
  });

  it("ends a connection on which not even an error can be sent, instead of leaving the caller to wait", async () => {
    wire.hear(request("a"));
    wire.failure = errors.payloadTooLarge("test", "everything is too large");
    handler.calls[0]?.reply({ body: body("x") });
    await turns();
    expect(wire.log).toContain("destroy");
  });

  it.each(["EOS", ""])("sends the error text %j so that nobody takes it for an end or for success", async (detail) => {
    const error = new MicroError({ id: "", status: 0, detail });
    const rpc = { ...request("a"), "Content-Type": "application/json-rpc" };
    for (const header of [request("b"), rpc]) wire.hear(header);
    for (const { reply } of handler.calls) reply({ body: body(`{"error":"${detail}"}`), error });
    await turns();
    const text = `{"id":"go.micro.server","code":500,"detail":"${detail || "INTERNAL"}","status":"Internal Server Error"}`;
    expect(errorsSent()).toEqual([text, text]);
    expect(JSON.parse(bodies()[1] ?? "")).toMatchObject({ error: text });
  });

  it("cuts an endless error text, and keeps its id and status", async () => {
    wire.hear(request("a"));
    const error = new MicroError({ id: "shop", status: 409, detail: "<".repeat(1 << 20) });
    handler.calls[0]?.reply({ body: new Uint8Array(0), error });
    await turns();
    const text = errorsSent()[0] ?? "";
    expect(text.length).toBeLessThanOrEqual(64 * 1024);
    expect(JSON.parse(text)).toMatchObject({ id: "shop", code: 409 });
  });

  it("cancels everything when the peer is gone, and is done with it", async () => {
    wire.hear(request("a"));
    wire.hear(request("b", "A.Bidi"));
    const read = handler.streams[0]?.stream.read();
    wire.receiver?.closed(lost);
    await expect(read).rejects.toBe(lost);
    expect(handler.calls[0]?.call.cancellation.reason).toBe(lost);
    expect(handler.streams[0]?.call.cancellation.reason).toBe(lost);
    await expect(handler.streams[0]?.stream.send(body("x"))).rejects.toBe(lost);
    wire.failure = lost;
    handler.calls[0]?.reply({ body: body("late") });
    handler.streams[0]?.end();
    await turns();
    expect(wire.sent).toEqual([]);
  });

  it("does not cancel a call whose reply is on its way when the peer goes", async () => {
    wire.hear(request("a"));
    wire.send = () => new Promise(() => {});
    handler.calls[0]?.reply({ body: body("x") });
    await turns();
    wire.receiver?.closed(lost);
    expect(handler.calls[0]?.call.cancellation.reason).toBeUndefined();
  });

  it("takes a message with a topic for subscribers, unless it belongs to a stream that is open", async () => {
    wire.hear(request("s", "A.Bidi"));
    wire.hear(request("s", "A.Bidi", { "Micro-Topic": "leaked" }), "m");
    expect(Buffer.from((await handler.streams[0]?.stream.read()) ?? []).toString()).toBe("m");
    wire.hear({ ...json, "Micro-Topic": "news", "Content-Length": "2", Host: "x", "X-Mine": "1" }, "{}");
    await turns();
    expect(handler.topics).toEqual(["news"]);
    expect({ ...wire.sent[0]?.header }).toEqual({ ...json, "Micro-Topic": "news", "X-Mine": "1" });
  });
});

describe("a server's stream", () => {
  it("drops the open message, gives the others in order, and sees the client's end", async () => {
    wire.hear(request("s", "A.Bidi"), "open");
    for (const text of ["a", "b"]) wire.hear(request("s", "A.Bidi"), text);
    wire.hear(request("s", "A.Bidi", { "Micro-Error": "EOS" }));
    const { stream } = nth(handler.streams, 0);
    expect(
      [await stream.read(), await stream.read(), await stream.read()].map((m) => m && Buffer.from(m).toString()),
    ).toEqual(["a", "b", undefined]);
    await stream.send(body("after the half-close"));
    handler.streams[0]?.end();
    await turns();
    expect([bodies(), errorsSent()]).toEqual([
      ["after the half-close", ""],
      [undefined, "EOS"],
    ]);
  });

  it("rejects one read with another error of the client, and goes on", async () => {
    wire.hear(request("s", "A.Bidi"));
    wire.hear(request("s", "A.Bidi", { "Micro-Error": "oops" }));
    wire.hear(request("s", "A.Bidi"), "after");
    const { stream } = nth(handler.streams, 0);
    await expect(stream.read()).rejects.toMatchObject({ detail: "oops" });
    expect(Buffer.from((await stream.read()) ?? []).toString()).toBe("after");
  });

  it("is not opened anew by messages that come after its end", async () => {
    wire.hear(request("s", "A.Bidi"));
    handler.streams[0]?.end();
    await turns();
    wire.hear(request("s", "A.Bidi"), "late");
    wire.hear(request("s", "A.Bidi", { "Micro-Error": "EOS" }));
    wire.hear(request("never", "A.Bidi", { "Micro-Error": "EOS" }));
    await turns();
    expect([handler.streams.length, errorsSent()]).toEqual([1, ["EOS"]]);
    expect(wire.log.filter((each) => each !== "idle")).toEqual(["busy"]);
    expect(wire.log.at(-1)).toBe("idle");
  });

  it("is remembered after its end among 1024 others at most, and not by an endless id", async () => {
    const ids = ["first", ...Array.from({ length: 1024 }, (_, i) => `s${i}`), "x".repeat(257)];
    for (const [i, id] of ids.entries()) {
      wire.hear(request(id, "A.Bidi"));
      handler.streams[i]?.end();
      await turns();
    }
    for (const id of ["s1023", "first", "x".repeat(257)]) wire.hear(request(id, "A.Bidi"));
    expect(handler.streams.length).toBe(ids.length + 2);
  });

  it("pauses the connection while its handler does not read, and lets it go on when it ends", async () => {
    wire.hear(request("s", "A.Bidi"));
    for (let i = 0; i < 128; i++) wire.hear(request("s", "A.Bidi"), "m");
    expect(wire.paused).toBe(true);
    handler.streams[0]?.end();
    await turns();
    expect(wire.paused).toBe(false);
  });

  it("tells the client the reason of its own cancel, once", async () => {
    wire.hear(request("s", "A.Bidi"));
    const reason = errors.forbidden("a", "out");
    handler.streams[0]?.stream.cancel(reason);
    handler.streams[0]?.end(reason);
    await turns();
    expect(errorsSent()).toEqual(['{"id":"a","code":403,"detail":"out","status":"Forbidden"}']);
  });

  it("tells a refusal only before its first message", async () => {
    const refusal = new MicroError({ id: "s", code: "UNAVAILABLE", detail: "full", refused: true });
    wire.hear(request("ts-a-1", "A.Bidi", { "Micro-Kind": "bidi" }));
    wire.hear(request("ts-a-2", "A.Bidi", { "Micro-Kind": "bidi" }));
    await handler.streams[1]?.stream.send(body("one"));
    for (const { end } of handler.streams) end(refusal);
    await turns();
    const refused = Object.fromEntries(
      wire.sent.map(({ header }) => [header["Micro-Stream"] ?? header["Micro-Id"], header["Micro-Refused"]]),
    );
    expect(refused).toEqual({ "ts-a-1": "1", "ts-a-2": undefined });
  });

  it("is refused to a client of ours that calls it as unary, and to one without an id", async () => {
    wire.hear(request("ts-a-1", "A.Server"), "{}");
    wire.hear(request("", "A.Server"), "{}");
    await turns();
    expect(handler.streams.length).toBe(0);
    for (const text of errorsSent()) expect(JSON.parse(text ?? "")).toMatchObject({ code: 405 });
    expect(wire.sent.length).toBe(2);
  });

  it("opened on a unary endpoint by a client of ours is refused once, and what follows does not run", async () => {
    wire.hear(request("ts-a-1", "A.Unary", { "Micro-Kind": "bidi" }), "{}");
    wire.hear(request("ts-a-1", "A.Unary"), "the request");
    wire.hear(request("ts-a-1", "A.Unary", { "Micro-Error": "EOS" }));
    await turns();
    expect([handler.calls.length, wire.sent.length]).toEqual([0, 1]);
    expect(JSON.parse(errorsSent()[0] ?? "")).toMatchObject({ code: 405 });
  });

  it("of a Go client on a unary endpoint is served as unary calls, as Go does", async () => {
    wire.hear(request("7", "A.Unary"), "{}");
    expect(handler.calls.length).toBe(1);
  });

  it("is carried by json-rpc with the end in the body too", async () => {
    wire.hear({ ...request("s", "A.Bidi"), "Content-Type": "application/json-rpc" });
    handler.streams[0]?.end();
    await turns();
    expect(bodies()).toEqual(['{"id":"","result":null,"error":"EOS"}\n']);
  });
});
