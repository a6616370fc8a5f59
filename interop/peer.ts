/**
 * Real Go Micro processes for the interop tests: v4.11.0 and v5.30.0, built from `interop/go` on first use.
 *
 * ```ts
 * describeGo("...", () => {                                     // skipped loudly without Go; TS_MICRO_REQUIRE_GO=1: fails
 *   const peer = await goPeer({ version: "v4", serve: true, name: "greeter" });
 *   peer.address; peer.service;                                 // what the Go server registered, as Go JSON
 *   await peer.nodes("greeter", [record("greeter", "127.0.0.1:4711")]);   // static registry: where others are
 *   const { body, error } = await peer.call({ service: "greeter", endpoint: "Greeter.Hello", body: { name: "John" } });
 *   const stream = await peer.stream({ service: "greeter", endpoint: "Greeter.Stream", body: { count: 3 } });
 *   const { messages, end } = await stream.recvAll();
 *   const { call } = await peer.event("invoked");               // each event is given once
 *   await peer.close();                                         // always: afterEach, finally, await using
 * ```
 *
 * One process is one client, one broker and (with `serve`) one server.
 *
 * **Server.** `Greeter.*` of `interop/proto/greeter.proto`: Hello ("Hello " + name) · Echo (all metadata the handler sees) ·
 * Fail (kind: badrequest unauthorized forbidden notfound method timeout conflict internal → id "greeter"; custom → id
 * "greeter.custom" and `code`; plain eof deadline multi; panic = no reply at all) · Slow (sleeps `ms` or until its context
 * ends → event `cancelled`; answers the attempt of its `tag` and its deadline, "none" without) · Big (`want` bytes "x", or
 * the data sent) · Kinds (echo) · Nothing · Stream (`count` messages, n from 0, `delay_ms`, `size` of pad, `fail_with` kind) ·
 * Chat ("re: " + text; "quit" ends, "fail:KIND" fails) · Collect (to "end", answers count and last; else event
 * `collected`). `Plain.Hello`, `Plain.Echo`: Go structs, JSON only. `Raw.Echo`, `Raw.Fail`: octet-stream. `Relay.Hello`
 * (HelloRequest) and `Relay.Stream` (a stream of them) call `relay()`'s target with their inbound context: all metadata
 * leaks. `Debug.*` unless `debug: "none"`.
 *
 * **Bodies.** `body` is JSON. Endpoints named above have Go types, and the process uses them as generated code would, with any
 * content type (`as: "typed"`); others send and receive any JSON (`"plain"`). `text` or `bytes` are sent exactly as
 * they are and the reply comes as `bytes` (`"frame"`), whatever the content type; with `as: "typed"` the reply is decoded.
 * `like: "Greeter.Hello"` borrows that endpoint's types.
 *
 * **Results.** What an RPC returned, error included, is a result and does not throw: `error.text` is err.Error(), the rest what
 * errors.FromError makes of it. Only the harness itself throws (process gone, no reply within `limitMs`, unknown stream).
 *
 * **Events** (fields beside `event`): `registered`, `deregistered` {service} · `invoked` {call: Invocation} · `finished`
 * {endpoint, n, ms, panicked, error?} · `cancelled` {endpoint, tag, detail} · `streamEnd` {endpoint, eof, detail} ·
 * `collected` {count, last} · `received` {topic, queue, metadata, body | hex} from `subscribers` · `message` {subscription,
 * topic, header, hex, text?} from `subscribe()` · `watched` {watch, action, service} · `unwatched` {watch, detail}. `trace:
 * false` turns off invoked, finished, cancelled, streamEnd and collected (for tens of thousands of calls).
 *
 * **Registry.** `static` (default) knows what `nodes()` told it and what this process registered; its client asks it at every
 * call unless `cache: true`. `mdns` is Go's own, always cached unless `cache: false`; use it only inside `describeInNamespace`
 * (netns.ts). The http broker has its own cache of `micro.http.broker`: tell it nodes before the first publish.
 */
import { beforeAll, describe } from "vitest";
import { join } from "node:path";
import { buildServer, hasCommand } from "../packages/ts-micro/test/servers/build.ts";
import type {
  BrokerMessage,
  CallArgs,
  CallResult,
  Event,
  GoError,
  GoNode,
  GoPeerOptions,
  GoService,
  GoVersion,
  Invocation,
  Json,
  ManyArgs,
  ManyResult,
  Payload,
  PublishArgs,
  Received,
  RelayTarget,
  Subscriber,
} from "./peer-types.ts";
import { type Exit, type SteeredEvent, SteeredProcess } from "./steer.ts";

