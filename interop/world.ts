/**
 * Our side of the interop matrix: whole services and clients through the front door, and what is seen on the wire between them and Go.
 *
 * ```ts
 * await using ours = await greeter();                     // createService: Greeter.*, Plain.*, Raw.*, Bare.*
 * await peer.nodes("greeter", ours.records);              // a Go client finds it
 * await using client = await clientOf([peer.service]);    // createClient that knows the Go server
 * await using wire = await tap(peer.address);             // a proxy that keeps the bytes, and may change them
 * ```
 */
import { channel } from "node:diagnostics_channel";
import type { Socket } from "node:net";
import {
  createClient,
  createService,
  errors,
  MicroError,
  type Client,
  type ClientOptions,
  type Context,
  type ProtoImpl,
  type Registry,
  type Service,
  type ServiceOptions,
  type ServiceRecord,
} from "../packages/ts-micro/src/index.ts";
import { memoryLogger, type MemoryLogger } from "../packages/ts-micro/src/logger/memory.ts";
import { memoryRegistry } from "../packages/ts-micro/src/registry/memory.ts";
import { faultProxy, type FaultProxy, type Link } from "../packages/ts-micro/test/fault-proxy.ts";
import type { GoService } from "./peer-types.ts";
import { type ChatMessage, Greeter, type StreamRequest } from "./proto/gen/greeter_pb.ts";

/** True: rows that take minutes run in full as well. */
export const long: boolean = process.env["TS_MICRO_LONG"] === "1";

/** Limit of a row that starts processes or moves much: liveness on a busy machine, not speed. */
export const LIMIT_MS = 180_000;

/** A request that reached a handler of ours. */
export interface Seen {
  readonly endpoint: string;
  readonly ctx: Context;
  readonly request: unknown;
}

/** How a stream of ours ended for its handler. */
export interface Ended {
  readonly endpoint: string;
  readonly received: number;
  readonly error: unknown;
}

/** A service of ours that is running, and what its handlers saw. */
export class OurGreeter implements AsyncDisposable {
  readonly registry: Registry;
  readonly logger: MemoryLogger = memoryLogger({ level: "warn" });
  readonly seen: Seen[] = [];
  readonly ended: Ended[] = [];
  /** Why each abandoned Slow was cancelled. */
  readonly cancelled: unknown[] = [];
  readonly service: Service;
  #records: GoService[] = [];
  #open: () => void = () => {};
  /** Slow with the tag `hold`, and Big with `want` below zero, wait for `open`. */
  #gate: Promise<void> = new Promise((resolve) => (this.#open = resolve));

