import { expect, it, vi } from "vitest";
import { systemClock } from "../src/clock.ts";
import { createService } from "../src/index.ts";

it("the system's clock is that of a test runner which has put its own in its place", async () => {
  const service = createService({ name: "clocked", registry: "memory", address: "127.0.0.1:0", logLevel: "error" });
  const { client } = service.handle("Greeter", {
    hello: () => ({}),
    never: () => new Promise<void>(() => {}),
  });
  await service.start();
  // What is loaded when it is first needed.
  await client.call("clocked", "Greeter.Hello", {});
  try {
    vi.useFakeTimers();
    const began = systemClock.now();
    const settled = client.call("clocked", "Greeter.Never", {}, { timeout: "1h" }).catch((error: unknown) => error);
    await vi.advanceTimersByTimeAsync(3_600_001);
    expect(systemClock.now() - began).toBe(3_600_001);
    expect(await settled).toMatchObject({ code: "TIMEOUT" });
  } finally {
    vi.useRealTimers();
    await service.stop();
  }
});
