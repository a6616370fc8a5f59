import { Cancellation } from "../../context.ts";
import { errors } from "../../errors.ts";
import type { IncomingCall } from "../../protocol.ts";
import { eventually, within } from "../suite.ts";
import {
  all,
  bytes,
  check,
  failure,
  fails,
  Gate,
  gone,
  same,
  settled,
  text,
  type Bench,
  type Promises,
} from "./bench.ts";

/** What is promised of streams, and of draining. */
export const streamPromises: Promises = {
  "a server stream delivers every message in order, then its end": async (b: Bench) => {
    b.on("server", "Test.Count", async (_call, stream) => {
      const count = Number(text(await stream.read()));
      for (let i = 0; i < count; i++) await stream.send(bytes(`m${i}`));
      return undefined;
    });
    const stream = b.open("server", "Test.Count");
    await stream.send(bytes("500"));
    stream.end();
    const got = await within(all(stream), "the stream's end");
    same(got.join(), Array.from({ length: 500 }, (_, i) => `m${i}`).join(), "messages");
    same(await stream.read(), undefined, "a read after the end");
    await b.idle();
  },
  "an empty server stream ends cleanly": async (b: Bench) => {
    b.on("server", "Test.None", async (_call, stream) => void (await stream.read()));
    const stream = b.open("server", "Test.None");
    await stream.send(bytes(""));
    same(await within(stream.read(), "the end"), undefined, "the end");
    await b.idle();
  },
  "a client stream's answer follows its half-close": async (b: Bench) => {
    b.on("client", "Test.Join", async (_call, stream) => {
      await stream.send(bytes((await all(stream)).join("+")));
      return undefined;
    });
    const stream = b.open("client", "Test.Join");
    for (const part of ["a", "b", "", "c"]) await stream.send(bytes(part));
    stream.end();
    same(text(await within(stream.read(), "the answer")), "a+b++c", "answer");
    same(await within(stream.read(), "the end"), undefined, "the end");
    check(b.calls[0]?.cancellation.reason === undefined, "the handler saw no lost caller");
    await b.idle();
  },
  "a client stream can be answered before its half-close": async (b: Bench) => {
    b.on("client", "Test.First", async (_call, stream) => {
      await stream.send((await stream.read()) as Uint8Array);
      return undefined;
    });
    const stream = b.open("client", "Test.First");
    await stream.send(bytes("one"));
    same(text(await within(stream.read(), "the answer")), "one", "answer");
    await b.idle();
  },
  "a bidi stream talks both ways, and the server goes on after the client's half-close": async (b: Bench) => {
    b.on("bidi", "Test.Chat", async (_call, stream) => {
      for (let body = await stream.read(); body !== undefined; body = await stream.read())
        await stream.send(bytes(`re: ${text(body)}`));
      for (let i = 0; i < 3; i++) await stream.send(bytes(`bye ${i}`));
      return undefined;
    });
    const stream = b.open("bidi", "Test.Chat");
    for (const word of ["a", "b"]) {
      await stream.send(bytes(word));
      same(text(await within(stream.read(), "a reply")), `re: ${word}`, "reply");
    }
    stream.end();
    same((await within(all(stream), "the end")).join(), "bye 0,bye 1,bye 2", "messages after the half-close");
    await b.idle();
  },
  "sending after one's own end is refused": async (b: Bench) => {
    b.on("bidi", "Test.Drain", async (_call, stream) => void (await all(stream)));
    const stream = b.open("bidi", "Test.Drain");
    stream.end();
    await fails(stream.send(bytes("x")), "INVALID_STATE", "a send after end");
    same((await within(all(stream), "the end")).length, 0, "messages");
  },
  "an error in mid-stream comes after the messages before it, and stays": async (b: Bench) => {
    b.on("server", "Test.Break", async (_call, stream) => {
      await stream.read();
      await stream.send(bytes("one"));
      await stream.send(bytes("two"));
      return errors.conflict("test", "broken");
    });
    const stream = b.open("server", "Test.Break");
    await stream.send(bytes("go"));
    same(text(await within(stream.read(), "a message")), "one", "message");
    same(text(await within(stream.read(), "a message")), "two", "message");
    const error = await fails(stream.read(), "CONFLICT", "the error");
    same(error.detail, "broken", "detail");
    await fails(stream.read(), "CONFLICT", "the error again");
    await fails(stream.send(bytes("x")), "CONFLICT", "a send after the error");
    await b.idle();
  },
  "a stream to nobody rejects its first read and send": async (b: Bench) => {
    await b.served.close();
    const stream = b.open("bidi", "Test.Chat");
    const send = failure(stream.send(bytes("x")), "a send");
    const error = await failure(stream.read(), "a read");
    check(error.refused, `${error.code} ${error.detail}: it cannot have run`);
    same((await send).code, error.code, "code of the send's error");
    same(b.peer.pending, 0, "pending");
  },
  "a call of the wrong kind fails instead of hanging": async (b: Bench) => {
    b.on("server", "Test.Count", async (_call, stream) => void (await stream.read()));
    await failure(b.call("Test.Count"), "a unary call of a stream");
    const stream = b.open("bidi", "Test.Echo");
    await stream.send(bytes("x")).catch(() => {});
    await failure(stream.read(), "a stream of a unary endpoint");
    same(b.calls.length, 0, "calls that ran");
    await b.idle();
  },
  "cancelling a stream settles its read, and the handler hears of it": async (b: Bench) => {
    b.on("bidi", "Test.Quiet", async (call) => void (await gone(call)));
    const stream = b.open("bidi", "Test.Quiet");
    await stream.send(bytes("x"));
    const read = failure(stream.read(), "a pending read");
    await eventually(() => b.calls.length === 1, "the stream arrives");
    const reason = errors.cancelled("me", "enough");
    stream.cancel(reason);
    same(await read, reason, "reason");
    await within(gone(b.calls[0] as IncomingCall), "the handler's cancellation");
    same(await failure(stream.read(), "a read after"), reason, "reason");
    await failure(stream.send(bytes("x")), "a send after");
    same(b.peer.pending, 0, "pending");
  },
  "a cancellation given to a stream cancels it, also while it dials": async (b: Bench) => {
    b.on("bidi", "Test.Quiet", async (call) => void (await gone(call)));
    const reason = errors.cancelled("me", "enough");
    const early = new Cancellation();
    const first = b.open("bidi", "Test.Quiet", undefined, early);
    early.cancel(reason);
    same(await failure(first.read(), "a read"), reason, "reason");
    const late = new Cancellation();
    const second = b.open("bidi", "Test.Quiet", undefined, late);
    await eventually(() => b.calls.length === 1, "the stream arrives");
    late.cancel(reason);
    same(await failure(second.read(), "a read"), reason, "reason");
    same(b.peer.pending, 0, "pending");
  },
  "the server's cancel reaches the client as an error": async (b: Bench) => {
    b.on("bidi", "Test.Kick", async (_call, stream) => {
      await stream.read();
      const reason = errors.forbidden("test", "out");
      stream.cancel(reason);
      return reason;
    });
    const stream = b.open("bidi", "Test.Kick");
    await stream.send(bytes("x"));
    same((await failure(stream.read(), "a read")).detail, "out", "detail");
    await b.idle();
  },
  "a deadline covers the whole stream": async (b: Bench) => {
    b.on("server", "Test.Slow", async (call, stream) => {
      await stream.read();
      await stream.send(bytes("one"));
      await gone(call);
      return undefined;
    });
    const stream = b.open("server", "Test.Slow", { deadline: performance.now() + 500 });
    await stream.send(bytes("go"));
    same(text(await within(stream.read(), "a message")), "one", "message");
    await fails(stream.read(), "TIMEOUT", "a read at the deadline");
    check((b.calls[0]?.head.deadline ?? Infinity) < Infinity, "the server knows the deadline");
    same(b.peer.pending, 0, "pending");
  },
  "a stream whose link dies gives what has come, then CONNECTION_LOST": async (b: Bench) => {
    b.on("bidi", "Test.One", async (call, stream) => {
      await stream.send(bytes("one"));
      await gone(call);
      return undefined;
    });
    const stream = b.open("bidi", "Test.One");
    await stream.send(bytes("x"));
    await within(stream.read(), "a message");
    const read = failure(stream.read(), "a pending read");
    await b.served.close();
    same((await read).code, "CONNECTION_LOST", "code");
    await eventually(() => b.running === 0, "the handler ends");
    same(b.peer.pending, 0, "pending");
  },
  "a client that does not read holds the server back, and loses nothing": async (b: Bench) => {
    let sent = 0;
    const count = 2000;
    const pad = "x".repeat(8192);
    b.on("server", "Test.Flood", async (_call, stream) => {
      await stream.read();
      for (; sent < count; sent++) await stream.send(bytes(`${sent} ${pad}`));
      return undefined;
    });
    const stream = b.open("server", "Test.Flood");
    await stream.send(bytes("go"));
    await settled(() => sent);
    check(sent < count, `the server sent all ${count} messages to a client that does not read`);
    for (let i = 0; i < count; i++)
      same(text(await within(stream.read(), "a message")).split(" ")[0], String(i), "number");
    same(await within(stream.read(), "the end"), undefined, "the end");
  },
  "a handler that does not read holds the client back, and loses nothing": async (b: Bench) => {
    const gate = new Gate();
    let received = 0;
    const count = 2000;
    const pad = "x".repeat(8192);
    b.on("client", "Test.Sink", async (_call, stream) => {
      await gate.opened;
      for (let body = await stream.read(); body !== undefined; body = await stream.read())
        if (text(body).split(" ")[0] === String(received)) received++;
      await stream.send(bytes(String(received)));
      return undefined;
    });
    const stream = b.open("client", "Test.Sink");
    let sent = 0;
    const sending = (async () => {
      for (; sent < count; sent++) await stream.send(bytes(`${sent} ${pad}`));
      stream.end();
    })();
    await settled(() => sent);
    check(sent < count, `the client sent all ${count} messages to a handler that does not read`);
    gate.open();
    await within(sending, "the sending");
    same(text(await within(stream.read(), "the answer")), String(count), "messages received in order");
  },
  "draining waits for the calls and streams under way, which go on to their end": async (b: Bench) => {
    const gate = b.hanging("Test.Hang");
    b.on("bidi", "Test.Chat", async (_call, stream) => {
      for (let body = await stream.read(); body !== undefined; body = await stream.read()) await stream.send(body);
      return undefined;
    });
    const idle = await b.call("Test.Echo", "idle");
    same(text(idle.body), "idle", "reply");
    const call = b.call("Test.Hang", "under way");
    const stream = b.open("bidi", "Test.Chat");
    await stream.send(bytes("one"));
    same(text(await within(stream.read(), "a message")), "one", "message");
    await eventually(() => b.running === 2, "both are under way");
    let drained = false;
    const draining = b.served.drain().then(() => (drained = true));
    await stream.send(bytes("two"));
    same(text(await within(stream.read(), "a message while draining")), "two", "message");
    check(!drained, "it drained while a call and a stream were under way");
    gate.open();
    same(text((await within(call, "the call")).body), "under way", "reply");
    check(!drained, "it drained while a stream was under way");
    stream.end();
    same((await within(all(stream), "the stream's end")).length, 0, "messages");
    await within(draining, "the drain");
    check(b.running === 0, "it drained before everything had ended");
  },
  "a stream that is not read does not hold up other calls": async (b: Bench) => {
    const pad = bytes("x".repeat(8192));
    b.on("server", "Test.Flood", async (call, stream) => {
      await stream.read();
      while (call.cancellation.reason === undefined) await stream.send(pad);
      return undefined;
    });
    const stream = b.open("server", "Test.Flood");
    await stream.send(bytes("go"));
    await eventually(() => b.running === 1, "the stream arrives");
    for (let i = 0; i < 20; i++)
      same(text((await within(b.call("Test.Echo", `n${i}`), "a call beside it")).body), `n${i}`, "reply");
    stream.cancel(errors.cancelled("me", "enough"));
  },
};