  constructor(options: Partial<ServiceOptions>, extend: (service: Service) => unknown) {
    this.registry = (options.registry as Registry | undefined) ?? memoryRegistry();
    this.service = createService({
      name: "greeter",
      address: "127.0.0.1:0",
      registry: this.registry,
      broker: "memory",
      logger: this.logger,
      env: false,
      settle: 0,
      ...options,
    });
    this.service.implement(Greeter, this.#greeter());
    this.service.handle("Plain", this.#plain()).handle("Raw", this.#raw());
    this.service.handle("Bare", { nothing: () => undefined });
    extend(this.service);
  }

  async start(): Promise<void> {
    await this.service.start();
    this.#records = await goRecords(this.registry, this.service.name);
  }

  /** Lets go of the handlers that wait. */
  open(): void {
    this.#open();
  }

  get address(): string {
    return this.service.server.address;
  }

  /** As it registered itself, for `peer.nodes()`. */
  get records(): GoService[] {
    return this.#records;
  }

  count(endpoint: string): number {
    return this.seen.filter((each) => each.endpoint === endpoint).length;
  }

  last(endpoint: string): Seen {
    const found = this.seen.findLast((each) => each.endpoint === endpoint);
    if (found === undefined) throw new Error(`${endpoint} was not called`);
    return found;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.open();
    await this.service.stop();
    await this.registry.close();
  }

  #note(endpoint: string, ctx: Context, request: unknown): void {
    this.seen.push({ endpoint, ctx, request });
  }

  #greeter(): ProtoImpl<typeof Greeter> {
    const note = this.#note.bind(this);
    return {
      hello(request, ctx) {
        note("Greeter.Hello", ctx, request);
        return { msg: `Hello ${request.name}` };
      },
      echo(request, ctx) {
        note("Greeter.Echo", ctx, request);
        return { note: request.note, metadata: Object.fromEntries(ctx.metadata) };
      },
      fail(request, ctx) {
        note("Greeter.Fail", ctx, request);
        throw failure(request.kind, request.detail, request.code);
      },
      slow: async (request, ctx) => {
        note("Greeter.Slow", ctx, request);
        if (request.tag === "hold") await this.#gate;
        else await this.#sleep(Number(request.ms), ctx);
        return { attempt: BigInt(this.count("Greeter.Slow")), deadline: "" };
      },
      big: async (request, ctx) => {
        note("Greeter.Big", ctx, undefined);
        if (request.want < 0n) await this.#gate;
        const size = Number(request.want < 0n ? -request.want : request.want);
        return { want: request.want, data: size > 0 ? Buffer.alloc(size, "x") : request.data };
      },
      kinds(request, ctx) {
        note("Greeter.Kinds", ctx, request);
        return request;
      },
      nothing(request, ctx) {
        note("Greeter.Nothing", ctx, request);
        return {};
      },
      stream: (request, ctx) => this.#count(request, ctx),
      chat: (requests, ctx) => this.#chat(requests, ctx),
      collect: async (requests, ctx) => {
        note("Greeter.Collect", ctx, undefined);
        let count = 0n;
        let last = "";
        for await (const { text } of this.#watched("Greeter.Collect", requests)) {
          count++;
          last = text;
          if (text === "end") break;
        }
        return { count, last };
      },
    };
  }

  async *#count(request: StreamRequest, ctx: Context): AsyncGenerator<{ n: bigint; pad: string }> {
    this.#note("Greeter.Stream", ctx, request);
    for (let n = 0n; n < request.count; n++) {
      if (n > 0n && request.delayMs > 0n) await this.#sleep(Number(request.delayMs), ctx);
      yield { n, pad: "x".repeat(Number(request.size)) };
    }
    if (request.failWith !== "") throw failure(request.failWith, "stream failed", 0);
  }

  async *#chat(requests: AsyncIterable<ChatMessage>, ctx: Context): AsyncGenerator<{ text: string; n: bigint }> {
    this.#note("Greeter.Chat", ctx, undefined);
    for await (const { text, n } of this.#watched("Greeter.Chat", requests)) {
      if (text === "quit") return;
      if (text.startsWith("fail:")) throw failure(text.slice(5), "chat failed", 0);
      yield { text: `re: ${text}`, n };
    }
  }

  /** The same messages; how they ended is noted. */
  async *#watched<T>(endpoint: string, requests: AsyncIterable<T>): AsyncGenerator<T> {
    let received = 0;
    let error: unknown;
    try {
      for await (const request of requests) {
        received++;
        yield request;
      }
    } catch (failure) {
      error = failure;
      throw failure;
    } finally {
      this.ended.push({ endpoint, received, error });
    }
  }

  #plain(): Record<"hello" | "echo", (request: { name?: string }, ctx: Context) => object> {
    const note = this.#note.bind(this);
    return {
      hello(request, ctx) {
        note("Plain.Hello", ctx, request);
        return { msg: `Hello ${request.name ?? ""}` };
      },
      echo(request, ctx) {
        note("Plain.Echo", ctx, request);
        return { ...request, msg: request.name };
      },
    };
  }

  #raw(): Record<"echo" | "fail", (request: Uint8Array, ctx: Context) => Uint8Array> {
    const note = this.#note.bind(this);
    return {
      echo(request, ctx) {
        note("Raw.Echo", ctx, undefined);
        return request;
      },
      fail(_, ctx) {
        note("Raw.Fail", ctx, undefined);
        throw errors.badRequest("raw", "raw failed");
      },
    };
  }

  /** Ends early when the caller has gone, and says so. */
  #sleep(ms: number, { signal }: Context): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(done, ms);
      const { cancelled } = this;
      function stop(): void {
        clearTimeout(timer);
        cancelled.push(signal.reason);
        reject(signal.reason as Error);
      }
      function done(): void {
        signal.removeEventListener("abort", stop);
        resolve();
      }
      if (signal.aborted) stop();
      else signal.addEventListener("abort", stop, { once: true });
    });
  }
}

