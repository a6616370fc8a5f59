import { expect, it } from "vitest";
import type { BrokerEvent, BrokerMessage } from "../../../src/broker.ts";
import { checkMessage, copyOf, Mailbox, newCounters } from "../../../src/broker/common/mailbox.ts";
import { reporter } from "../../../src/broker/common/reporter.ts";
import { memoryBroker } from "../../../src/broker/memory.ts";
import { errors, type MicroError } from "../../../src/errors.ts";

const message = (text: string): BrokerMessage => ({ header: {}, body: Buffer.from(text) });
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** A mailbox whose handlers wait until they are let go. */
function world({ buffer = 3, concurrency = 2 } = {}) {
  const begun: string[] = [];
  const failures: string[] = [];
  const going: ((error?: Error) => void)[] = [];
  const counters = newCounters();
  const box = new Mailbox({
    topic: "t",
    buffer,
    concurrency,
    counters,
    onError: (error) => failures.push(error.detail),
    handler: ({ message: { body } }: BrokerEvent) => {
      begun.push(String(Buffer.from(body)));
      return new Promise((resolve, reject) => going.push((error) => (error === undefined ? resolve() : reject(error))));
    },
  });
  return { box, begun, failures, going, counters };
}

it("a mailbox begins its handlers later, in order, so many at a time, and is full at its limit", async () => {
  const { box, begun, going } = world();
  expect(["a", "b", "c", "d"].map((text) => box.offer(message(text)))).toEqual([true, true, true, false]);
  expect(begun).toEqual([]);
  await turn();
  expect([begun, box.open]).toEqual([["a", "b"], true]);
  expect(box.offer(message("e"))).toBe(true);
  going[0]?.();
  await turn();
  await turn();
  expect(begun).toEqual(["a", "b", "c"]);
});

it("a handler that fails is counted and told of, and holds up nothing", async () => {
  const { box, failures, going, counters } = world({ concurrency: 1 });
  box.offer(message("a"));
  box.offer(message("b"));
  await turn();
  going[0]?.(new Error("no"));
  await turn();
  await turn();
  going[1]?.();
  await box.idle();
  expect([failures, counters.failed, counters.delivered]).toEqual([["no"], 1, 2]);
});

it("a closed mailbox gives back what waited, takes no more, and is idle when the last handler is done", async () => {
  const { box, begun, going } = world({ concurrency: 1 });
  box.offer(message("a"));
  await turn();
  box.offer(message("b"));
  expect(box.close().map(({ body }) => String(Buffer.from(body)))).toEqual(["b"]);
  expect([box.closed, box.open, box.offer(message("c"))]).toEqual([true, false, false]);
  let idle = false;
  const over = box.idle().then(() => (idle = true));
  await turn();
  expect(idle).toBe(false);
  going[0]?.();
  await over;
  expect(begun).toEqual(["a"]);
});

it("a handler that closes its mailbox gives back all that has not begun", async () => {
  const counters = newCounters();
  let left: BrokerMessage[] = [];
  const box: Mailbox = new Mailbox({
    topic: "t",
    buffer: 5,
    concurrency: 3,
    counters,
    onError: () => {},
    handler: async () => void (left = box.close()),
  });
  for (const text of ["a", "b", "c", "d", "e"]) box.offer(message(text));
  await turn();
  expect(left.map(({ body }) => String(body))).toEqual(["b", "c", "d", "e"]);
  expect(counters).toMatchObject({ delivered: 1, dropped: 0 });
});

it("a subscriber's copy is its own, and what is no message is refused", () => {
  const original = message("abc");
  const copy = copyOf(original);
  copy.body[0] = 0;
  expect(String(original.body)).toBe("abc");
  for (const bad of [undefined, {}, { header: {}, body: "text" }, { header: { a: 1 }, body: Buffer.alloc(0) }])
    expect(() => checkMessage("t", bad as unknown as BrokerMessage)).toThrow(
      expect.objectContaining({ code: "BAD_REQUEST" }),
    );
  expect(() => checkMessage("", original)).toThrow(expect.objectContaining({ code: "BAD_REQUEST" }));
});

it("a reporter tells the broker's onError of the time, and survives it", () => {
  const broker = memoryBroker();
  const told: MicroError[] = [];
  const report = reporter(broker);
  report(errors.internal("t", "nobody listens"));
  broker.onError = (error) => {
    told.push(error);
    throw new Error("a fault of its own");
  };
  report(errors.internal("t", "heard"));
  expect(told.map(({ detail }) => detail)).toEqual(["heard"]);
});
