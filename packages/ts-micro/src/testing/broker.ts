import assert from "node:assert/strict";
import type { Broker, BrokerEvent, BrokerMessage, SubscribeOptions, Subscription } from "../broker.ts";
import { isMicroError, type MicroError } from "../errors.ts";
import { defineSuite, eventually, within, type Runner, type Skips } from "./suite.ts";

/** One world of messages; what it opened is closed by the suite. */
export interface BrokerWorld {
  /** Another broker on the same world; one that lives in one process only gives the same one again. */
  connect(): Promise<Broker> | Broker;
  /** Resolves when what was subscribed and closed so far is known to every broker. Default: at once. */
  settled?(): Promise<void>;
  /** Closes what `connect` opened; throws when something is left open. */
  close(): Promise<void>;
}

export interface BrokerSuiteOptions {
  readonly name: string;
  create(): Promise<BrokerWorld> | BrokerWorld;
  readonly skip?: Skips<BrokerPromise> | undefined;
}

/** What came in, in order. */
export interface Inbox {
  readonly events: BrokerEvent[];
  readonly texts: string[];
  readonly subscription: Subscription;
}

class Fixture {
  readonly world: BrokerWorld;
  readonly #errors: MicroError[] = [];

  constructor(world: BrokerWorld) {
    this.world = world;
  }

  get errors(): readonly MicroError[] {
    return this.#errors;
  }

  async connect(): Promise<Broker> {
    const broker = await this.world.connect();
    broker.onError = (error) => void this.#errors.push(error);
    await broker.start();
    return broker;
  }

  async settled(): Promise<void> {
    await this.world.settled?.();
  }

  async listen(broker: Broker, topic: string, options?: SubscribeOptions): Promise<Inbox> {
    const events: BrokerEvent[] = [];
    const texts: string[] = [];
    const subscription = await broker.subscribe(
      topic,
      async (event) => {
        events.push(event);
        texts.push(Buffer.from(event.message.body).toString());
      },
      options,
    );
    return { events, texts, subscription };
  }

  /** Sends a last message that everybody gets, and waits for it: whatever was to come has come by then, but for handlers still running. */
  async marked(publisher: Broker, topic: string, inboxes: readonly Inbox[]): Promise<void> {
    await publisher.publish(topic, text("mark"));
    await eventually(() => inboxes.every((inbox) => inbox.texts.includes("mark")), `the mark on ${topic}`);
  }
}

/** A message with `body` as text. */
export function text(body: string, header: Record<string, string> = {}): BrokerMessage {
  return { header, body: Buffer.from(body) };
}

function without(texts: readonly string[], mark = "mark"): string[] {
  return texts.filter((each) => each !== mark).sort();
}

const names = (count: number): string[] => Array.from({ length: count }, (_, i) => `m${String(i).padStart(3, "0")}`);

export type BrokerPromise =
  | "every subscriber without a queue gets each message exactly once"
  | "of a queue exactly one subscriber gets each message, and all of them take part"
  | "each queue gets its own copy"
  | "two subscriptions of one topic in one process each run their own handler once"
  | "header names and values arrive as they were sent, and the topic with the event"
  | "bodies of any bytes and of none arrive as they were sent"
  | "what the publisher or a subscriber does to a message afterwards is not seen by others"
  | "publishing to a topic without subscribers is no error"
  | "topics do not mix"
  | "many topics at once all get theirs"
  | "no handler begins after its subscription is closed; the others go on"
  | "a handler may close its own subscription"
  | "a failing handler is told to onError with its event, and harms nobody else"
  | "an onError that throws harms nobody"
  | "a slow handler holds up neither the publisher nor other subscribers"
  | "asking for acks by hand is UNSUPPORTED where they mean nothing"
  | "a topic that is no text, or a message that is none, is BAD_REQUEST"
  | "a publish whose signal has aborted is CANCELLED and reaches nobody"
  | "close waits for running handlers, and nothing works after it"
  | "start and close may be called twice, and close before start";