/** Starts a service of ours. `extend` adds to it before its start. */
export async function greeter(
  options: Partial<ServiceOptions> = {},
  extend: (service: Service) => unknown = () => {},
): Promise<OurGreeter> {
  const world = new OurGreeter(options, extend);
  await world.start();
  return world;
}

/** The error of a kind, as the Go peers make them. */
export function failure(kind: string, detail: string, code: number): Error {
  switch (kind) {
    case "badrequest":
      return errors.badRequest("greeter", detail);
    case "unauthorized":
      return errors.unauthorized("greeter", detail);
    case "forbidden":
      return errors.forbidden("greeter", detail);
    case "notfound":
      return errors.notFound("greeter", detail);
    case "method":
      return errors.methodNotAllowed("greeter", detail);
    case "timeout":
      return errors.timeout("greeter", detail);
    case "conflict":
      return errors.conflict("greeter", detail);
    case "internal":
      return errors.internal("greeter", detail);
    case "custom":
      return new MicroError({ id: "greeter.custom", detail, status: code });
    default:
      return new Error(detail);
  }
}

/** What is registered under a name, as Go writes it. */
export async function goRecords(registry: Registry, name: string): Promise<GoService[]> {
  return (await registry.getService(name)) as unknown as GoService[];
}

/** A Go record as ours. */
export function ourRecord(record: GoService | undefined): ServiceRecord {
  if (record === undefined) throw new Error("the Go server registered nothing");
  return {
    name: record.name,
    version: record.version,
    metadata: { ...record.metadata },
    endpoints: (record.endpoints ?? []).map(({ name, metadata }) => ({ name, metadata: { ...metadata } })),
    nodes: record.nodes.map(({ id, address, metadata }) => ({ id, address, metadata: { ...metadata } })),
  };
}

/** A client of ours that knows these services. `through`: it takes this address for the first node of each. */
export function clientOf(
  services: readonly (GoService | undefined)[],
  options: ClientOptions & { readonly through?: string } = {},
): Client {
  const { through, ...rest } = options;
  const known = services.map(ourRecord);
  if (through !== undefined)
    for (const { nodes } of known) for (const node of nodes.slice(0, 1)) node.address = through;
  return createClient({ registry: memoryRegistry({ services: known }), env: false, logLevel: "fatal", ...rest });
}

/** Bytes of one connection through a {@link tap}. */
export interface Tapped {
  readonly link: Link;
  /** Client → server, latin1. */
  sent(): string;
  /** Server → client, latin1. */
  answered(): string;
}

export interface TapOptions {
  /** Changes what the client sends; it must keep the length. */
  readonly rewrite?: (text: string) => string;
  /** Changes what the server answers; it must keep the length. */
  readonly rewriteReply?: (text: string) => string;
}

/** A proxy in front of `address` that keeps what passes. */
export class Tap implements AsyncDisposable {
  readonly connections: Tapped[] = [];
  readonly proxy: FaultProxy;