export type * from "./peer-types.ts";

export const goVersions: readonly GoVersion[] = ["v4", "v5"];

/** How long an operation of the harness may take: a liveness limit, not an expectation. */
const LIMIT_MS = 120_000;
/** How long the first build of the binaries may take, on a machine that has nothing. */
const BUILD_LIMIT_MS = 900_000;

export const goAvailable: boolean = hasCommand("go");
const required = process.env["TS_MICRO_REQUIRE_GO"] === "1";

/** `describe` for tests that need Go peers; builds them first. Skipped loudly where there is no Go, a failure when TS_MICRO_REQUIRE_GO=1. */
export function describeGo(name: string, body: () => void): void {
  const skip = !goAvailable && !required;
  if (skip) console.warn(`SKIPPED, no go on the path: ${name}`);
  // oxlint-disable-next-line vitest/valid-title -- the caller gives it
  describe(name, { skip }, () => {
    beforeAll(() => Promise.all(goVersions.map((version) => goPeerBinary(version))), BUILD_LIMIT_MS);
    body();
  });
}

/** The Go peer's binary, built when it is not there. */
export async function goPeerBinary(version: GoVersion): Promise<string> {
  if (!goAvailable) throw new Error("Go peers need go on the path");
  return join(await buildServer(`go-peer-${version}`), "bin", "peer");
}

/** The reference command line, go-micro/cli 1.1.4: the path of its binary, built when it is not there. */
export async function goMicroCli(): Promise<string> {
  if (!goAvailable) throw new Error("the reference command needs go on the path");
  return join(await buildServer("go-micro-cli"), "bin", "go-micro");
}

/** Starts a peer; it is ready (server listening and registered) when this resolves. */
export async function goPeer(options: GoPeerOptions): Promise<GoPeer> {
  const binary = await goPeerBinary(options.version);
  const kept = Object.entries(process.env).filter(([key]) => !/^MICRO_|_PROXY$/i.test(key));
  const child = new SteeredProcess(binary, [], { ...Object.fromEntries(kept), ...options.env });
  const { version: _, env: __, serviceVersion, ...settings } = options;
  try {
    const args = { trace: true, ...settings, ...(serviceVersion === undefined ? {} : { version: serviceVersion }) };
    const started = (await child.request("init", args, LIMIT_MS)) as Started;
    return new GoPeer(options, child, started);
  } catch (error) {
    await child.kill("SIGKILL");
    throw error;
  }
}

interface Started {
  readonly service?: GoService;
  readonly address?: string;
  readonly brokerAddress?: string;
}

/** A registry record of one node, for `nodes()`. `protocol: ""` leaves the protocol out, as old nodes do. */
export function record(name: string, address: string, options: RecordOptions = {}): GoService {
  const { protocol = "mucp", id = `${name}-${address}`, version = "latest", metadata } = options;
  const own = protocol === "" ? {} : { protocol };
  return { name, version, nodes: [{ id, address, metadata: { transport: "http", ...own, ...metadata } }] };
}
export interface RecordOptions {
  readonly protocol?: string;
  readonly id?: string;
  readonly version?: string;
  readonly metadata?: Readonly<Record<string, string>>;
}

export class GoPeer {
  readonly version: GoVersion;
  /** The server's record as it registered it. */
  readonly service: GoService | undefined;
  /** `host:port` of the server; "" without one. */
  readonly address: string;
  /** `host:port` of the http broker of a server. */
  readonly brokerAddress: string;
  readonly pid: number;
  readonly exited: Promise<Exit>;
  #process: SteeredProcess;

  constructor(options: GoPeerOptions, child: SteeredProcess, started: Started) {
    this.version = options.version;
    this.service = started.service;
    this.address = started.address ?? "";
    this.brokerAddress = started.brokerAddress ?? "";
    this.pid = child.pid;
    this.exited = child.exited;
    this.#process = child;
  }

  /** The end of the process's log. */
  get log(): string {
    return this.#process.log;
  }

  /** Any operation by name; the methods below are these with types. */
  op(name: string, args: object = {}, limitMs: number = LIMIT_MS): Promise<unknown> {
    return this.#process.request(name, args, limitMs);
  }

