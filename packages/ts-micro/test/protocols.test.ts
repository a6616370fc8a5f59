/** Each protocol alone, from a client to a service over a socket, and the words that choose it. */
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { connect } from "node:http2";
import { connect as tlsConnect } from "node:tls";
import { fileURLToPath } from "node:url";
import { afterEach, describe, expect, it } from "vitest";
import { Greeter } from "../../../interop/proto/gen/greeter_pb.ts";
import { z } from "zod";
import {
  createClient,
  createService,
  endpoint,
  errors,
  type ClientOptions,
  type Context,
  type MicroError,
  type ProtoImpl,
  type ServiceOptions,
} from "../src/index.ts";
import type { Protocol } from "../src/protocol.ts";
import { memoryRegistry } from "../src/registry/memory.ts";
import { eventually } from "../src/testing/suite.ts";

const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close();
});

const certificates = fileURLToPath(new URL("fixtures/tls/", import.meta.url));
const quiet = { env: false, logLevel: "fatal", broker: "memory" } as const;

/** What the handlers of one service went through. */
class Seen {
  /** Endpoints whose handlers began. */
  readonly begun: string[] = [];
  /** Why each was cancelled. */
  readonly cancelled: string[] = [];

  forever(ctx: Context): Promise<never> {
    return new Promise((_, reject) => {
      ctx.signal.addEventListener("abort", () => {
        this.cancelled.push((ctx.signal.reason as MicroError).code);
        reject(ctx.signal.reason as Error);
      });
      this.begun.push(ctx.endpoint);
    });
  }
}

function talkService(seen: Seen, options: Pick<ServiceOptions, "registry" | "protocols" | "env" | "metadata" | "tls">) {
  return createService({ name: "talk", address: "127.0.0.1:0", settle: 0, ...quiet, ...options })
    .handle("Talk", {
      hello: ({ name }: { name: string }) => ({ msg: `Hello ${name}` }),
      fail({ detail }: { detail: string }): object {
        throw errors.conflict("talk", detail);
      },
      wait: (_: object, ctx: Context) => seen.forever(ctx),
      metadata: (_: object, ctx: Context) => ctx.metadata.toObject(),
      add({ part, size }: { part: string; size: number }, ctx: Context) {
        seen.begun.push(ctx.endpoint);
        (part === "header" ? ctx.responseHeader : ctx.responseTrailer).set("X-Big", "x".repeat(size));
        return { ok: true };
      },
      async *count({ to, failAt }: { to: number; failAt?: number }) {
        for (let n = 1; n <= to; n++) {
          if (n === failAt) throw errors.conflict("talk", `at ${n}`);
          yield { n };
        }
      },
      sum: endpoint({ stream: "client", request: z.object({ n: z.number() }) }, async (numbers, ctx) => {
        let total = 0;
        for await (const { n } of numbers) total += n;
        return { total, tenant: ctx.metadata.get("X-Tenant") };
      }),
      chat: endpoint({ stream: "bidi", request: z.object({ text: z.string() }) }, async function* (messages, ctx) {
        yield { text: ctx.metadata.get("X-Tenant") ?? "" };
        for await (const { text } of messages) yield { text: `re: ${text}` };
        yield { text: "bye" };
      }),
    })
    .implement(Greeter, {
      hello: ({ name }: { name: string }) => ({ msg: `Hello ${name}` }),
      async *stream({ count }: { count: bigint }) {
        for (let n = 0n; n < count; n++) yield { n };
      },
      async *chat(messages: AsyncIterable<{ text: string }>) {
        for await (const { text } of messages) yield { text: `re: ${text}` };
      },
      async collect(messages: AsyncIterable<object>) {
        let count = 0n;
        for await (const _ of messages) count++;
        return { count };
      },
    } as unknown as ProtoImpl<typeof Greeter>);
}

