import { afterEach, describe, expect, it } from "vitest";
import { createClient, createService, type Client } from "../../src/index.ts";
import { memoryRegistry } from "../../src/registry/memory.ts";
import { faultProxy, type FaultProxy } from "../fault-proxy.ts";

const open: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const each of open.splice(0).toReversed()) await each.close();
});

/** A client that reaches a service through a link that can be cut. */
async function world(wire: string): Promise<{ client: Client; proxy: FaultProxy; begun: Promise<void> }> {
  const shared = { registry: memoryRegistry(), env: false as const, logLevel: "fatal" as const, protocols: [wire] };
  const service = createService({ ...shared, name: "greeter", address: "127.0.0.1:0", settle: 0, drain: 0 });
  let begin!: () => void;
  const begun = new Promise<void>((resolve) => (begin = resolve));
  service.handle("Greeter", {
    hello: () => ({}),
    wait: () => (begin(), new Promise(() => {})),
    async *follow() {
      begin();
      yield {};
      await new Promise(() => {});
    },
  });
  open.push({ close: () => service.stop() });
  await service.start();
  const [record] = await shared.registry.getService("greeter");
  const { id, address, metadata } = record!.nodes[0]!;
  const proxy = await faultProxy(address);
  open.push(proxy);
  await shared.registry.register({ ...record!, nodes: [{ id, metadata, address: proxy.address }] });
  const client = createClient(shared);
  open.push(client);
  return { client, proxy, begun };
}

describe.each(["fast", "mucp", "grpc"])("the error of a call over %s", (wire) => {
  it.each([1, 2])(
    "names the service and the node that has no such endpoint, in Go's words (call %i)",
    async (calls) => {
      const { client, proxy } = await world(wire);
      if (calls > 1) await client.call("greeter", "Greeter.Hello", {});
      const [detail, which] =
        wire === "grpc"
          ? ["unknown service Greeter.Helo", "greeter"]
          : ["rpc: can't find method Helo", "greeter Greeter.Helo"];
      const message = `${which} at ${proxy.address}: ${detail}`;
      await expect(client.call("greeter", "Greeter.Helo", {})).rejects.toMatchObject({
        code: "NOT_FOUND",
        detail,
        message,
      });
    },
  );

  it.each([1, 2])("names the call whose connection was lost, and the node (call %i)", async (calls) => {
    const { client, proxy, begun } = await world(wire);
    if (calls > 1) await client.call("greeter", "Greeter.Hello", {});
    const call = client.call("greeter", "Greeter.Wait", {});
    call.catch(() => {});
    await begun;
    for (const link of proxy.links) link.cut("rst");
    const error = await call.catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: "CONNECTION_LOST" });
    const { message, detail } = error as { message: string; detail: string };
    expect(detail).toMatch(/^greeter Greeter\.Wait/);
    expect(detail).toContain(proxy.address);
    expect(message).toBe(detail);
  });

  it("names the stream whose connection was lost, and the node", async () => {
    const { client, proxy, begun } = await world(wire);
    const stream = client.stream("greeter", "Greeter.Follow", { stream: "server" });
    await stream.send({});
    const replies = stream[Symbol.asyncIterator]();
    await replies.next();
    await begun;
    for (const link of proxy.links) link.cut("rst");
    const error = (await replies.next().catch((reason: unknown) => reason)) as { code: string; detail: string };
    expect(error.code).toBe("CONNECTION_LOST");
    expect(error.detail).toMatch(/^greeter Greeter\.Follow/);
    expect(error.detail).toContain(proxy.address);
  });

  it("names the call that a node did not take", async () => {
    const { client } = await world(wire);
    const address = "127.0.0.1:1";
    await expect(client.call("greeter", "Greeter.Hello", {}, { address, retries: 0 })).rejects.toMatchObject({
      code: "UNAVAILABLE",
      detail: expect.stringMatching(/^greeter Greeter\.Hello: .*127\.0\.0\.1:1/) as string,
    });
  });
});

it("an error of one call does not become that of another of the same connection", async () => {
  const { client, proxy, begun } = await world("fast");
  await client.call("greeter", "Greeter.Hello", {});
  const calls = [client.call("greeter", "Greeter.Wait", {}), client.call("greeter", "Greeter.Wait", {})];
  const outcomes = Promise.allSettled(calls);
  await begun;
  for (const link of proxy.links) link.cut("rst");
  const [a, b] = (await outcomes) as PromiseRejectedResult[];
  expect(a!.reason).not.toBe(b!.reason);
});