  /** The module and version of Go Micro inside the binary. */
  build(): Promise<{ module: string; version: string; go: string }> {
    return this.op("version") as Promise<{ module: string; version: string; go: string }>;
  }

  // ── calls ──

  /** client.Call. `limitMs`: of the harness. */
  async call(args: CallArgs, limitMs?: number): Promise<CallResult> {
    return shown((await this.op("call", coded(args), limitMs)) as Shown & CallResult);
  }

  /** The same, giving the body; throws what the call returned as error. */
  async callOk(args: CallArgs): Promise<Json | undefined> {
    const { body, error } = await this.call(args);
    if (error !== undefined) throw new Error(`${args.endpoint}: ${error.text}`);
    return body;
  }

  /** Many calls, checked in the Go process. */
  callMany(args: ManyArgs, limitMs?: number): Promise<ManyResult> {
    return this.op("callMany", coded(args), limitMs) as Promise<ManyResult>;
  }

  /**
   * Opens a stream. `generated`: by the generated client (Greeter.Stream, Chat, Collect, Debug.Log, MessageBus); else by
   * client.Stream, which sends the same: an empty message first, then `body` if there is one. Throws when opening fails.
   */
  async stream(args: CallArgs & { readonly generated?: boolean }): Promise<GoStream> {
    const opened = (await this.op("stream.open", coded(args))) as { stream: number; error?: GoError };
    if (opened.error !== undefined) throw new Error(`${args.endpoint}: ${opened.error.text}`);
    return new GoStream(this, opened.stream);
  }

  // ── publish and subscribe ──

  /** client.Publish of a HelloRequest, or as `as`, `like`, `text`, `bytes` say. Gives the error, null without. */
  async publish(args: PublishArgs): Promise<GoError | null> {
    return ((await this.op("publish", coded(args))) as { error: GoError | null }).error;
  }

  /** broker.Publish: header and bytes as they are. */
  async brokerPublish(args: BrokerMessage): Promise<GoError | null> {
    return ((await this.op("broker.publish", coded(args))) as { error: GoError | null }).error;
  }

  /** broker.Subscribe; messages come as events `message`. The record it registers comes as event `registered`. */
  subscribe(args: Omit<Subscriber, "kind">): Promise<{ subscription: number; address: string }> {
    return this.op("subscribe", args) as Promise<{ subscription: number; address: string }>;
  }

  async unsubscribe(subscription: number): Promise<void> {
    await this.op("unsubscribe", { subscription });
  }

  // ── registry ──

  /** Static registry: all records of a service besides this process's own, from now on. */
  async nodes(name: string, records: readonly GoService[]): Promise<void> {
    await this.op("nodes", { name, records });
  }

  /** The nodes that the client's selector picks in `times` turns. */
  select(name: string, times = 1): Promise<{ nodes: GoNode[]; error?: GoError }> {
    return this.op("select", { name, times }) as Promise<{ nodes: GoNode[]; error?: GoError }>;
  }

  /** registry.GetService; not found is []. */
  async getService(name: string): Promise<GoService[]> {
    return ((await this.op("registry.get", { name })) as { services: GoService[] }).services;
  }

  /** registry.ListServices: the names. */
  async listServices(): Promise<string[]> {
    return ((await this.op("registry.list")) as { names: string[] }).names;
  }

  async register(service: GoService, ttlMs = 0): Promise<void> {
    await this.op("registry.register", { service, ttlMs });
  }

  async deregister(service: GoService): Promise<void> {
    await this.op("registry.deregister", { service });
  }

  /** registry.Watch, of all services without a name; results come as events `watched`. */
  async watch(name = ""): Promise<number> {
    return ((await this.op("registry.watch", { name })) as { watch: number }).watch;
  }

  async unwatch(watch: number): Promise<void> {
    await this.op("registry.unwatch", { watch });
  }

  // ── server ──

  /** How often each endpoint was invoked. */
  async counts(): Promise<Readonly<Record<string, number>>> {
    return ((await this.op("counts")) as { counts: Record<string, number> }).counts;
  }

  /** The last 1000 invocations with their metadata. */
  async invocations(endpoint = ""): Promise<Invocation[]> {
    return ((await this.op("invocations", { endpoint })) as { calls: Invocation[] }).calls;
  }

