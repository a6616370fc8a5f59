import { Cancellation } from "../../context.ts";
import { MicroError, errors } from "../../errors.ts";
import { Metadata } from "../../metadata.ts";
import type { IncomingCall } from "../../protocol.ts";
import { eventually, within } from "../suite.ts";
import { check, failure, fails, gone, same, soon, text, type Bench, type Promises } from "./bench.ts";

/** What is promised of unary calls, and of a peer's end. */
export const unaryPromises: Promises = {
  "a unary call gets the body that its handler returned": async (b: Bench) => {
    same(text((await b.call("Test.Echo", "hello")).body), "hello", "reply");
    same(b.peer.pending, 0, "pending");
    const [call] = b.calls;
    same(call?.head.endpoint, "Test.Echo", "endpoint");
    same(call?.head.service, "test", "service");
    same(call?.head.contentType, b.contentType, "content type");
    same(call?.head.deadline, Infinity, "deadline");
  },
  "an empty body arrives empty, both ways": async (b: Bench) => {
    same((await b.call("Test.Echo")).body.length, 0, "length");
  },
  "a large body arrives whole, both ways": async (b: Bench) => {
    const body = Buffer.alloc(b.large, "0123456789abcdef");
    const reply = await within(b.peer.unary(b.head("Test.Echo"), body), "a large call");
    check(body.equals(reply.body), "the large body came back changed");
  },
  "each of many concurrent calls gets its own reply": async (b: Bench) => {
    const replies = Array.from({ length: 300 }, async (_, i) => [
      text((await b.call("Test.Echo", `n${i}`)).body),
      `n${i}`,
    ]);
    for (const [actual, expected] of await within(Promise.all(replies), "300 calls")) same(actual, expected, "reply");
    same(b.peer.pending, 0, "pending");
  },
  "an error arrives with its id, status and detail": async (b: Bench) => {
    b.unaries.set("Test.Fail", async () => {
      throw new MicroError({ id: "shop", status: 409, detail: 'sold <out> "today" – é' });
    });
    const error = await fails(b.call("Test.Fail"), "CONFLICT", "a failing call");
    same(error.id, "shop", "id");
    same(error.status, 409, "status");
    same(error.detail, 'sold <out> "today" – é', "detail");
    check(!error.refused, "a handler's error is no refusal");
    same(text((await b.call("Test.Echo", "after")).body), "after", "the call after an error");
  },
  "an unknown endpoint is an error": async (b: Bench) => {
    await fails(b.call("Test.Nope"), "NOT_FOUND", "an unknown endpoint");
  },
  "an unknown content type is an error": async (b: Bench) => {
    const error = await failure(
      b.call("Test.Echo", "x", { contentType: "application/x-nope" }),
      "a strange content type",
    );
    check(error.detail.includes("application/x-nope"), `the error names the content type: ${error.detail}`);
  },
  "metadata arrives, and overrides nothing of the protocol": async (b: Bench) => {
    const metadata = Metadata.from({
      "X-User": "zoë",
      traceparent: "00-1",
      "Content-Type": "text/html",
      "Micro-Endpoint": "Test.Nope",
      "Micro-Topic": "news",
      "Micro-Error": "boom",
      Timeout: "1",
      "Transfer-Encoding": "chunked",
    });
    same(text((await b.call("Test.Echo", "hello", { metadata })).body), "hello", "reply");
    const got = b.calls[0]?.head.metadata;
    same(got?.get("x-user"), "zoë", "X-User");
    same(got?.get("traceparent"), "00-1", "Traceparent");
    same(b.calls[0]?.head.deadline, Infinity, "deadline");
    same(b.calls[0]?.head.endpoint, "Test.Echo", "endpoint");
  },
  "the remaining time travels as the deadline": async (b: Bench) => {
    const now = performance.now();
    await b.call("Test.Echo", "", { deadline: now + 60_000 });
    const deadline = b.calls[0]?.head.deadline ?? Infinity;
    check(deadline > now + 50_000 && deadline < now + 70_000, `deadline ${deadline - now} ms away, not about 60 s`);
  },
  "a call settles TIMEOUT at its deadline and the next one gets its own reply": async (b: Bench) => {
    const gate = b.hanging("Test.Hang");
    // Connected already: of a call whose time passes in a dial it is certain that it did not run.
    await b.call("Test.Echo");
    const error = await fails(b.call("Test.Hang", "late", { deadline: soon() }), "TIMEOUT", "a hanging call");
    check(!error.refused, "the request may have run");
    same(b.peer.pending, 0, "pending");
    gate.open();
    for (let i = 0; i < 5; i++) same(text((await b.call("Test.Echo", `n${i}`)).body), `n${i}`, "reply");
  },
  "a oneway call is settled when it was written, whatever becomes of it": async (b: Bench) => {
    const gate = b.hanging("Test.Hang");
    b.unaries.set("Test.Fail", async () => {
      throw errors.conflict("shop", "sold");
    });
    let notes = 0;
    b.unaries.set("Test.Note", async (_call, body) => (notes++, { body }));
    for (const endpoint of ["Test.Hang", "Test.Fail", "Test.Nope", "Test.Note"])
      same((await within(b.call(endpoint, "", { oneway: true }), endpoint)).body.length, 0, "length");
    await eventually(() => notes === 1 && b.running === 1, "the others have run");
    // Behind them its own reply.
    same(text((await b.call("Test.Echo", "after")).body), "after", "the call after");
    gate.open();
    await b.idle();
  },
  "a call whose deadline has passed is not sent": async (b: Bench) => {
    const error = await fails(
      b.call("Test.Echo", "", { deadline: performance.now() - 1 }),
      "TIMEOUT",
      "an expired call",
    );
    check(error.refused, "it cannot have run");
    same(b.calls.length, 0, "calls that arrived");
  },
  "cancelling a call settles it with the reason, and the handler hears of it": async (b: Bench) => {
    b.hanging("Test.Hang");
    const cancellation = new Cancellation();
    const call = b.call("Test.Hang", "", undefined, cancellation);
    await eventually(() => b.calls.length === 1, "the call arrives");
    const reason = errors.cancelled("me", "changed my mind");
    cancellation.cancel(reason);
    same(await failure(call, "a cancelled call"), reason, "reason");
    same(b.peer.pending, 0, "pending");
    await within(gone(b.calls[0] as IncomingCall), "the handler's cancellation");
    same(text((await b.call("Test.Echo", "after")).body), "after", "the call after");
  },
  "a call that is cancelled before it begins, or while it dials, does not run": async (b: Bench) => {
    const before = new Cancellation();
    before.cancel(errors.cancelled("me", "never mind"));
    await fails(b.call("Test.Echo", "", undefined, before), "CANCELLED", "a call cancelled before");
    const during = new Cancellation();
    const call = b.call("Test.Echo", "", undefined, during);
    during.cancel(errors.cancelled("me", "never mind"));
    await fails(call, "CANCELLED", "a call cancelled while dialling");
    same(b.peer.pending, 0, "pending");
    same(text((await b.call("Test.Echo", "after")).body), "after", "the call after");
    same(b.calls.length, 1, "calls that arrived");
  },
  "a node where nobody listens is a refused call": async (b: Bench) => {
    await b.served.close();
    const error = await failure(b.call("Test.Echo"), "a call to nobody");
    check(error.refused, `${error.code} ${error.detail}: it cannot have run`);
    same(b.peer.pending, 0, "pending");
  },
  "a server that refuses is told apart from a handler that fails": async (b: Bench) => {
    b.unaries.set("Test.Full", async () => {
      throw new MicroError({ id: "test", code: "UNAVAILABLE", detail: "draining", refused: true });
    });
    const error = await fails(b.call("Test.Full"), "UNAVAILABLE", "a refused call");
    check(error.refused, "the refusal arrives");
    check(b.calls[0]?.retries === true, "the server knows that this caller retries");
  },
  "1,000 calls in flight settle when the link dies, and nothing is left pending": async (b: Bench) => {
    b.hanging("Test.Hang");
    const calls = Array.from({ length: 1000 }, () => failure(b.call("Test.Hang"), "a call in flight"));
    same(b.peer.pending, 1000, "pending");
    await eventually(() => b.running >= 100, "calls arrive");
    await b.served.close();
    const lost = await within(Promise.all(calls), "1,000 calls settle");
    same(lost.length, 1000, "settled");
    for (const error of lost) check(error.code === "CONNECTION_LOST" || error.refused, `${error.code} ${error.detail}`);
    same(b.peer.pending, 0, "pending");
    await eventually(() => b.running === 0, "the handlers end");
  },
  "closing the peer settles every call and stream with CONNECTION_LOST": async (b: Bench) => {
    b.hanging("Test.Hang");
    b.on("bidi", "Test.Quiet", async (call) => void (await gone(call)));
    const calls = [b.call("Test.Hang"), b.call("Test.Hang")].map((call) => fails(call, "CONNECTION_LOST", "a call"));
    const stream = b.open("bidi", "Test.Quiet");
    const read = fails(stream.read(), "CONNECTION_LOST", "a read");
    await eventually(() => b.running === 3, "all arrive");
    await b.peer.close();
    await within(Promise.all([...calls, read]), "all settle");
    same(b.peer.pending, 0, "pending");
    await fails(b.call("Test.Echo"), "CONNECTION_LOST", "a call after close");
  },
};