async function world(
  serving: Pick<ServiceOptions, "protocols" | "env" | "metadata" | "tls">,
  calling: Pick<ClientOptions, "protocols" | "env"> = serving,
) {
  const registry = memoryRegistry();
  const seen = new Seen();
  const service = talkService(seen, { registry, ...serving });
  closing.push(() => service.stop());
  await service.start();
  const client = createClient({ registry, ...quiet, ...calling });
  closing.push(() => client.close());
  return { seen, service, client, registry, talk: client.service<typeof service>("talk").Talk };
}

async function all<T>(stream: AsyncIterable<T>): Promise<T[]> {
  const out: T[] = [];
  for await (const each of stream) out.push(each);
  return out;
}

async function* from<T>(...values: readonly T[]): AsyncGenerator<T> {
  for (const value of values) yield value;
}

const metadata = { "X-Tenant": "acme" };
const names = ["fast", "mucp", "grpc", "http"] as const;

describe.each(names)("%s alone", (name) => {
  const alone = () => world({ protocols: [name] });

  it("carries unary calls, their errors and their metadata", async () => {
    const { talk } = await alone();
    expect(await talk.hello({ name: "Ada" })).toEqual({ msg: "Hello Ada" });
    await expect(talk.fail({ detail: "é sold" })).rejects.toMatchObject({
      ...{ code: "CONFLICT", status: 409, id: "talk", detail: "é sold", layer: "remote" },
    });
    const seen = await talk.metadata({}, { metadata: { ...metadata, "X-Text": "zoë" } });
    expect(seen).toMatchObject({ "X-Tenant": "acme", "X-Text": "zoë" });
  });

  it("carries deadlines and cancellations to the handler", async () => {
    const { talk, seen } = await alone();
    await expect(talk.wait({}, { timeout: 200 })).rejects.toMatchObject({ code: "TIMEOUT" });
    await eventually(() => seen.cancelled.length === 1, "the handler hears of the deadline");
    const leaving = new AbortController();
    const call = talk.wait({}, { signal: leaving.signal });
    const outcome = call.catch((error: unknown) => error);
    await eventually(() => seen.begun.length === 2, "the handler runs");
    leaving.abort();
    expect(await outcome).toMatchObject({ code: "CANCELLED" });
    await eventually(() => seen.cancelled.length === 2, "the handler hears of the cancellation");
  });

  it("carries server streams, and the error that ends one", async () => {
    const { talk } = await alone();
    expect(await all(talk.count({ to: 300 }))).toEqual(Array.from({ length: 300 }, (_, i) => ({ n: i + 1 })));
    const got: number[] = [];
    const failing = (async () => {
      for await (const { n } of talk.count({ to: 5, failAt: 3 })) got.push(n);
    })();
    await expect(failing).rejects.toMatchObject({ code: "CONFLICT", detail: "at 3" });
    expect(got).toEqual([1, 2]);
  });

  it("carries client streams with their metadata", async () => {
    const { talk } = await alone();
    expect(await talk.sum(from({ n: 1 }, { n: 2 }, { n: 3 }), { metadata })).toEqual({ total: 6, tenant: "acme" });
  });

  it("carries bidi streams in turns, with their metadata, to the end of both sides", async () => {
    const { talk } = await alone();
    const chat = talk.chat(undefined, { metadata, stream: "bidi" });
    const replies = chat[Symbol.asyncIterator]();
    expect((await replies.next()).value).toEqual({ text: "acme" });
    for (const text of ["a", "b"]) {
      await chat.send({ text });
      expect((await replies.next()).value).toEqual({ text: `re: ${text}` });
    }
    chat.end();
    expect((await replies.next()).value).toEqual({ text: "bye" });
    expect(await replies.next()).toMatchObject({ done: true });
  });

  it.skipIf(name === "http")("carries protobuf in all four kinds", async () => {
    const greeter = (await alone()).client.service("talk", Greeter);
    expect((await greeter.hello({ name: "Ada" })).msg).toBe("Hello Ada");
    expect((await all(greeter.stream({ count: 3n }))).map(({ n }) => n)).toEqual([0n, 1n, 2n]);
    expect((await greeter.collect(from({ text: "a" }, { text: "b" }))).count).toBe(2n);
    const chat = greeter.chat();
    await chat.send({ text: "a" });
    chat.end();
    expect((await all(chat)).map(({ text }) => text)).toEqual(["re: a"]);
  });
});

