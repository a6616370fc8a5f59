import { describe, expect, it } from "vitest";
import { errors } from "../../src/errors.ts";
import { Channel } from "../../src/internal/channel.ts";

describe("Channel", () => {
  it("hands values over in order and ends cleanly", async () => {
    const channel = new Channel<number>(4);
    for (const n of [1, 2, 3]) await channel.send(n);
    channel.end();
    const seen: number[] = [];
    for await (const n of channel) seen.push(n);
    expect(seen).toEqual([1, 2, 3]);
  });

  it("makes a sender wait when there is no room, and lets it go on as values are read", async () => {
    const channel = new Channel<number>(2);
    await channel.send(1);
    let through = false;
    const second = channel.send(2).then(() => (through = true));
    await new Promise((resolve) => setImmediate(resolve));
    expect(through).toBe(false);
    await channel.next();
    await second;
    expect(through).toBe(true);
  });

  it("settles reader and waiting senders with the error of a failure, once", async () => {
    const channel = new Channel<number>(1);
    const sender = channel.send(1);
    const other = channel.send(2);
    channel.fail(errors.cancelled("a", "first"));
    channel.fail(errors.cancelled("a", "second"));
    await expect(sender).rejects.toThrow("first");
    await expect(other).rejects.toThrow("first");
    await expect(channel.next()).rejects.toThrow("first");
    await expect(channel.send(3)).rejects.toThrow("first");
  });

  it("tells senders who wait of an error at once, the reader after what is there", async () => {
    const channel = new Channel<number>(1);
    const sender = channel.send(1);
    channel.end(errors.cancelled("a", "over"));
    await expect(sender).rejects.toThrow("over");
    expect(await channel.next()).toEqual({ done: false, value: 1 });
    await expect(channel.next()).rejects.toThrow("over");
  });

  it("serves a reader who asks ahead in order, and tells all that wait of the end", async () => {
    const channel = new Channel<number>(8);
    const steps = [channel.next(), channel.next(), channel.next(), channel.next()];
    await channel.send(1);
    await channel.send(2);
    channel.end();
    expect((await Promise.all(steps)).map(({ value }) => value)).toEqual([1, 2, undefined, undefined]);
    const failing = new Channel<number>(8);
    const waiting = Promise.allSettled([failing.next(), failing.next()]);
    failing.fail(errors.cancelled("a", "first"));
    expect((await waiting).map(({ status }) => status)).toEqual(["rejected", "rejected"]);
  });

  it("tells senders when the reader has left", async () => {
    const channel = new Channel<number>(8);
    await channel.send(1);
    for await (const n of channel) if (n === 1) break;
    await expect(channel.send(2)).rejects.toThrow("the reader left");
  });
});
