/** What the selector is told of the node of a call that failed. */
import { afterEach, describe, expect, it } from "vitest";
import { createClient, createService, errors, type Client } from "../../src/index.ts";
import { memoryRegistry } from "../../src/registry/memory.ts";
import type { Selector } from "../../src/selector.ts";
import { roundRobinSelector } from "../../src/selector/round-robin.ts";
import { eventually } from "../../src/testing/suite.ts";

const open: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const each of open.splice(0).toReversed()) await each.close();
});

interface World {
  readonly client: Client;
  readonly address: string;
  /** Code of the error that the node was blamed for, else what the end told. */
  readonly heard: string[];
  /** Requests that wait in the handler. */
  readonly waiting: () => number;
}

async function world(wire: string, careful = false): Promise<World> {
  const shared = { registry: memoryRegistry(), env: false as const, logLevel: "fatal" as const, protocols: [wire] };
  let waiting = 0;
  const aborted = (signal: AbortSignal): Promise<object> => {
    waiting++;
    return new Promise((resolve) => signal.addEventListener("abort", () => resolve({}), { once: true }));
  };
  const service = createService({ ...shared, name: "b", address: "127.0.0.1:0", settle: 0 }).handle("B", {
    hello: () => ({}),
    wait: (_: unknown, ctx) => aborted(ctx.signal),
    async *stream(_: unknown, ctx) {
      yield await aborted(ctx.signal);
    },
    fail: () => {
      throw errors.connectionLost("db", "the database is gone");
    },
  });
  await service.start();
  open.push({ close: () => service.stop() });
  const heard: string[] = [];
  const inner = roundRobinSelector();
  const selector: Selector = {
    ...inner,
    ended: (_service, _node, _ms, error, tells) => void heard.push(error?.code ?? tells ?? "served"),
  };
  // What stands around attempts takes calls another way.
  const callInterceptors = careful ? [<T>(attempt: T, next: (attempt: T) => Promise<unknown>) => next(attempt)] : [];
  const client = createClient({ ...shared, selector, callInterceptors });
  open.push(client);
  await client.call("b", "B.Hello", {});
  const [record] = await shared.registry.getService("b");
  return { client, heard, address: record?.nodes[0]?.address ?? "", waiting: () => waiting };
}

describe.each(["fast", "mucp", "grpc"])("over %s", (wire) => {
  it.each([false, true])(
    "nothing when the caller's own caller is lost, who is not at that node (%s)",
    async (careful) => {
      const { client, heard, address, waiting } = await world(wire, careful);
      const given = new AbortController();
      const call = client
        .call("b", "B.Wait", {}, { signal: given.signal, idempotent: true })
        .catch((error: unknown) => error);
      await eventually(() => waiting() === 1, "the handler");
      given.abort(errors.connectionLost("go.micro.server", "the caller is gone"));
      const error = (await call) as Error;
      expect(error).toMatchObject({ code: "CONNECTION_LOST" });
      expect(error.message).not.toContain(address);
      expect(heard).toEqual(["served", "nothing"]);
    },
  );

  it("nothing of a stream that ends so", async () => {
    const { client, heard, address, waiting } = await world(wire);
    const given = new AbortController();
    const { B } = client.service<{ B: { stream(request: object): AsyncIterable<unknown> } }>("b", {
      stream: "server",
      signal: given.signal,
    });
    const reading = (async () => {
      for await (const each of B.stream({})) expect(each).toBe("nothing");
    })().catch((error: unknown) => error);
    await eventually(() => waiting() === 1, "the handler");
    given.abort(errors.connectionLost("go.micro.server", "the caller is gone"));
    const error = (await reading) as Error;
    expect(error).toMatchObject({ code: "CONNECTION_LOST" });
    expect(error.message).not.toContain(address);
    expect(heard).toEqual(["served", "nothing"]);
  });

  it.each([false, true])("nothing when it was cancelled, or could not be encoded (%s)", async (careful) => {
    const { client, heard, waiting } = await world(wire, careful);
    const given = new AbortController();
    const call = client.call("b", "B.Wait", {}, { signal: given.signal }).catch(() => {});
    await eventually(() => waiting() === 1, "the handler");
    given.abort();
    await call;
    await expect(
      client.call("b", "B.Hello", {
        toJSON: () => {
          throw new Error("no");
        },
      }),
    ).rejects.toMatchObject({ attempts: 1 });
    expect(heard).toEqual(["served", "nothing", "nothing"]);
  });

  it.each([false, true])("nothing when the request is too large, which is tried once (%s)", async (careful) => {
    const { client, heard } = await world(wire, careful);
    const request = { x: "a".repeat(5 << 20) };
    await expect(client.call("b", "B.Hello", request)).rejects.toMatchObject({ attempts: 1, refused: false });
    expect(heard).toEqual(["served", "nothing"]);
  });

  it.each([false, true])("that it is alive when its handler fails (%s)", async (careful) => {
    const { client, heard } = await world(wire, careful);
    await expect(client.call("b", "B.Fail", {})).rejects.toMatchObject({ code: expect.any(String) as string });
    expect(heard).toEqual(["served", "alive"]);
  });

  it.each([false, true])("that it is to blame when it does not answer in time (%s)", async (careful) => {
    const { client, heard } = await world(wire, careful);
    const late = { timeout: 50 };
    await expect(client.call("b", "B.Wait", {}, late)).rejects.toMatchObject({ code: "TIMEOUT" });
    expect(heard[1]).toMatch(/TIMEOUT|alive/);
  });
});