describe("grpc", () => {
  it.each(["header", "trailer"])(
    "ends a call with an error whose handler adds too much as %s, and runs it once",
    async (part) => {
      const { talk, seen } = await world({ protocols: ["grpc"] });
      expect(await talk.add({ part, size: 10_000 })).toEqual({ ok: true });
      await expect(talk.add({ part, size: 100_000 })).rejects.toMatchObject({
        code: "RESOURCE_EXHAUSTED",
        attempts: 1,
      });
      expect(seen.begun).toEqual(["Talk.Add", "Talk.Add"]);
      expect(await talk.hello({ name: "after" })).toEqual({ msg: "Hello after" });
    },
  );
});

describe("http", () => {
  it("carries protobuf in unary calls; its streams are JSON, which it says", async () => {
    const { client } = await world({ protocols: ["http"] });
    const greeter = client.service("talk", Greeter);
    expect((await greeter.hello({ name: "Ada" })).msg).toBe("Hello Ada");
    await expect(all(greeter.stream({ count: 3n }))).rejects.toMatchObject({ code: "UNSUPPORTED" });
  });
});

describe("protocols that are routes alone", () => {
  const greeting = { method: "POST", headers: { "content-type": "application/json" }, body: '{"name":"Ada"}' };

  /** What the port answers to a Connect call, over HTTP/1.1 and HTTP/2. */
  async function answers(address: string): Promise<unknown[]> {
    const overHttp2 = (path: string, type: string): Promise<unknown> =>
      new Promise((resolve, reject) => {
        const session = connect(`http://${address}`).on("error", reject);
        const request = session.request({ ":method": "POST", ":path": path, "content-type": type });
        let text = "";
        let status: unknown;
        request.on("response", (headers) => (status = headers[":status"])).on("error", reject);
        request.on("data", (chunk) => (text += String(chunk)));
        request.on("end", () => (session.close(), resolve([status, text.trim()])));
        request.end(greeting.body);
      });
    const reply = await fetch(`http://${address}/Talk/Hello`, greeting);
    return [[reply.status, (await reply.text()).trim()], await overHttp2("/Talk/Hello", "application/json")];
  }
  const both = [200, '{"msg":"Hello Ada"}'];

  it.each<[string, string[]]>([
    ["connect", ["connect"]],
    ["connect, http", ["connect", "http"]],
    ["http, connect", ["http", "connect"]],
    ["grpc-web, http, connect", ["grpc-web", "http", "connect"]],
    ["connect, grpc", ["connect", "grpc"]],
    ["connect, fast", ["connect", "fast"]],
    ["mucp, connect", ["mucp", "connect"]],
  ])("have a port, with HTTP/1.1 and HTTP/2: %s", async (_, protocols) => {
    const { service } = await world({ protocols }, {});
    expect(await answers(service.server.address)).toEqual([both, both]);
  });

  it("bring no other protocol: alone they cannot be called by clients of ours, which say so", async () => {
    const { service, talk, registry } = await world({ env: { MICRO_SERVER: "connect" } }, {});
    const [record] = await registry.getService("talk");
    expect(record?.nodes[0]).toMatchObject({ address: service.server.address, metadata: { protocol: "connect" } });
    await expect(talk.hello({ name: "Ada" })).rejects.toMatchObject({
      code: "UNAVAILABLE",
      detail: expect.stringContaining("connect can be served, not called by"),
    });
    for (const name of ["grpc", "fast", "http", "mucp"]) {
      const other = createClient({ ...quiet, registry, protocols: [name] });
      closing.push(() => other.close());
      const { address } = service.server;
      await expect(other.call("talk", "Talk.Hello", {}, { address, timeout: 5000 })).rejects.toBeInstanceOf(Error);
    }
    expect((await fetch(`http://${service.server.address}/health`)).status).toBe(404);
  });

  it("leave what nodes are called by to those that can be called", async () => {
    const { talk, registry } = await world({ protocols: ["connect", "http"] }, {});
    const [record] = await registry.getService("talk");
    expect(record?.nodes[0]?.metadata).toMatchObject({ protocol: "http" });
    expect(await talk.hello({ name: "Ada" })).toEqual({ msg: "Hello Ada" });
  });

  it("are offered by TLS as what carries them is", async () => {
    const tls = { cert: readFileSync(`${certificates}server.pem`), key: readFileSync(`${certificates}server-key.pem`) };
    const { service } = await world({ protocols: ["connect"], tls }, {});
    const [host, port] = service.server.address.split(":") as [string, string];
    for (const name of ["h2", "http/1.1"]) {
      const socket = tlsConnect({ host, port: Number(port), ALPNProtocols: [name], rejectUnauthorized: false });
      await once(socket, "secureConnect");
      expect(socket.alpnProtocol).toBe(name);
      socket.destroy();
    }
  });
});

