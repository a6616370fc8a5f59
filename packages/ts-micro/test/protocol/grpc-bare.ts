/** Both ends of gRPC for tests of what strangers send: ours, bare node:http2, and HTTP/2 by hand. */
import {
  connect as connectHttp2,
  createServer,
  type ClientHttp2Session,
  type Http2Server,
  type ServerHttp2Stream,
} from "node:http2";
import { connect, type AddressInfo } from "node:net";
import type { Kind } from "../../src/context.ts";
import { fromUnknown, isMicroError } from "../../src/errors.ts";
import type { CallHandler, CallHead, Peer } from "../../src/protocol.ts";
import { grpc, type GrpcOptions } from "../../src/protocol/grpc.ts";
import { frame } from "../../src/wire/grpc/frame.ts";
import { mount } from "./over-http.ts";

/** What a test has to end; its file does, after each. */
export const closing: (() => unknown)[] = [];
export const nothing = new Uint8Array(0);
export const requestHeaders = {
  ":method": "POST",
  ":path": "/test.Test/Echo",
  "content-type": "application/grpc+bytes",
  te: "trailers",
};

/** A server of ours with `Test.Echo`, `Test.Hang`, `Test.Flood`, `Test.Big`, `Test.Count`, `Test.Idle`, which does not read, and `Test.Deaf`, which never ends. */
export async function served(options: GrpcOptions = {}): Promise<{
  address: string;
  running: () => number;
  begun: () => number;
  /** How requests of `Test.Count` ended; each of their messages has `begun`. */
  ends: string[];
  close: () => Promise<void>;
  drain: () => Promise<void>;
}> {
  let running = 0;
  let begun = 0;
  const ends: string[] = [];
  const calls: CallHandler = {
    kindOf: (name) =>
      ({
        ...{ "Test.Echo": "unary", "Test.Hang": "unary", "Test.Big": "unary" },
        ...{ "Test.Flood": "server", "Test.Count": "client", "Test.Idle": "client", "Test.Deaf": "client" },
      })[name] as Kind | undefined,
    supports: () => true,
    async unary(call, body) {
      if (call.head.endpoint === "Test.Big") return { body: new Uint8Array(1 << 20) };
      if (call.head.endpoint !== "Test.Hang") return { body };
      running++;
      begun++;
      await new Promise<void>((resolve) => call.cancellation.onCancel(() => resolve()));
      running--;
      return { body: nothing };
    },
    async stream(call, stream) {
      if (call.head.endpoint === "Test.Count") {
        try {
          while ((await stream.read()) !== undefined) begun++;
          ends.push("clean");
        } catch (error) {
          ends.push(fromUnknown(error).code);
        }
        return undefined;
      }
      running++;
      if (call.head.endpoint === "Test.Deaf") await new Promise(() => {});
      if (call.head.endpoint === "Test.Idle")
        await new Promise<void>((resolve) => call.cancellation.onCancel(() => resolve()));
      const block = new Uint8Array(64 * 1024);
      try {
        for (let sent = 0; sent < 64 << 20 && call.cancellation.reason === undefined; sent += block.length)
          await stream.send(block);
      } catch {
        // its caller has gone
      }
      running--;
      return undefined;
    },
    message: () => Promise.resolve(undefined),
  };
  const protocol = grpc(options);
  const place = await mount(protocol.acceptor!(calls, []));
  closing.push(place.close);
  return {
    address: place.address,
    running: () => running,
    begun: () => begun,
    ends,
    close: place.close,
    drain: place.drain,
  };
}

let ids = 0;
export const head = (endpoint: string, init: Partial<CallHead> = {}): CallHead => ({
  ...{
    service: "test",
    endpoint,
    contentType: "application/octet-stream",
    kind: "unary",
    deadline: Infinity,
    metadata: undefined,
  },
  id: `ts-${++ids}`,
  ...init,
});

