import type { Socket } from "node:net";
import type { AddressInfo } from "node:net";
import { createServer, type Server } from "node:net";
import { expect } from "vitest";
import { MicroError, isMicroError } from "../../../src/errors.ts";
import { fast, type FastOptions } from "../../../src/protocol/fast.ts";
import type { Peer, Protocol } from "../../../src/protocol.ts";
import { listen, type ListenOptions, type PortListener } from "../../../src/server/listener.ts";
import { Bench } from "../../../src/testing/protocol/bench.ts";
import { eventually, within } from "../../../src/testing/suite.ts";
import { Flag, Frame, defaults, encodeSettings, preface, type Settings } from "../../../src/wire/fast/frame.ts";
import { Raw, raw } from "../../transport/raw.ts";
import { frame, read, type Seen } from "../../wire/fast/frames.ts";

await fast().loadClient?.();

export const type = "application/octet-stream";

export const settings = (some: Partial<Settings> = {}): Buffer =>
  frame(Frame.settings, 0, 0, encodeSettings({ ...defaults, ...some }));
export const hello = (some: Partial<Settings> = {}): Buffer => Buffer.concat([preface(1), settings(some)]);
export const route = (number: number, endpoint: string, contentType: string = type): Buffer =>
  frame(Frame.define, 0, number, `test\0${endpoint}\0${contentType}\0`);

export interface RequestInit {
  readonly route?: number;
  readonly flags?: number;
  readonly metadata?: number;
  readonly timeout?: number;
  readonly body?: Buffer | string;
}

export function request(id: number, init: RequestInit = {}): Buffer {
  const head = Buffer.alloc(10);
  head.writeUInt16BE(init.route ?? 1, 0);
  head.writeUInt32BE(init.metadata ?? 0, 2);
  head.writeUInt32BE(init.timeout ?? 0, 6);
  return frame(Frame.request, init.flags ?? 0, id, Buffer.concat([head, Buffer.from(init.body ?? "")]));
}

/** One end of our framing that says what it likes. */
export class Wire {
  readonly raw: Raw;

  constructor(connection: Raw) {
    this.raw = connection;
  }

  get frames(): Seen[] {
    const { bytes } = this.raw;
    return bytes.length < 9 ? [] : read(bytes.subarray(9), 1 << 26);
  }

  of(kind: number): Seen[] {
    return this.frames.filter((each) => each.type === kind);
  }

  say(...frames: Buffer[]): Promise<void> {
    return this.raw.write(Buffer.concat(frames));
  }

  /** Waits for a frame. */
  async frame(kind: number, id?: number): Promise<Seen> {
    const found = (): Seen | undefined => this.of(kind).find((each) => id === undefined || each.id === id);
    await this.raw.until(() => found() !== undefined, `frame ${kind} of ${id}`);
    return found() as Seen;
  }

  /** The answer to a ping: everything before it was taken in. */
  async pong(mark: string): Promise<void> {
    await this.say(frame(Frame.ping, 0, 0, mark.padEnd(8)));
    await this.raw.until(() => this.of(Frame.ping).some(({ payload }) => String(payload) === mark.padEnd(8)), "pong");
  }

  /** Waits for the end, and gives what the last word was. */
  async over(): Promise<Seen | undefined> {
    await this.raw.end();
    return this.frames.at(-1);
  }
}

/** What a test has opened; `close` ends it all. */
export class FastWorld implements AsyncDisposable {
  readonly bench: Bench = new Bench(undefined as never, type, 1 << 20);
  readonly protocols: Protocol[] = [];
  readonly wires: Wire[] = [];
  readonly #listeners: PortListener[] = [];
  readonly #servers: { server: Server; sockets: Set<Socket> }[] = [];

  /** A server of `bench`'s endpoints. */
  async serve(options: FastOptions = {}, more: Partial<ListenOptions> = {}): Promise<PortListener> {
    const protocol = fast(options);
    this.protocols.push(protocol);
    const acceptor = protocol.acceptor!(this.bench, []);
    const listener = await listen({
      address: "127.0.0.1:0",
      ...more,
      acceptors: [acceptor, ...(more.acceptors ?? [])],
    });
    this.#listeners.push(listener);
    return listener;
  }

  /** A client of ours. */
  dial(address: string, options: FastOptions = {}, next?: () => Peer): Peer {
    const protocol = fast(options);
    this.protocols.push(protocol);
    return protocol.dial({ id: "test-1", address, metadata: { protocol: "mucp", "ts-wire": "1" } }, next);
  }

  /** A client that is none of ours. */
  async wire(address: string, first: Buffer = hello()): Promise<Wire> {
    const wire = new Wire(await raw(address));
    this.wires.push(wire);
    await wire.raw.write(first);
    return wire;
  }

  /** A server that is none of ours. */
  async strange(serve: (wire: Wire) => void): Promise<string> {
    const server = createServer({ allowHalfOpen: true });
    const sockets = new Set<Socket>();
    this.#servers.push({ server, sockets });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    server.on("connection", (socket) => {
      sockets.add(socket);
      const wire = new Wire(new Raw(socket));
      this.wires.push(wire);
      serve(wire);
    });
    return `127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  /** The server serves others. */
  async healthy(address: string): Promise<void> {
    const wire = await this.wire(address);
    await wire.say(route(1, "Test.Echo"), request(1, { body: "well" }));
    expect(String((await wire.frame(Frame.reply, 1)).payload)).toBe("well");
    wire.raw.socket.destroy();
  }

  async close(): Promise<void> {
    for (const wire of this.wires) wire.raw.socket.destroy();
    await Promise.all(this.protocols.map((protocol) => protocol.close()));
    for (const listener of this.#listeners) await within(listener.close(), "the listener closes");
    for (const { server, sockets } of this.#servers) {
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    }
    await eventually(() => this.bench.running === 0, "no handler runs on");
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

export async function failure(work: Promise<unknown>): Promise<MicroError> {
  const error: unknown = await within(
    work.then(
      () => new Error("it succeeded"),
      (reason: unknown) => reason,
    ),
    "a failure",
  );
  if (!isMicroError(error)) throw error;
  return error;
}

export const failed = (seen: Seen | undefined): boolean => ((seen?.flags ?? 0) & Flag.error) !== 0;
