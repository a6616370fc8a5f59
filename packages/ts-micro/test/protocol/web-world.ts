import { Greeter } from "../../../../interop/proto/gen/greeter_pb.ts";
import { memoryBroker } from "../../src/broker/memory.ts";
import { systemClock } from "../../src/clock.ts";
import { jsonCodec } from "../../src/codec/json.ts";
import { protobufCodec } from "../../src/codec/protobuf.ts";
import type { Context } from "../../src/context.ts";
import { endpoint } from "../../src/endpoint.ts";
import { errors, MicroError } from "../../src/errors.ts";
import { memoryLogger } from "../../src/logger/memory.ts";
import type { Protocol } from "../../src/protocol.ts";
import { connectProtocol } from "../../src/protocol/connect.ts";
import { grpc } from "../../src/protocol/grpc.ts";
import { grpcWebProtocol } from "../../src/protocol/grpc-web.ts";
import { http } from "../../src/protocol/http.ts";
import { memoryRegistry } from "../../src/registry/memory.ts";
import type { HttpRoute } from "../../src/server.ts";
import { ServerEngine } from "../../src/server/engine.ts";
import { endpointsOf, endpointsOfDescriptor } from "../../src/server/reflect.ts";
import type { CorsOptions } from "../../src/wire/http/browser.ts";

/** A service on one port, with all that takes plain HTTP/1.1 and HTTP/2. */
export interface WebWorld extends AsyncDisposable {
  readonly url: string;
  readonly engine: ServerEngine;
  /** Method and path of each request. */
  readonly requests: string[];
  /** Endpoints whose handlers were cancelled, with the code of the reason. */
  readonly cancelled: string[];
  /** Resolves when a handler of `endpoint` is under way. */
  running(endpoint: string): Promise<void>;
}

export async function webWorld(
  options: { cors?: CorsOptions; maxMessageSize?: number; maxInFlight?: number } = {},
): Promise<WebWorld> {
  const cancelled: string[] = [];
  const requests: string[] = [];
  const waiting = new Map<string, () => void>();
  /** Waits until the call is given up. */
  const forever = (ctx: Context): Promise<never> =>
    new Promise((_, reject) => {
      ctx.signal.addEventListener("abort", () => {
        cancelled.push(`${ctx.endpoint} ${(ctx.signal.reason as MicroError).code}`);
        reject(ctx.signal.reason as Error);
      });
      waiting.get(ctx.endpoint)?.();
    });
  const heard: HttpRoute = {
    name: "heard",
    match: (method, path) => requests.push(`${method} ${path}`) === 0,
    handle: () => Promise.reject(new Error("it matches nothing")),
  };
  const { cors } = options;
  const protocols: [Protocol, ...Protocol[]] = [
    grpc(),
    connectProtocol(options),
    grpcWebProtocol(options),
    http({ cors }),
  ];
  const engine = new ServerEngine({
    name: "greeter",
    version: "latest",
    id: "1",
    address: "127.0.0.1:0",
    advertise: undefined,
    metadata: {},
    registry: memoryRegistry(),
    broker: memoryBroker(),
    protocols,
    advertised: protocols[0],
    fallback: undefined,
    codecs: [jsonCodec(), protobufCodec()],
    routes: [heard],
    interceptors: [],
    subscriberInterceptors: [],
    logger: memoryLogger(),
    clock: systemClock,
    tls: undefined,
    registerTtl: 90_000,
    registerInterval: 0,
    registerCheck: undefined,
    settle: 0,
    drain: 1000,
    maxInFlight: options.maxInFlight ?? 100,
  });
  const handlers = endpointsOfDescriptor(Greeter, {
    hello: ({ name }: { name: string }) => ({ msg: `Hello ${name}` }),
    echo({ note }: { note: string }, ctx: Context) {
      ctx.responseHeader.set("X-Seen", "yes");
      ctx.responseTrailer.set("X-Cost", "3");
      if (note === "vary") ctx.responseHeader.set("Vary", "x-user");
      if (note.startsWith("trailer "))
        ctx.responseTrailer.set("X-Note", note).set("No Token", "x").set("Grpc-Status", "9");
      return { note, metadata: ctx.metadata.toObject() };
    },
    fail({ kind, detail, code }: { kind: string; detail: string; code: number }, ctx: Context) {
      ctx.responseTrailer.set("X-Cost", "4");
      if (kind === "custom") throw new MicroError({ id: "greeter", detail, status: code });
      throw kind === "notfound" ? errors.notFound("greeter", detail) : new Error(detail);
    },
    slow: (_: unknown, ctx: Context) => forever(ctx),
    big: ({ want, data }: { want: bigint; data: Uint8Array }) => ({
      data: new Uint8Array(Number(want)).fill(97),
      want: BigInt(data.length),
    }),
    kinds: (all: object) => all,
    nothing: () => ({}),
    async *stream({ count, failWith, size }: { count: bigint; failWith: string; size: bigint }, ctx: Context) {
      ctx.responseHeader.set("X-Seen", "yes");
      ctx.responseTrailer.set("X-Cost", "5");
      for (let n = 0n; n < count; n++) yield { n, pad: "x".repeat(Number(size)) };
      if (failWith === "forever") await forever(ctx);
      else if (failWith !== "") throw errors.conflict("greeter", failWith);
    },
    async *chat(messages: AsyncIterable<{ text: string; n: bigint }>) {
      for await (const { text, n } of messages) yield { text: `re: ${text}`, n };
    },
    async collect(messages: AsyncIterable<{ text: string }>) {
      let count = 0n;
      let last = "";
      for await (const { text } of messages) {
        count++;
        last = text;
      }
      return { count, last };
    },
  });
  for (const { name, definition } of handlers) definition.noSideEffects = name === "Greeter.Echo";
  const plain = {
    hello: ({ name }: { name?: string }) => ({ msg: `Hello ${name ?? "nobody"}` }),
    count: endpoint({ stream: "server" }, async function* (request: unknown) {
      for (let n = 1; n <= (request as { to: number }).to; n++) yield { n };
    }),
  };
  engine.handle([...handlers, ...endpointsOf("Plain", plain)]);
  await engine.start();
  return {
    url: `http://${engine.address}`,
    engine,
    cancelled,
    requests,
    running: (endpoint) => new Promise((resolve) => waiting.set(endpoint, resolve)),
    [Symbol.asyncDispose]: () => engine.stop(),
  };
}
