import { Cancellation, type Kind } from "../context.ts";
import { MicroError, errors, isMicroError, type ErrorCode } from "../errors.ts";
import { Metadata } from "../metadata.ts";
import type { CallHandler, CallHead, IncomingCall, Peer, Protocol, RawStream, Reply } from "../protocol.ts";
import type { Node } from "../wire/registry-record.ts";
import { defineSuite, eventually, within, type Runner, type Skips } from "./suite.ts";

/** Where a {@link ProtocolPair} serves. */
export interface ServedNode {
  readonly node: Node;
  /** {@link Acceptor.drain} or {@link Listener.drain} of it. */
  drain(): Promise<void>;
  /** Ends every connection now, and the listening. */
  close(): Promise<void>;
}

/** Both ends of the protocol under test. */
export interface ProtocolPair {
  readonly client: Protocol;
  serve(calls: CallHandler): Promise<ServedNode>;
  /** Ends everything, and throws when something was left open. */
  close(): Promise<void>;
}

export interface ProtocolSuiteOptions {
  /** What the suite is called: `mucp over memory`. */
  name: string;
  /** A fresh pair for each promise. */
  setup(): Promise<ProtocolPair> | ProtocolPair;
  /** A content type that both ends have and whose bodies are opaque to them. Default `application/octet-stream`. */
  contentType?: string;
  /** Largest body tried, in bytes. Default 1 MiB. */
  large?: number;
  skip?: Skips<string>;
}

/** The promises of a {@link Protocol}: `defineSuite` with both ends of it. */
export function protocolSuite(t: Runner, options: ProtocolSuiteOptions): void {
  const { contentType = "application/octet-stream", large = 1 << 20 } = options;
  defineSuite(t, {
    name: options.name,
    skip: options.skip,
    setup: async () => Bench.open(await options.setup(), contentType, large),
    teardown: (bench) => bench.close(),
    promises,
  });
}

const text = (body: Uint8Array | undefined): string => Buffer.from(body ?? []).toString();
const bytes = (value: string): Uint8Array => Buffer.from(value);

function check(condition: boolean, what: string): asserts condition {
  if (!condition) throw new Error(what);
}

function same<T>(actual: T, expected: T, what: string): void {
  check(Object.is(actual, expected), `${what}: ${String(actual)}, not ${String(expected)}`);
}

async function failure(work: Promise<unknown>, what: string): Promise<MicroError> {
  try {
    await within(work, what);
  } catch (error) {
    if (isMicroError(error)) return error;
    throw error;
  }
  throw new Error(`${what}: it did not fail`);
}

async function fails(work: Promise<unknown>, code: ErrorCode, what: string): Promise<MicroError> {
  const error = await failure(work, what);
  same(error.code, code, `${what} (${error.detail})`);
  return error;
}

/** A promise to be settled from outside. */
class Gate {
  open!: () => void;
  readonly opened: Promise<void>;
  constructor() {
    this.opened = new Promise((resolve) => (this.open = resolve));
  }
}

type Unary = (call: IncomingCall, body: Uint8Array) => Promise<Reply>;
type Streaming = (call: IncomingCall, stream: RawStream) => Promise<MicroError | undefined>;

/** A pair with a scripted server, and the little that each promise needs of it. */
class Bench implements CallHandler {
  readonly pair: ProtocolPair;
  readonly contentType: string;
  readonly large: number;
  readonly unaries = new Map<string, Unary>();
  readonly streams = new Map<string, { kind: Kind; run: Streaming }>();
  readonly calls: IncomingCall[] = [];
  running = 0;
  served!: ServedNode;
  peer!: Peer;
  #ids = 0;

  constructor(pair: ProtocolPair, contentType: string, large: number) {
    this.pair = pair;
    this.contentType = contentType;
    this.large = large;
    this.unaries.set("Test.Echo", async (_call, body) => ({ body }));
  }

