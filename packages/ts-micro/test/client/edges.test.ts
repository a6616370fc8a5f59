import { afterEach, describe, expect, it } from "vitest";
import { createClient, createService, endpoint, type StandardSchemaV1 } from "../../src/index.ts";
import { memoryRegistry } from "../../src/registry/memory.ts";
import { eventually } from "../../src/testing/suite.ts";

const open: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const each of open.splice(0).toReversed()) await each.close();
});

function world(wire: string) {
  const registry = memoryRegistry();
  const shared = { registry, env: false as const, logLevel: "fatal" as const, protocols: [wire] };
  const client = createClient(shared);
  open.push(client);
  return {
    client,
    service(maxInFlight?: number) {
      const service = createService({
        ...shared,
        name: "s",
        address: "127.0.0.1:0",
        settle: 0,
        drain: "1s",
        maxInFlight,
      });
      open.push({ close: () => service.stop() });
      return service;
    },
  };
}

/** A response schema that waits. */
function waiting(): { schema: StandardSchemaV1; begun: () => boolean; go: () => void } {
  let go: (() => void) | undefined;
  const schema: StandardSchemaV1 = {
    "~standard": {
      version: 1,
      vendor: "x",
      validate: (value) => new Promise((resolve) => (go = () => resolve({ value }))),
    },
  };
  return { schema, begun: () => go !== undefined, go: () => go?.() };
}

describe.each(["sync", "async"])("a response schema that waits, behind a %s handler", (how) => {
  const handler = (): unknown => (how === "sync" ? { n: 1 } : Promise.resolve({ n: 1 }));

  it("is bounded by the call's deadline and signal, in process too", async () => {
    const service = world("fast").service();
    service.handle("S", { slow: endpoint({ response: waiting().schema }, handler) });
    await service.start();
    await expect(service.client.call("s", "S.Slow", {}, { timeout: 20 })).rejects.toMatchObject({ code: "TIMEOUT" });
    const signal = AbortSignal.timeout(20);
    await expect(service.client.call("s", "S.Slow", {}, { signal })).rejects.toMatchObject({ code: "TIMEOUT" });
  });

  it("is waited for by a stop", async () => {
    const { service: make, client } = world("fast");
    const service = make();
    const { schema, begun, go } = waiting();
    service.handle("S", { slow: endpoint({ response: schema }, handler) });
    await service.start();
    const reply = client.call("s", "S.Slow", {});
    await eventually(begun, "the schema's turn");
    const stopped = service.stop();
    await new Promise((resolve) => setImmediate(resolve));
    go();
    expect(await reply).toEqual({ n: 1 });
    await stopped;
  });
});

it("metadata from an iterator go along with a retry", async () => {
  const { service: make, client } = world("fast");
  const held: (() => void)[] = [];
  const service = make(1).handle("S", {
    hold: () => new Promise<object>((resolve) => held.push(() => resolve({}))),
    see: (_: object, ctx) => ({ token: ctx.metadata.get("token") }),
  });
  await service.start();
  await client.call("s", "S.See", {});
  const busy = client.call("s", "S.Hold", {});
  // Right behind it, so it is turned away the first time.
  const reply = client.call("s", "S.See", {}, { metadata: new Map([["token", "t"]]).entries() });
  await eventually(() => held.length === 1, "the first call");
  held[0]?.();
  expect(await reply).toEqual({ token: "t" });
  await busy;
});

it("options that make no sense are a rejection, whatever is loaded", async () => {
  const service = world("fast").service();
  service.handle("S", { hello: () => ({}) });
  await service.start();
  const { client } = service;
  for (let n = 0; n < 2; n++) {
    await client.call("s", "S.Hello", {});
    let call: Promise<unknown> | undefined;
    expect(() => (call = client.call("s", "S.Hello", {}, { timeout: "soon" }))).not.toThrow();
    await expect(call).rejects.toMatchObject({ code: "BAD_REQUEST" });
  }
});

it("a caller in process that gives up is heard by the handler at work", async () => {
  const service = world("fast").service();
  let heard = "";
  service.handle("S", {
    wait: (_: object, { signal }) =>
      new Promise<object>((resolve) =>
        signal.addEventListener("abort", () => {
          heard = (signal.reason as { code: string }).code;
          resolve({});
        }),
      ),
  });
  await service.start();
  await service.client.call("s", "S.Wait", {}, { timeout: 20 }).catch(() => {});
  expect(heard).toBe("TIMEOUT");
  const control = new AbortController();
  const call = service.client.call("s", "S.Wait", {}, { signal: control.signal });
  control.abort();
  await expect(call).rejects.toMatchObject({ code: "CANCELLED" });
  expect(heard).toBe("CANCELLED");
});
