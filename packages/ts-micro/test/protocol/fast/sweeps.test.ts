import { Socket } from "node:net";
import { expect, it } from "vitest";
import type { CallHandler } from "../../../src/protocol.ts";
import { FastAcceptor } from "../../../src/protocol/fast/acceptor.ts";
import type { LinkOptions } from "../../../src/protocol/fast/link.ts";
import { virtualClock } from "../../../src/testing/clock.ts";

it("many connections are looked over in one sweep, not each in its own", async () => {
  const clock = virtualClock();
  let timers = 0;
  const after: typeof clock.after = (ms, fn) => (timers++, clock.after(ms, fn));
  const calls: CallHandler = {
    kindOf: () => undefined,
    supports: () => true,
    unary: () => Promise.resolve({ body: Buffer.alloc(0) }),
    stream: () => Promise.resolve(undefined),
    message: () => Promise.resolve(undefined),
  };
  const options = { clock: { ...clock, after } } as unknown as LinkOptions;
  const acceptor = new FastAcceptor(options, 1000, calls);
  const sockets = Array.from({ length: 300 }, () => new Socket());
  for (const socket of sockets) {
    acceptor.accept(socket, Buffer.alloc(0));
    await clock.advance(1);
  }
  await clock.advance(1200);
  expect(sockets.every(({ destroyed }) => destroyed)).toBe(true);
  expect(timers).toBeLessThan(10);
  await acceptor.close();
});
