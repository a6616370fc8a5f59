import { describe, expect, it } from "vitest";
import type { BrokerEvent } from "../../src/broker.ts";
import type { MicroError } from "../../src/errors.ts";
import { memoryBroker } from "../../src/broker/memory.ts";
import { brokerSuite, text } from "../../src/testing/broker.ts";
import { virtualClock } from "../../src/testing/clock.ts";
import { eventually } from "../../src/testing/suite.ts";

brokerSuite(
  { describe, it },
  {
    name: "memory",
    create: () => {
      const clock = virtualClock();
      const broker = memoryBroker({ clock });
      return {
        connect: () => broker,
        async close() {
          await broker.close();
          if (clock.pending() > 0) throw new Error("a timer is left");
        },
      };
    },
  },
);

describe("memory broker", () => {
  it("each instance is a world of its own", async () => {
    const [one, two] = [memoryBroker(), memoryBroker()];
    const got: string[] = [];
    await one.subscribe("t", async () => void got.push("one"));
    await two.subscribe("t", async () => void got.push("two"));
    await one.publish("t", text("x"));
    await eventually(() => got.length > 0, "the message");
    await two.close();
    await one.close();
    expect(got).toEqual(["one"]);
  });

  it("delivers in a later turn, never inside publish", async () => {
    const broker = memoryBroker();
    let delivered = false;
    await broker.subscribe("t", async () => void (delivered = true));
    const published = broker.publish("t", text("x"));
    expect(delivered).toBe(false);
    await published;
    expect(delivered).toBe(false);
    await eventually(() => delivered, "the message");
    await broker.close();
  });

  it("with concurrency 1 handlers run one after the other in the order of publishing", async () => {
    const broker = memoryBroker({ concurrency: 1 });
    const log: string[] = [];
    await broker.subscribe("t", async ({ message }) => {
      const name = Buffer.from(message.body).toString();
      log.push(`+${name}`);
      await new Promise((resolve) => setImmediate(resolve));
      log.push(`-${name}`);
    });
    for (const name of ["a", "b", "c"]) await broker.publish("t", text(name));
    await eventually(() => log.length === 6, "all");
    expect(log.join("")).toBe("+a-a+b-b+c-c");
    await broker.close();
  });

  it("a full buffer drops for the slow subscriber alone, counted and told", async () => {
    const broker = memoryBroker({ buffer: 3, concurrency: 1 });
    const errors: MicroError[] = [];
    broker.onError = (error) => void errors.push(error);
    let release = (): void => {};
    const blocked = new Promise<void>((resolve) => (release = resolve));
    await broker.subscribe("t", () => blocked);
    let fast = 0;
    await broker.subscribe("t", async () => void fast++);
    for (let i = 0; i < 10; i++) {
      await broker.publish("t", text(String(i)));
      await eventually(() => fast === i + 1, "the fast one");
    }
    expect(errors.map((error) => error.code)).toEqual(Array.from({ length: 6 }, () => "RESOURCE_EXHAUSTED"));
    expect(broker.counters).toMatchObject({ published: 10, dropped: 6 });
    release();
    await broker.close();
  });

  it("a member of a queue with a full buffer is passed over", async () => {
    const broker = memoryBroker({ buffer: 1, concurrency: 1 });
    let release = (): void => {};
    const blocked = new Promise<void>((resolve) => (release = resolve));
    await broker.subscribe("t", () => blocked, { queue: "q" });
    let fast = 0;
    await broker.subscribe("t", async () => void fast++, { queue: "q" });
    for (let i = 0; i < 20; i++) {
      await broker.publish("t", text(String(i)));
      await new Promise((resolve) => setImmediate(resolve));
    }
    await eventually(() => fast === 18, "the fast one");
    expect(broker.counters.dropped).toBe(0);
    release();
    await broker.close();
  });

  it("what waits for a member of a queue that leaves goes to the others", async () => {
    const broker = memoryBroker({ concurrency: 1 });
    let release = (): void => {};
    const blocked = new Promise<void>((resolve) => (release = resolve));
    const slow = await broker.subscribe("t", () => blocked, { queue: "q" });
    const got: string[] = [];
    for (let i = 0; i < 5; i++) await broker.publish("t", text(String(i)));
    await broker.subscribe("t", async ({ message }) => void got.push(Buffer.from(message.body).toString()), {
      queue: "q",
    });
    await new Promise((resolve) => setImmediate(resolve));
    await slow.close();
    await eventually(() => got.length === 4, "the rest");
    expect(got.sort()).toEqual(["1", "2", "3", "4"]);
    release();
    await broker.close();
  });

  it("of a queue, a handler that closes its own subscription at once leaves the rest to the others; without others they are told", async () => {
    const broker = memoryBroker();
    const told: string[] = [];
    broker.onError = (_, event) => void told.push(Buffer.from(event?.message.body ?? []).toString());
    const got: string[] = [];
    const once = await broker.subscribe(
      "t",
      ({ message }) => {
        void once.close();
        got.push(Buffer.from(message.body).toString());
        return Promise.resolve();
      },
      { queue: "q" },
    );
    const handler = async ({ message }: BrokerEvent): Promise<void> =>
      void got.push(Buffer.from(message.body).toString());
    const other = await broker.subscribe("t", handler, { queue: "q" });
    for (let i = 0; i < 20; i++) await broker.publish("t", text(String(i)));
    await eventually(() => got.length === 20, "all");
    expect(new Set(got).size).toBe(20);
    await other.close();
    const last = await broker.subscribe("t", () => last.close());
    for (let i = 0; i < 5; i++) await broker.publish("t", text(String(i)));
    await eventually(() => told.length === 4, "the rest");
    expect(told).toEqual(["1", "2", "3", "4"]);
    expect(broker.counters).toMatchObject({ dropped: 4, delivered: 21 });
    await broker.close();
  });

  it("close gives up on a handler that never ends after the drain time", async () => {
    const clock = virtualClock();
    const broker = memoryBroker({ clock, drain: "5s" });
    let began = false;
    await broker.subscribe("t", () => {
      began = true;
      return new Promise(() => {});
    });
    await broker.publish("t", text("x"));
    await eventually(() => began, "the handler");
    let closed = false;
    const closing = broker.close().then(() => (closed = true));
    await clock.advance(4999);
    expect(closed).toBe(false);
    await clock.advance(1);
    await closing;
    expect(clock.pending()).toBe(0);
  });

  it("counts what it does", async () => {
    const broker = memoryBroker();
    await broker.publish("nobody", text("x"));
    await broker.subscribe("t", async () => {
      throw new Error("no");
    });
    await broker.publish("t", text("x"));
    await eventually(() => broker.counters.failed === 1, "the failure");
    expect(broker.counters).toEqual({ published: 2, unheard: 1, delivered: 1, failed: 1, dropped: 0 });
    await broker.close();
  });
});
