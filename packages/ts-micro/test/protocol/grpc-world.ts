/** A whole service of ours for strangers to call. */
import { Greeter } from "../../../../interop/proto/gen/greeter_pb.ts";
import {
  createClient,
  createService,
  errors,
  type Client,
  type Context,
  type Service,
  type ServiceOptions,
} from "../../src/index.ts";
import { memoryRegistry } from "../../src/registry/memory.ts";

/** What a handler of ours adds to its reply. */
function reply(ctx: Context): void {
  ctx.responseHeader.set("X-Seen", "zoe").set("Grpc-Status", "9").set("Content-Type", "no").set("no token", "x");
  ctx.responseHeader.set("HTTP2-Settings", "x").set("Connection", "close").set("Transfer-Encoding", "chunked");
  ctx.responseTrailer.set("X-Cost", "3").set("key-bin", "AP8=");
}

export interface Ours extends AsyncDisposable {
  readonly service: Service;
  readonly address: string;
  readonly seen: Context[];
  /** Why abandoned handlers were cancelled. */
  readonly cancelled: unknown[];
}

export async function greeter(options: Partial<ServiceOptions> = {}): Promise<Ours> {
  const seen: Context[] = [];
  const cancelled: unknown[] = [];
  const service: Service = createService({
    ...{ name: "greeter", address: "127.0.0.1:0", registry: memoryRegistry(), broker: "memory", env: false, settle: 0 },
    logLevel: "fatal",
    ...options,
  });
  const forever = (ctx: Context): Promise<never> =>
    new Promise((_, reject) => {
      const stop = (): void => {
        cancelled.push(ctx.signal.reason);
        reject(ctx.signal.reason as Error);
      };
      if (ctx.signal.aborted) stop();
      else ctx.signal.addEventListener("abort", stop, { once: true });
    });
  service.implement(Greeter, {
    hello: ({ name }, ctx) => (seen.push(ctx), { msg: `Hello ${name}` }),
    echo({ note }, ctx) {
      reply(ctx);
      return { note, metadata: Object.fromEntries(ctx.metadata) };
    },
    fail({ kind, detail }, ctx) {
      reply(ctx);
      throw kind === "conflict" ? errors.conflict("greeter", detail) : new Error(detail);
    },
    slow: (_, ctx) => (seen.push(ctx), forever(ctx)),
    big: ({ want, data }) => ({ want, data: want > 0n ? new Uint8Array(Number(want)) : data }),
    kinds: (request) => request,
    nothing: () => ({}),
    async *stream({ count, size }, ctx) {
      reply(ctx);
      const pad = "x".repeat(Number(size));
      for (let n = 0n; n < count; n++) yield { n, pad };
    },
    async *chat(messages) {
      for await (const { text, n } of messages) yield { text: `re: ${text}`, n };
    },
    async collect(messages) {
      let count = 0n;
      let last = "";
      for await (const { text } of messages) {
        count++;
        last = text;
      }
      return { count, last };
    },
  });
  service.handle("Plain", { hello: ({ name }: { name: string }) => ({ msg: `Hello ${name}` }) });
  await service.start();
  const { address } = service.server;
  return { service, address, seen, cancelled, [Symbol.asyncDispose]: () => service.stop() };
}

/** A client of ours that knows one gRPC node. */
export function clientOf(
  address: string,
  options: Parameters<typeof createClient>[0] & { name?: string } = {},
): Client {
  const { name = "greeter", ...rest } = options;
  const node = { id: `${name}-1`, address, metadata: { protocol: "grpc" } };
  const services = [{ name, version: "1", metadata: {}, endpoints: [], nodes: [node] }];
  return createClient({ registry: memoryRegistry({ services }), env: false, logLevel: "fatal", ...rest });
}