  static async open(pair: ProtocolPair, contentType: string, large: number): Promise<Bench> {
    const bench = new Bench(pair, contentType, large);
    bench.served = await pair.serve(bench);
    bench.peer = pair.client.dial(bench.served.node);
    return bench;
  }

  async close(): Promise<void> {
    await this.peer.close();
    same(this.peer.pending, 0, "pending calls after close");
    await this.served.close();
    await eventually(() => this.running === 0, "every handler ends when its connection is gone");
    await this.pair.close();
  }

  kindOf(endpoint: string): Kind | undefined {
    return this.unaries.has(endpoint) ? "unary" : this.streams.get(endpoint)?.kind;
  }

  supports(contentType: string): boolean {
    return contentType === this.contentType;
  }

  async unary(call: IncomingCall, body: Uint8Array): Promise<Reply> {
    const run = this.unaries.get(call.head.endpoint);
    this.calls.push(call);
    this.running++;
    try {
      if (run === undefined) throw errors.notFound("test", `rpc: can't find method ${call.head.endpoint}`);
      return await run(call, body);
    } catch (error) {
      return { body: new Uint8Array(0), error: MicroError.from(error, "test") };
    } finally {
      this.running--;
    }
  }

  async stream(call: IncomingCall, stream: RawStream): Promise<MicroError | undefined> {
    this.calls.push(call);
    this.running++;
    try {
      return await this.streams.get(call.head.endpoint)?.run(call, stream);
    } catch (error) {
      return MicroError.from(error, "test");
    } finally {
      this.running--;
    }
  }

  message(): Promise<MicroError | undefined> {
    return Promise.resolve(undefined);
  }

  head(endpoint: string, init: Partial<CallHead> = {}): CallHead {
    const { contentType } = this;
    const id = `ts-test-${++this.#ids}`;
    return {
      service: "test",
      endpoint,
      contentType,
      kind: "unary",
      deadline: Infinity,
      metadata: undefined,
      id,
      ...init,
    };
  }

  call(endpoint: string, body = "", init?: Partial<CallHead>, cancellation?: Cancellation): Promise<Reply> {
    return this.peer.unary(this.head(endpoint, init), bytes(body), cancellation);
  }

  open(kind: Kind, endpoint: string, init?: Partial<CallHead>, cancellation?: Cancellation): RawStream {
    return this.peer.stream(this.head(endpoint, { kind, ...init }), cancellation);
  }

  on(kind: Kind, endpoint: string, run: Streaming): void {
    this.streams.set(endpoint, { kind, run });
  }

  /** An endpoint that answers only when its caller is gone, or the gate opens. */
  hanging(endpoint: string): Gate {
    const gate = new Gate();
    this.unaries.set(endpoint, async (call, body) => {
      await Promise.race([gate.opened, gone(call)]);
      return { body };
    });
    return gate;
  }

  idle(): Promise<unknown> {
    return eventually(() => this.peer.pending === 0, "nothing is pending");
  }
}

function gone(call: IncomingCall): Promise<MicroError> {
  return new Promise((resolve) => call.cancellation.onCancel(resolve));
}

async function all(stream: RawStream): Promise<string[]> {
  const out: string[] = [];
  for (let body = await stream.read(); body !== undefined; body = await stream.read()) out.push(text(body));
  return out;
}

const soon = (): number => performance.now() + 40;

const promises = {
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
    const error = await fails(b.call("Test.Hang", "late", { deadline: soon() }), "TIMEOUT", "a hanging call");
    check(!error.refused, "the request may have run");
    same(b.peer.pending, 0, "pending");
    gate.open();
    for (let i = 0; i < 5; i++) same(text((await b.call("Test.Echo", `n${i}`)).body), `n${i}`, "reply");
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
    const stream = b.open("server", "Test.Slow", { deadline: performance.now() + 150 });
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

/** Resolves when a number has stopped growing. */
async function settled(value: () => number): Promise<void> {
  for (let still = 0, last = value(); still < 20;) {
    await new Promise((resolve) => setTimeout(resolve, 5));
    still = value() === last ? still + 1 : 0;
    last = value();
  }
}
