import { describe, expect, it } from "vitest";
import { memoryTransport } from "../../src/transport/memory.ts";
import { transportConformance } from "../../src/testing/transport.ts";

describe("memory transport", () => {
  transportConformance({ describe, it }, { create: () => memoryTransport() });

  it("keeps the worlds of two instances apart", async () => {
    const [one, other] = [memoryTransport(), memoryTransport()];
    await one.listen?.("here", () => {});
    const node = { id: "n", address: "here", metadata: {} };
    await one.dial(node, { reuse: true, deadline: Infinity });
    await expect(other.dial(node, { reuse: true, deadline: Infinity })).rejects.toMatchObject({ code: "UNAVAILABLE" });
    await one.close();
    await other.close();
  });

  it("refuses a name that is taken, and gives it again after close", async () => {
    const transport = memoryTransport();
    const listener = await transport.listen?.("here", () => {});
    await expect(transport.listen?.("here", () => {})).rejects.toMatchObject({ code: "CONFLICT" });
    await listener?.close();
    await transport.listen?.("here", () => {});
    await transport.close();
  });

  it("copies bodies, so that neither end sees what the other one writes into its own", async () => {
    const transport = memoryTransport();
    const got: Uint8Array[] = [];
    await transport.listen?.("here", (connection) => {
      connection.receive({ message: (message) => void got.push(message.body), closed: () => {} });
    });
    const node = { id: "n", address: "here", metadata: {} };
    const connection = await transport.dial(node, { reuse: false, deadline: Infinity });
    const body = new Uint8Array([1, 2, 3]);
    const sent = connection.send({ header: {}, body });
    body[0] = 9;
    await sent;
    await expect.poll(() => got.length).toBe(1);
    expect([...(got[0] ?? [])]).toEqual([1, 2, 3]);
    await transport.close();
  });

  it("lets timers run between the messages of an endless exchange", async () => {
    const transport = memoryTransport();
    await transport.listen?.("here", (connection) => {
      connection.receive({ message: (message) => void connection.send(message).catch(() => {}), closed: () => {} });
    });
    const node = { id: "n", address: "here", metadata: {} };
    const connection = await transport.dial(node, { reuse: false, deadline: Infinity });
    let count = 0;
    connection.receive({
      message: (message) => {
        // Without turns for timers it would go on to here.
        if (++count < 100_000) void connection.send(message).catch(() => {});
      },
      closed: () => {},
    });
    await connection.send({ header: {}, body: new Uint8Array(1) });
    await new Promise((resolve) => setTimeout(resolve, 1));
    expect(count).toBeLessThan(100_000);
    await transport.close();
  });
});
