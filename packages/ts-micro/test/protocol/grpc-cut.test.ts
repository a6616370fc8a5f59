/** Requests and answers that break off: nothing cut is taken for whole, and what is never finished is bounded. */
import { constants, type ServerHttp2Stream } from "node:http2";
import { setImmediate as turn } from "node:timers/promises";
import { afterEach, beforeAll, describe, expect, it } from "vitest";
import { Greeter } from "../../../../interop/proto/gen/greeter_pb.ts";
import { fromUnknown } from "../../src/errors.ts";
import { grpc } from "../../src/protocol/grpc.ts";
import { eventually } from "../../src/testing/suite.ts";
import { frame } from "../../src/wire/grpc/frame.ts";
import {
  bare,
  bareSocket,
  closing,
  dial,
  head,
  headFrame,
  http2Frame,
  nothing,
  outcome,
  raw,
  requestHeaders,
  served,
} from "./grpc-bare.ts";
import { clientOf, greeter } from "./grpc-world.ts";

beforeAll(() => grpc().loadClient?.());

afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close();
});

describe("a request reset with NO_ERROR", () => {
  // By hand: node:http2 would end it first.
  const reset = http2Frame(3, 0, 1, Buffer.alloc(4));

  it("ends the handler's stream with an error", async () => {
    const ours = await served();
    const socket = bareSocket(ours.address);
    socket.write(
      headFrame(1, "/test.Test/Count"),
      http2Frame(0, 0, 1, Buffer.concat([frame(nothing), frame(nothing)])),
    );
    await eventually(() => ours.begun() === 2, "the messages arrive");
    socket.write(reset);
    await eventually(() => ours.ends.length === 1, "the stream ends");
    expect(ours.ends).toEqual(["CANCELLED"]);
  });

  it("is no unary call, though its message is whole", async () => {
    const ours = await served();
    const socket = bareSocket(ours.address);
    socket.write(headFrame(1, "/test.Test/Hang"), http2Frame(0, 0, 1, frame(nothing)));
    socket.write(headFrame(3, "/test.Test/Count"), http2Frame(0, 0, 3, frame(nothing)));
    await eventually(() => ours.begun() === 1, "what came arrives");
    socket.write(reset, http2Frame(0, 1, 3, frame(nothing)));
    await eventually(() => ours.ends.length === 1, "what came later arrives");
    expect(ours.begun()).toBe(2);
    expect(ours.running()).toBe(0);
  });

  it("is told to a handler that does not read", async () => {
    const ours = await served({ keepalive: "1h" });
    const socket = bareSocket(ours.address);
    socket.write(headFrame(1, "/test.Test/Idle"));
    for (let n = 0; n < 100; n++) socket.write(http2Frame(0, 0, 1, frame(Buffer.alloc(100))));
    socket.write(headFrame(3, "/test.Test/Count"), http2Frame(0, 0, 3, frame(nothing)));
    await eventually(() => ours.begun() === 1, "all of it arrives");
    socket.write(reset);
    await eventually(() => ours.running() === 0, "the handler is cancelled");
    expect(ours.begun()).toBe(1);
  });

  it("counts as a reset, and runs nothing when it comes with the request", async () => {
    const ours = await served({ resets: { burst: 20, perSecond: 0 } });
    const attacker = bareSocket(ours.address);
    for (let id = 1; id < 100 && !attacker.gone; id += 2) {
      attacker.write(
        headFrame(id, "/test.Test/Hang"),
        http2Frame(0, 0, id, frame(nothing)),
        http2Frame(3, 0, id, Buffer.alloc(4)),
      );
      await turn();
    }
    await eventually(() => attacker.gone, "the connection is closed");
    expect(attacker.goaway()).toBe(constants.NGHTTP2_ENHANCE_YOUR_CALM);
    expect(ours.begun()).toBe(0);
  });
});

describe("an answer that a slow reader of ours has not read", () => {
  const messages = Array.from({ length: 500 }, () => frame(Buffer.alloc(123)));

  async function readLate(end: (stream: ServerHttp2Stream) => void): Promise<{ read: number; outcome: string }> {
    let closed = false;
    const node = await bare((stream) => {
      stream.once("close", () => (closed = true));
      stream.respond({ ":status": 200, "content-type": "application/grpc+bytes" }, { waitForTrailers: true });
      stream.once("wantTrailers", () => end(stream));
      for (const message of messages) stream.write(message);
      stream.end();
    });
    const peer = dial(node.address);
    const stream = peer.stream(head("Test.Chat", { kind: "bidi" }));
    await stream.send(nothing);
    await eventually(() => closed && peer.pending === 0, "the stream is over");
    let read = 0;
    const all = async (): Promise<void> => {
      while ((await stream.read()) !== undefined) read++;
    };
    return { outcome: await outcome(all()), read };
  }

  it("is whole, though the server has closed the connection", async () => {
    const { read, outcome } = await readLate((stream) => {
      stream.sendTrailers({ "grpc-status": "0" });
      setImmediate(() => stream.session?.destroy());
    });
    expect({ read, outcome }).toEqual({ read: messages.length, outcome: "ok" });
  });

  it("ends with an error when the connection went before the status", async () => {
    const { read, outcome } = await readLate((stream) => stream.session?.destroy());
    expect(outcome).toBe("CONNECTION_LOST");
    expect(read).toBeLessThanOrEqual(messages.length);
  });
});

describe("what is too long for a block of headers", () => {
  it.each([
    ["a path", { ":path": `/${"%".repeat(22_000)}/a` }, "12"],
    ["a path of a service", { ":path": `/test.Test/${"%".repeat(22_000)}` }, "12"],
    ["no path", { ":path": `/${'"'.repeat(22_000)}` }, "3"],
    [
      "a content type",
      { ":path": `/a/${"%".repeat(6000)}`, "content-type": `application/grpc;${"x".repeat(50_000)}` },
      "12",
    ],
  ])("is cut in the answer: %s", async (_what, headers, status) => {
    const ours = await served();
    const session = await raw(ours.address);
    const told = (more: object): Promise<unknown> =>
      new Promise((resolve) => {
        const stream = session.request({ ...requestHeaders, ...more });
        let got: unknown;
        stream.on("response", (answer) => (got = answer["grpc-status"]));
        stream.on("trailers", (trailers) => (got = trailers["grpc-status"]));
        stream.on("error", () => {}).on("close", () => resolve(got ?? `reset ${stream.rstCode}`));
        stream.resume().end(frame(nothing));
      });
    expect(await told(headers)).toBe(status);
    expect(await told({})).toBe("0");
  });

  it("is cut in an error, which arrives, on a connection that goes on", async () => {
    await using ours = await greeter();
    await using client = clientOf(ours.address);
    const stub = client.service("greeter", Greeter);
    const slow = stub.slow({}).catch((error: unknown) => fromUnknown(error).code);
    await eventually(() => ours.seen.length === 1, "a call is under way");
    for (const detail of ["<".repeat(6000), "\u0001".repeat(6000), "世".repeat(6000)]) {
      const error = await stub.fail({ kind: "conflict", detail }).then(
        () => undefined,
        (failure: unknown) => fromUnknown(failure),
      );
      expect(error).toMatchObject({ code: "CONFLICT", id: "greeter" });
      expect(error?.detail).toMatch(new RegExp(`^${detail[0]}{100,}…$`, "u"));
    }
    expect(ours.cancelled).toEqual([]);
    await ours[Symbol.asyncDispose]();
    await slow;
  });
});
