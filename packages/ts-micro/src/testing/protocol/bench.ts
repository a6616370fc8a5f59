import type { Cancellation, Kind } from "../../context.ts";
import { MicroError, errors, isMicroError, type ErrorCode } from "../../errors.ts";
import type { CallHandler, CallHead, IncomingCall, Peer, Protocol, RawStream, Reply } from "../../protocol.ts";
import type { Node } from "../../wire/registry-record.ts";
import { eventually, within } from "../suite.ts";

/** Where a {@link ProtocolPair} serves. */
export interface ServedNode {
  readonly node: Node;
  /** {@link Acceptor.drain} or {@link Listener.drain} of it. */
  drain(): Promise<void>;
  /** Ends every connection now, and the listening. */
  close(): Promise<void>;
}

/** Both ends of the protocol under test. */
export interface ProtocolPair {
  readonly client: Protocol;
  serve(calls: CallHandler): Promise<ServedNode>;
  /** Ends everything, and throws when something was left open. */
  close(): Promise<void>;
}

/** Full sentence → how it is tried. */
export type Promises = Record<string, (bench: Bench) => Promise<void>>;

export const text = (body: Uint8Array | undefined): string => Buffer.from(body ?? []).toString();
export const bytes = (value: string): Uint8Array => Buffer.from(value);

export function check(condition: boolean, what: string): asserts condition {
  if (!condition) throw new Error(what);
}

export function same<T>(actual: T, expected: T, what: string): void {
  check(Object.is(actual, expected), `${what}: ${String(actual)}, not ${String(expected)}`);
}

export async function failure(work: Promise<unknown>, what: string): Promise<MicroError> {
  try {
    await within(work, what);
  } catch (error) {
    if (isMicroError(error)) return error;
    throw error;
  }
  throw new Error(`${what}: it did not fail`);
}

export async function fails(work: Promise<unknown>, code: ErrorCode, what: string): Promise<MicroError> {
  const error = await failure(work, what);
  same(error.code, code, `${what} (${error.detail})`);
  return error;
}

/** A promise to be settled from outside. */
export class Gate {
  open!: () => void;
  readonly opened: Promise<void>;
  constructor() {
    this.opened = new Promise((resolve) => (this.open = resolve));
  }
}

export type Unary = (call: IncomingCall, body: Uint8Array) => Promise<Reply>;
export type Streaming = (call: IncomingCall, stream: RawStream) => Promise<MicroError | undefined>;

/** A pair with a scripted server, and the little that each promise needs of it. */
export class Bench implements CallHandler {
  readonly pair: ProtocolPair;
  readonly contentType: string;
  readonly large: number;
  readonly unaries: Map<string, Unary> = new Map();
  readonly streams: Map<string, { kind: Kind; run: Streaming }> = new Map();
  readonly calls: IncomingCall[] = [];
  running = 0;
  served!: ServedNode;
  peer!: Peer;
  #ids = 0;

  constructor(pair: ProtocolPair, contentType: string, large: number) {
    this.pair = pair;
    this.contentType = contentType;
    this.large = large;
    this.unaries.set("Test.Echo", async (_call, body) => ({ body }));
  }

  static async open(pair: ProtocolPair, contentType: string, large: number): Promise<Bench> {
    const bench = new Bench(pair, contentType, large);
    bench.served = await pair.serve(bench);
    await pair.client.loadClient?.();
    bench.peer = pair.client.dial(bench.served.node);
    return bench;
  }

  async close(): Promise<void> {
    await this.peer.close();
    same(this.peer.pending, 0, "pending calls after close");
    await this.served.close();
    await eventually(() => this.running === 0, "every handler ends when its connection is gone");
    await this.pair.close();
  }

  kindOf(endpoint: string): Kind | undefined {
    return this.unaries.has(endpoint) ? "unary" : this.streams.get(endpoint)?.kind;
  }

  supports(contentType: string): boolean {
    return contentType === this.contentType;
  }

  async unary(call: IncomingCall, body: Uint8Array): Promise<Reply> {
    const run = this.unaries.get(call.head.endpoint);
    this.calls.push(call);
    this.running++;
    try {
      if (run === undefined) throw errors.notFound("test", `rpc: can't find method ${call.head.endpoint}`);
      return await run(call, body);
    } catch (error) {
      return { body: new Uint8Array(0), error: MicroError.from(error, "test") };
    } finally {
      this.running--;
    }
  }

  async stream(call: IncomingCall, stream: RawStream): Promise<MicroError | undefined> {
    this.calls.push(call);
    this.running++;
    try {
      return await this.streams.get(call.head.endpoint)?.run(call, stream);
    } catch (error) {
      return MicroError.from(error, "test");
    } finally {
      this.running--;
    }
  }

  message(): Promise<MicroError | undefined> {
    return Promise.resolve(undefined);
  }

  head(endpoint: string, init: Partial<CallHead> = {}): CallHead {
    const { contentType } = this;
    const id = `ts-test-${++this.#ids}`;
    return {
      service: "test",
      endpoint,
      contentType,
      kind: "unary",
      deadline: Infinity,
      metadata: undefined,
      id,
      ...init,
    };
  }

  call(endpoint: string, body = "", init?: Partial<CallHead>, cancellation?: Cancellation): Promise<Reply> {
    return this.peer.unary(this.head(endpoint, init), bytes(body), cancellation);
  }

  open(kind: Kind, endpoint: string, init?: Partial<CallHead>, cancellation?: Cancellation): RawStream {
    return this.peer.stream(this.head(endpoint, { kind, ...init }), cancellation);
  }

  on(kind: Kind, endpoint: string, run: Streaming): void {
    this.streams.set(endpoint, { kind, run });
  }

  /** An endpoint that answers only when its caller is gone, or the gate opens. */
  hanging(endpoint: string): Gate {
    const gate = new Gate();
    this.unaries.set(endpoint, async (call, body) => {
      await Promise.race([gate.opened, gone(call)]);
      return { body };
    });
    return gate;
  }

  idle(): Promise<unknown> {
    return eventually(() => this.peer.pending === 0, "nothing is pending");
  }
}

export function gone(call: IncomingCall): Promise<MicroError> {
  return new Promise((resolve) => call.cancellation.onCancel(resolve));
}

export async function all(stream: RawStream): Promise<string[]> {
  const out: string[] = [];
  for (let body = await stream.read(); body !== undefined; body = await stream.read()) out.push(text(body));
  return out;
}

export const soon = (): number => performance.now() + 40;

/** Resolves when a number has stopped growing. */
export async function settled(value: () => number): Promise<void> {
  for (let still = 0, last = value(); still < 20;) {
    await new Promise((resolve) => setTimeout(resolve, 5));
    still = value() === last ? still + 1 : 0;
    last = value();
  }
}