  /** Where Relay.Hello and Relay.Stream call. Default endpoint Greeter.Hello, content type JSON. */
  async relay(to: RelayTarget): Promise<void> {
    await this.op("relay", to);
  }

  /** server.Stop; the process goes on. Gives how long Stop took. */
  async stop(limitMs?: number): Promise<number> {
    return ((await this.op("stop", {}, limitMs)) as { ms: number }).ms;
  }

  // ── events and life ──

  /** The first event of this name that matches and was not given before; waits for it. */
  event<T = Json>(
    name: string,
    match: (event: SteeredEvent) => boolean = () => true,
    limitMs = 60_000,
  ): Promise<Event<T>> {
    const found = this.#process.take(name, (event) => event.event === name && match(event), limitMs);
    return found as unknown as Promise<Event<T>>;
  }

  /** All events of a name so far, given or not. */
  events(name?: string): SteeredEvent[] {
    return this.#process.events(name);
  }

  /** SIGSTOP: the process keeps its sockets and does nothing. */
  pause(): void {
    this.#process.pause();
  }

  resume(): void {
    this.#process.resume();
  }

  /** SIGKILL: no goodbye. Resolves when the process has ended. */
  kill(): Promise<Exit> {
    return this.#process.kill("SIGKILL");
  }

  /** SIGTERM: what micro.Service does with it, server.Stop and exit. Resolves when the process has ended. */
  terminate(): Promise<Exit> {
    return this.#process.kill("SIGTERM");
  }

  /** os.Exit(3) from inside. */
  async crash(): Promise<Exit> {
    this.op("crash").catch(() => {}); // no reply comes
    return this.exited;
  }

  /** Stops the server and ends the process; safe to call again and after kill. */
  async close(): Promise<void> {
    await this.#process.close(35_000);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/** A Go client's stream. Operations of one stream must be awaited one after another; sending beside receiving is fine. */
export class GoStream {
  #peer: GoPeer;
  #stream: number;

  constructor(peer: GoPeer, stream: number) {
    this.#peer = peer;
    this.#stream = stream;
  }

  /** Sends one message; gives the error of Send. */
  async send(message: Json | Payload): Promise<GoError | undefined> {
    const args = isPayload(message) ? message : { body: message };
    return ((await this.#op("stream.send", coded(args))) as { error?: GoError }).error;
  }

  /** Sends messages without a pause. */
  async sendAll(bodies: readonly Json[]): Promise<GoError | undefined> {
    return ((await this.#op("stream.send", { bodies })) as { error?: GoError }).error;
  }

  /** Receives up to `max` messages. `timeoutMs` bounds the wait for each; a receive cut short is not lost. */
  async recv(max = 1, timeoutMs = 0): Promise<Received> {
    const got = (await this.#op("stream.recv", { max, timeoutMs })) as Received & { messages: Shown[] };
    return { ...got, messages: got.messages.map(shown) };
  }

  /** Receives until the end or an error. */
  recvAll(timeoutMs = 0): Promise<Received> {
    return this.recv(-1, timeoutMs);
  }

  /** stream.Error(): sticky. Not with generated code. */
  async error(): Promise<GoError | null> {
    return ((await this.#op("stream.error")) as { error: GoError | null }).error;
  }

  /** stream.CloseSend(): mucp answers with an error. */
  async closeSend(): Promise<GoError | null> {
    return ((await this.#op("stream.closeSend")) as { error: GoError | null }).error;
  }

  /** stream.Close(): sends EOS and closes the connection. */
  async close(): Promise<GoError | null> {
    return ((await this.#op("stream.close")) as { error: GoError | null }).error;
  }

  #op(name: string, args: object = {}): Promise<unknown> {
    return this.#peer.op(name, { ...args, stream: this.#stream });
  }
}

interface Shown {
  readonly hex?: string;
}

function shown<T extends Shown>(result: T): Omit<T, "hex"> & { bytes?: Buffer } {
  const { hex, ...rest } = result;
  return hex === undefined ? rest : { ...rest, bytes: Buffer.from(hex, "hex") };
}

function coded(args: Payload): object {
  const { bytes, ...rest } = args;
  return bytes === undefined ? rest : { ...rest, hex: Buffer.from(bytes).toString("hex") };
}

function isPayload(message: Json | Payload): message is Payload {
  return (
    typeof message === "object" && message !== null && ("bytes" in message || "as" in message || "body" in message)
  );
}