  constructor(proxy: FaultProxy, { rewrite, rewriteReply }: TapOptions) {
    this.proxy = proxy;
    proxy.onLink = (link) => {
      const lanes: Record<"up" | "down", Buffer[]> = { up: [], down: [] };
      const text = (chunks: Buffer[]): string => Buffer.concat(chunks).toString("latin1");
      this.connections.push({ link, sent: () => text(lanes.up), answered: () => text(lanes.down) });
      for (const [lane, change] of [
        ["up", rewrite],
        ["down", rewriteReply],
      ] as const) {
        link[lane].hook = (chunk) => {
          lanes[lane].push(chunk);
          if (change === undefined) return chunk;
          const changed = Buffer.from(change(chunk.toString("latin1")), "latin1");
          if (changed.length !== chunk.length) throw new Error("the rewrite changed the length");
          return changed;
        };
      }
    };
  }

  get address(): string {
    return this.proxy.address;
  }

  sent(): string {
    return this.connections.map((each) => each.sent()).join("");
  }

  answered(): string {
    return this.connections.map((each) => each.answered()).join("");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.proxy.close();
  }
}

export async function tap(address: string, options: TapOptions = {}): Promise<Tap> {
  return new Tap(await faultProxy(address), options);
}

/** HTTP/1.1 messages in what was tapped: start line, headers (lower-case names), body. */
export interface HttpMessage {
  readonly start: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** Takes apart what one side of one connection has written. What is incomplete at the end is an error. */
export function messages(text: string): HttpMessage[] {
  const out: HttpMessage[] = [];
  while (text.length > 0) {
    const end = text.indexOf("\r\n\r\n");
    if (end < 0) throw new Error(`an incomplete head: ${text.slice(0, 80)}`);
    const [start = "", ...lines] = text.slice(0, end).split("\r\n");
    const headers = Object.fromEntries(
      lines.map((line) => [line.slice(0, line.indexOf(":")).toLowerCase(), line.slice(line.indexOf(":") + 1).trim()]),
    );
    text = text.slice(end + 4);
    if (headers["transfer-encoding"] === "chunked") {
      if (!text.startsWith("0\r\n\r\n")) throw new Error(`a chunked body that is not empty: ${text.slice(0, 80)}`);
      text = text.slice(5);
      out.push({ start, headers, body: "" });
      continue;
    }
    const length = Number(headers["content-length"] ?? 0);
    if (text.length < length) throw new Error(`a body of ${text.length} bytes instead of ${length}`);
    out.push({ start, headers, body: text.slice(0, length) });
    text = text.slice(length);
  }
  return out;
}

/** System calls by which a socket of this process sent something. */
export interface Writes {
  /** Their number, for each socket that matched. */
  readonly counts: number[];
  readonly total: number;
  stop(): void;
}

interface Handle {
  [method: string]: unknown;
}

/**
 * Counts the writes of sockets of this process as they reach the system: those of servers listening on `port`, or of clients dialled
 * to it. Several messages may share one; one message in several is what it finds.
 */
export function countWrites(side: "server" | "client", port: number): Writes {
  const counts: number[] = [];
  const watch = (socket: Socket): void => {
    if ((side === "server" ? socket.localPort : socket.remotePort) !== port) return;
    const handle = (socket as unknown as { _handle: Handle | null })._handle;
    if (handle === null) return;
    const at = counts.push(0) - 1;
    const names = ["writeBuffer", "writev", "writeUtf8String", "writeLatin1String", "writeAsciiString"];
    for (const name of names) {
      const original = handle[name] as (...args: unknown[]) => unknown;
      if (typeof original !== "function") throw new Error(`no ${name}: this Node writes in another way`);
      handle[name] = (...args: unknown[]) => {
        counts[at] = (counts[at] ?? 0) + 1;
        return original.apply(handle, args);
      };
    }
  };
  const opened = channel(`net.${side}.socket`);
  const listener = (message: unknown): void => {
    const { socket } = message as { socket: Socket };
    if (side === "server") watch(socket);
    else socket.prependOnceListener("connect", () => watch(socket));
  };
  opened.subscribe(listener);
  return {
    counts,
    get total() {
      return counts.reduce((sum, count) => sum + count, 0);
    },
    stop: () => opened.unsubscribe(listener),
  };
}

/** The port of `host:port`. */
export function portOf(address: string): number {
  return Number(address.slice(address.lastIndexOf(":") + 1));
}