export function dial(
  address: string,
  options: GrpcOptions = {},
  metadata: Record<string, string> = { "ts-wire": "0" },
): Peer {
  const protocol = grpc(options);
  closing.push(() => protocol.close());
  return protocol.dial({ id: "n", address, metadata });
}

export const outcome = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => "ok",
    (error: unknown) => (isMicroError(error) ? `${error.code}${error.refused ? " refused" : ""}` : String(error)),
  );

/** A server on bare node:http2, with the faults that we do not make ourselves. */
export async function bare(
  stream: (stream: ServerHttp2Stream, server: Http2Server) => void,
  settings: import("node:http2").Settings = {},
): Promise<{ address: string; server: Http2Server; sessions: number }> {
  const server = createServer({ settings });
  const seen = { address: "", server, sessions: 0 };
  const sessions = new Set<import("node:http2").ServerHttp2Session>();
  server.on("session", (session) => {
    seen.sessions++;
    sessions.add(session);
    session.on("error", () => {});
  });
  server.on("stream", (one: ServerHttp2Stream) => {
    one.on("error", () => {});
    one.resume();
    stream(one, server);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  closing.push(() => {
    for (const session of sessions) session.destroy();
    server.close();
  });
  seen.address = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  return seen;
}

export function answer(stream: ServerHttp2Stream): void {
  stream.respond({ ":status": 200, "content-type": "application/grpc+bytes" }, { waitForTrailers: true });
  stream.once("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
  stream.end(frame(Buffer.from("hi")));
}

export async function raw(
  address: string,
  settings: import("node:http2").ClientSessionOptions = {},
): Promise<ClientHttp2Session> {
  const session = connectHttp2(`http://${address}`, settings);
  session.on("error", () => {});
  closing.push(() => session.destroy());
  await new Promise((resolve) => session.once("remoteSettings", resolve));
  return session;
}

export function http2Frame(type: number, flags: number, id: number, payload: Uint8Array): Buffer {
  const out = Buffer.alloc(9);
  out.writeUIntBE(payload.length, 0, 3);
  out.set([type, flags], 3);
  out.writeUInt32BE(id, 5);
  return Buffer.concat([out, payload]);
}

/** The frames of a whole call of `Test.Hang`. */
export function hanging(id: number): Buffer[] {
  return [headFrame(id, "/test.Test/Hang"), http2Frame(0, 1, id, frame(nothing))];
}

/** A request's head, with more to come. */
export function headFrame(id: number, path: string, type = "application/grpc+bytes"): Buffer {
  const text = (value: string): Buffer => Buffer.concat([Buffer.of(value.length), Buffer.from(value)]);
  // :method POST, :scheme http, :path, :authority, content-type: literals without indexing.
  const target = [Buffer.of(0x83, 0x86, 0x04), text(path), Buffer.of(0x01), text("me")];
  const block = Buffer.concat([...target, Buffer.of(0x0f, 0x10), text(type)]);
  return http2Frame(1, 4, id, block);
}

/** HTTP/2 by hand. */
export function bareSocket(address: string): {
  readonly gone: boolean;
  write(...frames: Buffer[]): void;
  goaway(): number | undefined;
} {
  const socket = connect(Number(address.slice(address.lastIndexOf(":") + 1)), "127.0.0.1");
  let heard = Buffer.alloc(0);
  socket.on("error", () => {}).on("data", (chunk: Buffer) => (heard = Buffer.concat([heard, chunk])));
  const write = (...frames: Buffer[]): void => void socket.write(Buffer.concat(frames));
  write(Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), http2Frame(4, 0, 0, nothing));
  closing.push(() => socket.destroy());
  return {
    get gone() {
      return socket.destroyed;
    },
    write,
    /** The code of the last one. */
    goaway() {
      const at = heard.lastIndexOf(http2Frame(7, 0, 0, Buffer.alloc(8)).subarray(0, 9));
      return at < 0 ? undefined : heard.readUInt32BE(at + 13);
    },
  };
}
