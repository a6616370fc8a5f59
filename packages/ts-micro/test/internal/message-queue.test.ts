import { beforeEach, describe, expect, it } from "vitest";
import { errors } from "../../src/errors.ts";
import { MessageQueue } from "../../src/internal/message-queue.ts";

let log: string[];
let queue: MessageQueue;
const stop = (): void => void log.push("stop");
const go = (): void => void log.push("go");
const message = (text: string): Uint8Array => Buffer.from(text);
const lost = errors.connectionLost("test", "gone");
const read = async (): Promise<string | undefined> => {
  const body = await queue.read();
  return body && Buffer.from(body).toString();
};

beforeEach(() => {
  log = [];
  queue = new MessageQueue(stop, go, { messages: 4, bytes: 100 });
});

describe("a message queue", () => {
  it("gives messages in order, to readers that wait and to those that come later", async () => {
    const waiting = [read(), read()];
    for (const text of ["a", "b", "c", ""]) queue.push(message(text));
    expect(await Promise.all([...waiting, read(), read()])).toEqual(["a", "b", "c", ""]);
    expect(queue.length).toBe(0);
  });

  it("stops the wire when it is full by count, and lets it go on when it is half empty", async () => {
    for (let i = 0; i < 4; i++) queue.push(message("x"));
    expect(log).toEqual(["stop"]);
    expect(queue.full).toBe(true);
    queue.push(message("one that was on its way"));
    await read();
    await read();
    expect(log).toEqual(["stop"]);
    await read();
    expect(log).toEqual(["stop", "go"]);
    expect([await read(), await read()]).toEqual(["x", "one that was on its way"]);
  });

  it("stops the wire when it is full by size", async () => {
    queue.push(message("x".repeat(100)));
    expect(log).toEqual(["stop"]);
    await read();
    expect(log).toEqual(["stop", "go"]);
  });

  it("holds nobody back for a reader that waits", () => {
    for (let i = 0; i < 10; i++) void read();
    for (let i = 0; i < 10; i++) queue.push(message("x".repeat(1000)));
    expect(log).toEqual([]);
  });

  it("ends after what is queued, cleanly or with an error, and stays ended", async () => {
    queue.push(message("a"));
    queue.end();
    queue.end(lost);
    queue.push(message("late"));
    expect([await read(), await read(), await read()]).toEqual(["a", undefined, undefined]);
    queue = new MessageQueue(stop, go);
    queue.push(message("a"));
    queue.end(lost);
    expect(await read()).toBe("a");
    await expect(read()).rejects.toBe(lost);
    await expect(read()).rejects.toBe(lost);
  });

  it("settles every waiting reader at the end", async () => {
    const clean = [read(), read()];
    queue.end();
    expect(await Promise.all(clean)).toEqual([undefined, undefined]);
    queue = new MessageQueue(stop, go);
    const failing = [read(), read()].map((each) => expect(each).rejects.toBe(lost));
    queue.end(lost);
    await Promise.all(failing);
  });

  it("drops what is queued when it is aborted, also after its end", async () => {
    queue.push(message("a"));
    queue.end();
    queue.abort(lost);
    await expect(read()).rejects.toBe(lost);
    expect(queue.length).toBe(0);
  });

  it("lets the wire go on when it ends while full", () => {
    for (const end of [() => queue.end(), () => queue.end(lost), () => queue.abort(lost)]) {
      log = [];
      queue = new MessageQueue(stop, go, { messages: 1 });
      queue.push(message("a"));
      end();
      expect(log).toEqual(["stop", "go"]);
    }
  });

  it("rejects one read with an error that was pushed, and goes on", async () => {
    queue.push(lost);
    queue.push(message("after"));
    await expect(read()).rejects.toBe(lost);
    expect(await read()).toBe("after");
  });
});
