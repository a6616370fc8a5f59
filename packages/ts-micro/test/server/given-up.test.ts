import { once } from "node:events";
import { request as httpRequest, type IncomingMessage } from "node:http";
import { afterEach, describe, expect, it } from "vitest";
import { createClient, createService, endpoint, type CallOptions } from "../../src/index.ts";
import { memoryRegistry } from "../../src/registry/memory.ts";
import { eventually } from "../../src/testing/suite.ts";
import { frame } from "../../src/wire/grpc/frame.ts";

const open: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const each of open.splice(0).toReversed()) await each.close();
});

async function world(wire: string) {
  const shared = { registry: memoryRegistry(), env: false as const, logLevel: "fatal" as const, protocols: [wire] };
  const goOn: (() => void)[] = [];
  const wait = (): Promise<object> => new Promise((resolve) => goOn.push(() => resolve({})));
  const service = createService({ ...shared, name: "s", address: "127.0.0.1:0", settle: 0, drain: 0, maxInFlight: 3 });
  service.handle("S", {
    unary: wait,
    feed: endpoint({ stream: "server" }, async function* () {
      yield await wait();
    }),
    take: endpoint({ stream: "client" }, wait),
    hello: () => ({}),
  });
  await service.start();
  const client = createClient({ ...shared, retries: 0 });
  open.push({ close: () => service.stop() }, client);
  return { service, client, goOn };
}

describe.each(["fast", "mucp", "grpc", "in process"])("a handler that its caller has given up (%s)", (how) => {
  it.each(["unary", "feed", "take"])("counts as work until it has settled (%s)", async (what) => {
    const { service, client: other, goOn } = await world(how === "in process" ? "fast" : how);
    const client = how === "in process" ? service.client : other;
    await client.call("s", "S.Hello", {});
    const call = async (options: CallOptions): Promise<void> => {
      if (what === "unary") return void (await client.call("s", "S.Unary", {}, options));
      const stream = client.stream("s", what === "feed" ? "S.Feed" : "S.Take", {
        ...options,
        stream: what === "feed" ? "server" : "client",
      });
      if (what === "feed") await stream.send({});
      for await (const _ of stream);
    };
    // The time may pass before it has begun.
    while (goOn.length === 0) await expect(call({ timeout: 50 })).rejects.toMatchObject({ code: "TIMEOUT" });
    for (let n = 1; n < 3; n++) {
      const controller = new AbortController();
      const given = call({ signal: controller.signal }).then(
        () => "well",
        (error: { code: string }) => error.code,
      );
      await eventually(() => goOn.length === n + 1, "it runs");
      controller.abort();
      expect(await given).toBe("CANCELLED");
      await eventually(() => service.server.stats.inFlight === 0, "nobody waits for it");
    }
    const refused = await client.call("s", "S.Hello", {}).catch((error: unknown) => error);
    expect(refused).toMatchObject({
      code: "RESOURCE_EXHAUSTED",
      refused: how !== "in process",
      detail: "3 calls are under way, 3 of them given up by their callers, which is the limit",
    });
    for (const each of goOn) each();
    await new Promise(setImmediate);
    await client.call("s", "S.Hello", {});
  });
});

describe.each(["application/json", "application/connect+json"])(
  "a reader that is slow until the deadline (%s)",
  (type) => {
    it("holds the handler back no longer, and gets the rest of the answer", async () => {
      const connect = type.startsWith("application/connect");
      // More than any socket takes.
      const pad = "x".repeat(3 << 20);
      const service = createService({
        registry: memoryRegistry(),
        env: false,
        logLevel: "fatal",
        name: "s",
        address: "127.0.0.1:0",
        settle: 0,
        drain: 0,
        maxInFlight: 2,
      });
      service.handle("S", {
        flood: endpoint({ stream: "server" }, async function* () {
          for (let n = 0; n < 20; n++) yield { pad };
        }),
        hello: () => ({}),
      });
      await service.start();
      open.push({ close: () => service.stop() });
      const post = async (path: string, contentType: string, body: Buffer): Promise<IncomingMessage> => {
        const headers = { "content-type": contentType, timeout: "300ms", "connect-timeout-ms": "300" };
        const sent = httpRequest(`http://${service.server.address}${path}`, { method: "POST", agent: false, headers });
        sent.end(body);
        const [response] = (await once(sent, "response")) as [IncomingMessage];
        return response;
      };
      const json = Buffer.from("{}");
      for (let n = 0; n < 2; n++) {
        const response = await post(connect ? "/S/Flood" : "/s/S.Flood", type, connect ? frame(json) : json);
        await eventually(() => service.server.stats.inFlight === 0, "its deadline passes");
        response.resume();
        await once(response, "end");
      }
      const hello = async (): Promise<boolean> => {
        const { statusCode } = (await post("/s/S.Hello", "application/json", json)).resume();
        return statusCode === 200;
      };
      expect(await eventually(hello, "there is room for a call")).toBe(true);
    });
  },
);