const promises: Readonly<Record<BrokerPromise, (fixture: Fixture) => Promise<void>>> = {
  "every subscriber without a queue gets each message exactly once": async (t) => {
    const [publisher, one, two] = [await t.connect(), await t.connect(), await t.connect()];
    const inboxes = [await t.listen(one, "news"), await t.listen(two, "news"), await t.listen(publisher, "news")];
    await t.settled();
    for (const name of names(20)) await publisher.publish("news", text(name));
    await t.marked(publisher, "news", inboxes);
    await eventually(() => inboxes.every((inbox) => inbox.texts.length === 21), "all messages");
    for (const inbox of inboxes) assert.deepEqual(without(inbox.texts), names(20));
  },
  "of a queue exactly one subscriber gets each message, and all of them take part": async (t) => {
    const [publisher, one, two] = [await t.connect(), await t.connect(), await t.connect()];
    const inboxes = [
      await t.listen(one, "work", { queue: "q" }),
      await t.listen(two, "work", { queue: "q" }),
      await t.listen(two, "work", { queue: "q" }),
    ];
    const witness = await t.listen(one, "work");
    await t.settled();
    for (const name of names(60)) await publisher.publish("work", text(name));
    await t.marked(publisher, "work", [witness]);
    const all = (): string[] => inboxes.flatMap((inbox) => inbox.texts);
    await eventually(() => all().length >= 61, "all messages of the queue");
    assert.deepEqual(without(all()), names(60));
    for (const inbox of inboxes) assert.ok(inbox.texts.length > 0, "a member of the queue got nothing");
  },
  "each queue gets its own copy": async (t) => {
    const [publisher, one] = [await t.connect(), await t.connect()];
    const inboxes = [
      await t.listen(one, "work", { queue: "a" }),
      await t.listen(one, "work", { queue: "b" }),
      await t.listen(one, "work"),
    ];
    await t.settled();
    for (const name of names(10)) await publisher.publish("work", text(name));
    await eventually(() => inboxes.every((inbox) => inbox.texts.length >= 10), "all messages");
    for (const inbox of inboxes) assert.deepEqual(without(inbox.texts), names(10));
  },
  "two subscriptions of one topic in one process each run their own handler once": async (t) => {
    const [publisher, one] = [await t.connect(), await t.connect()];
    const inboxes = [await t.listen(one, "twice"), await t.listen(one, "twice")];
    const queued = await t.listen(one, "twice", { queue: "q" });
    await t.settled();
    await publisher.publish("twice", text("x"));
    await t.marked(publisher, "twice", [...inboxes, queued]);
    for (const inbox of [...inboxes, queued]) assert.deepEqual(without(inbox.texts), ["x"]);
  },
  "header names and values arrive as they were sent, and the topic with the event": async (t) => {
    const [publisher, one] = [await t.connect(), await t.connect()];
    const inbox = await t.listen(one, "headers");
    await t.settled();
    const header = {
      "Micro-Topic": "headers",
      "Content-Type": "application/json",
      "Micro-ID": "7",
      "x-lower": "1",
      "X-Empty": "",
      "X-Ünï": 'ä"<&>€\u2028😀',
    };
    await publisher.publish("headers", text("x", header));
    await eventually(() => inbox.events.length > 0, "the message");
    assert.deepEqual({ ...inbox.events[0]?.message.header }, header);
    assert.equal(inbox.events[0]?.topic, "headers");
    await inbox.events[0]?.ack();
  },
  "bodies of any bytes and of none arrive as they were sent": async (t) => {
    const [publisher, one] = [await t.connect(), await t.connect()];
    const inbox = await t.listen(one, "bytes");
    await t.settled();
    const all = Uint8Array.from({ length: 256 }, (_, i) => i);
    const large = Uint8Array.from({ length: 200_000 }, (_, i) => (i * 7) & 255);
    for (const body of [new Uint8Array(0), all, large, all.subarray(10, 13)]) {
      const count = inbox.events.length;
      await publisher.publish("bytes", { header: {}, body });
      await eventually(() => inbox.events.length > count, "the message");
      assert.deepEqual(Uint8Array.from(inbox.events[count]?.message.body ?? []), Uint8Array.from(body));
    }
  },
  "what the publisher or a subscriber does to a message afterwards is not seen by others": async (t) => {
    const [publisher, one] = [await t.connect(), await t.connect()];
    const first = await t.listen(one, "copy");
    await one.subscribe("copy", async ({ message }) => {
      message.header["X"] = "changed";
      message.body.fill(0);
    });
    const last = await t.listen(one, "copy");
    await t.settled();
    const message = text("kept", { X: "1" });
    const sent = publisher.publish("copy", message);
    await sent;
    message.header["X"] = "later";
    message.body.fill(1);
    await eventually(() => first.events.length + last.events.length === 2, "both messages");
    for (const { events, texts } of [first, last]) {
      assert.deepEqual(texts, ["kept"]);
      assert.equal(events[0]?.message.header["X"], "1");
    }
  },
  "publishing to a topic without subscribers is no error": async (t) => {
    const publisher = await t.connect();
    await publisher.publish("nobody", text("x"));
    assert.deepEqual(t.errors, []);
  },
  "topics do not mix": async (t) => {
    const [publisher, one] = [await t.connect(), await t.connect()];
    const topics = ["a", "a.b", "a.b.c", "b", "A"];
    const inboxes = await Promise.all(topics.map((topic) => t.listen(one, topic)));
    await t.settled();
    for (const topic of topics) await publisher.publish(topic, text(topic));
    await eventually(() => inboxes.every((inbox) => inbox.texts.length > 0), "all messages");
    for (const [i, inbox] of inboxes.entries()) assert.deepEqual(inbox.texts, [topics[i]]);
  },
  "many topics at once all get theirs": async (t) => {
    const [publisher, one] = [await t.connect(), await t.connect()];
    const topics = Array.from({ length: 50 }, (_, i) => `many-${i}`);
    const inboxes = await Promise.all(topics.map((topic) => t.listen(one, topic)));
    await t.settled();
    await Promise.all(topics.flatMap((topic) => names(4).map((name) => publisher.publish(topic, text(name)))));
    await eventually(() => inboxes.every((inbox) => inbox.texts.length >= 4), "all messages");
    for (const inbox of inboxes) assert.deepEqual([...inbox.texts].sort(), names(4));
  },
  "no handler begins after its subscription is closed; the others go on": async (t) => {
    const [publisher, one] = [await t.connect(), await t.connect()];
    const gone = await t.listen(one, "leave");
    const stays = await t.listen(one, "leave");
    await t.settled();
    await publisher.publish("leave", text("before"));
    await t.marked(publisher, "leave", [gone, stays]);
    await gone.subscription.close();
    await gone.subscription.close();
    const count = gone.texts.length;
    await t.settled();
    await publisher.publish("leave", text("after"));
    await eventually(() => stays.texts.includes("after"), "the message for the other one");
    assert.equal(gone.texts.length, count);
  },
  "a handler may close its own subscription": async (t) => {
    const [publisher, one] = [await t.connect(), await t.connect()];
    let calls = 0;
    const subscription: Subscription = await one.subscribe("once", async () => {
      calls++;
      await subscription.close();
    });
    const witness = await t.listen(one, "once");
    await t.settled();
    await publisher.publish("once", text("x"));
    await eventually(() => calls > 0, "the message");
    await t.settled();
    await t.marked(publisher, "once", [witness]);
    assert.equal(calls, 1);
  },
  "a failing handler is told to onError with its event, and harms nobody else": async (t) => {
    const [publisher, one] = [await t.connect(), await t.connect()];
    const failures: { error: MicroError; event: BrokerEvent | undefined }[] = [];
    one.onError = (error, event) => void failures.push({ error, event });
    let calls = 0;
    await one.subscribe("fails", async () => {
      calls++;
      throw new Error("handler failed");
    });
    // A handler that throws before it has a promise.
    await one.subscribe("fails", () => {
      throw new Error("handler threw");
    });
    const other = await t.listen(one, "fails");
    await t.settled();
    await publisher.publish("fails", text("x"));
    await eventually(() => failures.length >= 2 && other.texts.length > 0, "both failures and the delivery");
    assert.deepEqual(failures.map(({ error }) => error.detail).sort(), ["handler failed", "handler threw"]);
    for (const { error, event } of failures) {
      assert.ok(isMicroError(error));
      assert.equal(event?.topic, "fails");
      assert.equal(Buffer.from(event.message.body).toString(), "x");
    }
    await t.marked(publisher, "fails", [other]);
    if (!one.features.redelivery) assert.equal(calls, 2);
  },
  "an onError that throws harms nobody": async (t) => {
    const [publisher, one] = [await t.connect(), await t.connect()];
    let told = 0;
    one.onError = () => {
      told++;
      throw new Error("onError failed");
    };
    await one.subscribe("bad", async () => {
      throw new Error("handler failed");
    });
    const other = await t.listen(one, "bad");
    await t.settled();
    await publisher.publish("bad", text("x"));
    await eventually(() => told > 0 && other.texts.length > 0, "the failure and the delivery");
  },
  "a slow handler holds up neither the publisher nor other subscribers": async (t) => {
    const [publisher, one] = [await t.connect(), await t.connect()];
    let release = (): void => {};
    const blocked = new Promise<void>((resolve) => (release = resolve));
    await one.subscribe("slow", () => blocked);
    const other = await t.listen(one, "slow");
    await t.settled();
    for (const name of names(5)) await within(publisher.publish("slow", text(name)), "a publish");
    await eventually(() => other.texts.length === 5, "the other one's messages");
    release();
  },
  "asking for acks by hand is UNSUPPORTED where they mean nothing": async (t) => {
    const one = await t.connect();
    const asked = one.subscribe("ack", async () => {}, { autoAck: false });
    if (one.features.ack) await (await asked).close();
    else await assert.rejects(asked, (error) => isMicroError(error) && error.code === "UNSUPPORTED");
  },
  "a topic that is no text, or a message that is none, is BAD_REQUEST": async (t) => {
    const one = await t.connect();
    const bad = (error: unknown): boolean => isMicroError(error) && error.code === "BAD_REQUEST";
    await assert.rejects(one.publish("", text("x")), bad);
    await assert.rejects(
      one.subscribe("", async () => {}),
      bad,
    );
    await assert.rejects(one.publish("t", { header: {}, body: "text" as unknown as Uint8Array }), bad);
    await assert.rejects(
      one.publish("t", { header: { a: 1 } as unknown as Record<string, string>, body: new Uint8Array(0) }),
      bad,
    );
  },
  "a publish whose signal has aborted is CANCELLED and reaches nobody": async (t) => {
    const [publisher, one] = [await t.connect(), await t.connect()];
    const inbox = await t.listen(one, "abort");
    await t.settled();
    await assert.rejects(
      publisher.publish("abort", text("x"), { signal: AbortSignal.abort() }),
      (error) => isMicroError(error) && error.code === "CANCELLED",
    );
    await t.marked(publisher, "abort", [inbox]);
    assert.deepEqual(inbox.texts, ["mark"]);
  },
  "close waits for running handlers, and nothing works after it": async (t) => {
    const [publisher, one] = [await t.connect(), await t.connect()];
    let release = (): void => {};
    let [began, ended] = [false, false];
    const blocked = new Promise<void>((resolve) => (release = resolve));
    await one.subscribe("end", async () => {
      began = true;
      await blocked;
      ended = true;
    });
    await t.settled();
    await publisher.publish("end", text("x"));
    await eventually(() => began, "the handler");
    let closed = false;
    const closing = one.close().then(() => (closed = true));
    for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve));
    assert.equal(closed, false);
    release();
    await within(closing, "close");
    assert.equal(ended, true);
    await one.close();
    const gone = (error: unknown): boolean => isMicroError(error) && error.code === "INVALID_STATE";
    await assert.rejects(one.publish("end", text("x")), gone);
    await assert.rejects(
      one.subscribe("end", async () => {}),
      gone,
    );
    await assert.rejects(one.start(), gone);
  },
  "start and close may be called twice, and close before start": async (t) => {
    const one = await t.connect();
    await one.start();
    await one.close();
    await one[Symbol.asyncDispose]();
  },
};

/** What every broker promises. */
export function brokerSuite(t: Runner, options: BrokerSuiteOptions): void {
  defineSuite<Fixture, BrokerPromise>(t, {
    name: `broker ${options.name}`,
    setup: async () => new Fixture(await options.create()),
    teardown: (fixture) => fixture.world.close(),
    promises,
    skip: options.skip,
  });
}