it("a service of which nothing listens does not start, and is not registered", async () => {
  const nothing = async (): Promise<void> => {};
  const deaf: Protocol = {
    name: "deaf",
    metadata: { protocol: "deaf", transport: "none" },
    start: nothing,
    dial: () => expect.fail("nobody calls"),
    close: nothing,
    [Symbol.asyncDispose]: nothing,
  };
  const registry = memoryRegistry();
  const service = talkService(new Seen(), { registry, protocols: [deaf] });
  closing.push(() => service.stop());
  const detail = "protocols: deaf: nothing of it listens";
  await expect(service.start()).rejects.toMatchObject({ code: "BAD_REQUEST", detail });
  expect(await registry.getService("talk")).toEqual([]);
});

describe("the words of the environment", () => {
  /** The protocols that the node says it speaks, and what a client that takes `calling` gets of it. */
  async function spoken(serving: Record<string, string>, calling = serving) {
    const { talk, registry } = await world({ env: serving }, { env: calling });
    const [record] = await registry.getService("talk");
    const { protocol, server, "ts-wire": wire } = record?.nodes[0]?.metadata ?? {};
    return { protocol, server, wire, reply: await talk.hello({ name: "Ada" }) };
  }
  const reply = { msg: "Hello Ada" };

  it("choose one protocol for both sides, Go's `rpc` being mucp", async () => {
    for (const [word, protocol] of [
      ["mucp", "mucp"],
      ["rpc", "mucp"],
      ["grpc", "grpc"],
      ["http", "http"],
    ] as const) {
      const got = await spoken({ MICRO_PROTOCOL: word });
      expect(got).toMatchObject({ protocol, reply });
      expect(got.wire).toBe("0");
    }
    expect(await spoken({ MICRO_PROTOCOL: "fast" })).toMatchObject({ wire: "1", reply });
  });

  it("choose for each side by itself, as Go's do, over MICRO_PROTOCOL", async () => {
    const grpc = { MICRO_SERVER: "grpc", MICRO_CLIENT: "grpc" };
    expect(await spoken(grpc)).toMatchObject({ protocol: "grpc", server: "grpc", reply });
    expect(await spoken({ ...grpc, MICRO_PROTOCOL: "mucp" })).toMatchObject({ protocol: "grpc", reply });
    expect(await spoken({ MICRO_SERVER: "grpc" }, {})).toMatchObject({ protocol: "grpc", reply });
    // What is served is what the node says; a client of another one has no node left.
    const { talk } = await world({ env: { MICRO_SERVER: "grpc" } }, { env: { MICRO_CLIENT: "mucp" } });
    await expect(talk.hello({ name: "Ada" })).rejects.toMatchObject({
      code: "UNAVAILABLE",
      detail: "service talk: none of its nodes speaks mucp, by which this client calls; they speak grpc",
    });
  });

  it("leave a node that names its protocol itself to that one", async () => {
    const { talk, registry } = await world({ metadata: { protocol: "grpc" } });
    expect((await registry.getService("talk"))[0]?.nodes[0]?.metadata).not.toHaveProperty("ts-protocols");
    expect(await talk.metadata({})).toHaveProperty(":authority");
  });

  it.each(["fast", "mucp", "rpc", "grpc", "http", "grpc,mucp"])(
    "%s finds services that speak everything",
    async (word) => {
      const { talk } = await world({}, { env: { MICRO_CLIENT: word } });
      expect(await talk.hello({ name: "Ada" })).toEqual(reply);
      const heard = await talk.metadata({});
      const wire =
        "Micro-Stream" in heard ? "mucp" : ":authority" in heard ? "grpc" : "Content-Type" in heard ? "http" : "fast";
      expect(wire).toBe(word === "rpc" ? "mucp" : word.split(",")[0]);
    },
  );

  it("says what is spoken when nothing is left but by filters", async () => {
    const { client } = await world({});
    await expect(client.call("talk", "Talk.Hello", {}, { filters: [() => []] })).rejects.toMatchObject({
      code: "UNAVAILABLE",
      detail: "service talk: no node is left after filters",
    });
  });

  it("`auto` overrides what code says, on either side, as every other word does", async () => {
    const narrow = { protocols: ["mucp"] };
    const served = async (env: Record<string, string>): Promise<string | undefined> => {
      const { registry } = await world({ ...narrow, env }, {});
      return (await registry.getService("talk"))[0]?.nodes[0]?.metadata["ts-protocols"];
    };
    const every = "fast,mucp,grpc,connect,grpc-web,http";
    expect(await served({})).toBeUndefined();
    expect(await served({ MICRO_PROTOCOL: "auto" })).toBe(every);
    expect(await served({ MICRO_SERVER: "auto", MICRO_PROTOCOL: "grpc" })).toBe(every);
    const { talk } = await world({}, { ...narrow, env: { MICRO_CLIENT: "auto" } });
    expect(await talk.metadata({})).not.toHaveProperty("Micro-Stream");
  });

  it.each<[string[], string]>([
    [["auto"], "fast,mucp,grpc,connect,grpc-web,http"],
    [["rpc", "fast"], "mucp,fast"],
    [["fast, mucp"], "fast,mucp"],
    [["fast", "fast", "mucp"], "fast,mucp"],
    [["grpc", "auto"], "grpc,fast,mucp,connect,grpc-web,http"],
    [["auto", "http"], "fast,mucp,grpc,connect,grpc-web,http"],
  ])("are those of the option too: %j", async (protocols, spoken) => {
    const { talk, registry } = await world({ protocols });
    expect((await registry.getService("talk"))[0]?.nodes[0]?.metadata["ts-protocols"]).toBe(spoken);
    expect(await talk.hello({ name: "Ada" })).toEqual(reply);
  });

  it("may be several with commas, and `auto` is all of them", async () => {
    const both = await spoken({ MICRO_PROTOCOL: "fast, mucp" });
    expect(both).toMatchObject({ protocol: "mucp", wire: "1", reply });
    expect(await spoken({ MICRO_PROTOCOL: "auto" })).toEqual(await spoken({}));
    expect(await spoken({ MICRO_SERVER: "fast,mucp", MICRO_CLIENT: "rpc" })).toMatchObject({ wire: "1", reply });
  });

  it.each(["MICRO_PROTOCOL", "MICRO_SERVER", "MICRO_CLIENT"])(
    "in %s that are not known are an error with the names",
    async (variable) => {
      const text = 'protocol "quic" is not known; there are: auto, fast, mucp, grpc, connect, grpc-web, http';
      const make = async (): Promise<unknown> => world({ env: { [variable]: "fast,quic" } });
      await expect(make()).rejects.toMatchObject({ code: "UNSUPPORTED", detail: text });
    },
  );

  it("of the option are checked too", async () => {
    const detail = expect.stringContaining("there are: auto, fast, mucp, grpc");
    await expect(world({ protocols: ["quic"] })).rejects.toMatchObject({ code: "UNSUPPORTED", detail });
    await expect(world({ protocols: [] })).rejects.toMatchObject({ code: "BAD_REQUEST" });
  });
});
