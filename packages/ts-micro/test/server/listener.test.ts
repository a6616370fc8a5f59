import { once } from "node:events";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect, Server, type Socket } from "node:net";
import { spawn } from "node:child_process";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect as connectTls } from "node:tls";
import { inspect } from "node:util";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { virtualClock } from "../../src/testing/clock.ts";
import { eventually } from "../../src/testing/suite.ts";
import type { Acceptor } from "../../src/protocol.ts";
import { listen, type ListenOptions, type PortListener, type Shed } from "../../src/server/listener.ts";
import { raw, Raw } from "../transport/raw.ts";

/** An acceptor that wants what begins with `mark`, echoes it, and gives the connection back at `|`. */
class Echo implements Acceptor {
  readonly name: string;
  readonly alpn?: readonly string[];
  readonly sockets = new Set<Socket>();
  readonly mark: string;
  drains = 0;
  closes = 0;

  constructor(mark: string, alpn?: readonly string[]) {
    this.name = this.mark = mark;
    if (alpn !== undefined) this.alpn = alpn;
  }

  match(prefix: Buffer): boolean | undefined {
    const n = Math.min(prefix.length, this.mark.length);
    if (prefix.toString("latin1", 0, n) !== this.mark.slice(0, n)) return false;
    return n === this.mark.length ? true : undefined;
  }

  accept(socket: Socket, bytes: Buffer, release: (socket: Socket, bytes: Buffer) => void): void {
    this.sockets.add(socket);
    const read = (chunk: Buffer): void => {
      const bar = chunk.indexOf("|");
      socket.write(`${this.mark}<${chunk.toString("latin1", 0, bar < 0 ? chunk.length : bar)}>`);
      if (bar < 0) return;
      socket.off("data", read).pause();
      release(socket, chunk.subarray(bar + 1));
    };
    socket.on("data", read);
    socket.on("end", () => socket.end());
    if (bytes.length > 0) read(bytes);
    if (socket.listeners("data").includes(read)) socket.resume();
  }

  async drain(): Promise<void> {
    this.drains++;
  }

  async close(): Promise<void> {
    this.closes++;
  }
}

let listeners: PortListener[];
let clients: Raw[];
let shed: Shed[];
const onShed = (message: unknown): void => void shed.push(message as Shed);

beforeEach(() => {
  listeners = [];
  clients = [];
  shed = [];
  subscribe("ts-micro:listener:shed", onShed);
});

afterEach(async () => {
  unsubscribe("ts-micro:listener:shed", onShed);
  for (const client of clients) client.socket.destroy();
  for (const listener of listeners) await listener.close();
});

async function start(options: Partial<ListenOptions> = {}): Promise<PortListener> {
  const listener = await listen({ address: "127.0.0.1:0", acceptors: [new Echo("AB"), new Echo("AC")], ...options });
  listeners.push(listener);
  return listener;
}

async function dial(listener: PortListener): Promise<Raw> {
  const client = await raw(listener.address);
  clients.push(client);
  return client;
}

describe("the listener's choice", () => {
  it("gives each connection to the acceptor that wants its first bytes, with all of them", async () => {
    const listener = await start();
    for (const [text, want] of [
      ["AB1", "AB<AB1>"],
      ["AC2", "AC<AC2>"],
    ] as const) {
      const client = await dial(listener);
      await client.write(text);
      await client.until((text) => text.endsWith(">"));
      expect(client.text).toBe(want);
    }
    expect(listener.shed).toBe(0);
  });

  it("waits until it is clear, when the first bytes come one by one", async () => {
    const listener = await start();
    const client = await dial(listener);
    await client.write("A");
    await eventually(() => listener.connections === 1, "the connection");
    expect(client.text).toBe("");
    await client.write("C");
    await client.until((text) => text === "AC<AC>");
    expect(client.text).toBe("AC<AC>");
  });

  it("loses no byte of what comes with and right after the first ones", async () => {
    const listener = await start();
    const client = await dial(listener);
    const body = "AB" + "x".repeat(300_000);
    client.socket.write(body);
    await client.until((text) => text.replaceAll("AB<", "").replaceAll(">", "").length === body.length);
    expect(client.text.replaceAll("AB<", "").replaceAll(">", "")).toBe(body);
  });

  it("loses no byte when the acceptor has to load something first", async () => {
    const acceptor = new Echo("AB");
    const accept = acceptor.accept.bind(acceptor);
    let load: (() => void) | undefined;
    acceptor.accept = (socket, bytes, release) => (load = () => accept(socket, bytes, release));
    const listener = await start({ acceptors: [acceptor] });
    const client = await dial(listener);
    await client.write("AB");
    await eventually(() => load, "it is accepted");
    await client.write("more");
    await new Promise((resolve) => setTimeout(resolve, 20));
    load?.();
    await client.until((text) => text.includes("more"));
    expect(client.text).toBe("AB<AB>AB<more>");
  });

  it("takes a connection back at a message boundary, with the bytes that follow", async () => {
    const listener = await start();
    const client = await dial(listener);
    await client.write("AB1|AC2|AB3");
    await client.until((text) => text === "AB<AB1>AC<AC2>AB<AB3>");
    await client.write("|");
    await client.write("AC4");
    await client.until((text) => text.endsWith("AC<AC4>"));
    expect(client.text).toBe("AB<AB1>AC<AC2>AB<AB3>AB<>AC<AC4>");
  });

  it("an earlier acceptor that cannot tell yet comes before a later one that can", async () => {
    const any = new Echo("A");
    const listener = await start({ acceptors: [new Echo("ABC"), any] });
    const client = await dial(listener);
    await client.write("AB");
    await eventually(() => listener.connections === 1, "the connection");
    await client.write("C");
    await client.until((text) => text === "ABC<ABC>");
    expect(any.sockets.size).toBe(0);
  });

  it.each([
    ["garbage", "zzz", "not a protocol spoken here"],
    ["a TLS hello", Buffer.of(0x16, 3, 1), "TLS on a plain port"],
  ])("drops %s, counts it and says why", async (_, bytes, reason) => {
    const listener = await start();
    const client = await dial(listener);
    await client.write(bytes);
    await client.end();
    expect(listener.shed).toBe(1);
    expect(shed).toMatchObject([{ address: listener.address, reason }]);
    expect(shed[0]?.remote).toMatch(/^127\.0\.0\.1:\d+$/);
  });

  it("a client that half-closes before it is clear is dropped", async () => {
    const listener = await start();
    const client = await dial(listener);
    await client.write("A");
    client.socket.end();
    await client.end();
    expect(shed.map(({ reason }) => reason)).toEqual(["closed before a request"]);
  });

  it("an acceptor that throws costs its connection, not the port", async () => {
    const bad = new Echo("AB");
    bad.accept = () => {
      throw new Error("broken");
    };
    const listener = await start({ acceptors: [bad, new Echo("AC")] });
    const client = await dial(listener);
    await client.write("AB");
    await client.end();
    const other = await dial(listener);
    await other.write("AC");
    await other.until((text) => text === "AC<AC>");
    expect(shed[0]?.reason).toContain("broken");
  });
});

describe("the listener's limits", () => {
  it("cuts a connection that says nothing for 10 s, and one that dribbles for 5", async () => {
    const clock = virtualClock();
    const listener = await start({ clock, acceptors: [new Echo("A".repeat(100))] });
    const silent = await dial(listener);
    const slow = await dial(listener);
    await eventually(() => listener.connections === 2, "both connections");
    for (let i = 0; i < 4; i++) {
      await slow.write("A");
      await eventually(() => slow.socket.bytesWritten === i + 1, "the byte is out");
      await clock.advance(i === 0 ? 0 : 1_500);
    }
    expect([silent.ending, slow.ending]).toEqual([undefined, undefined]);
    await clock.advance(600);
    await slow.end();
    expect(silent.ending).toBeUndefined();
    await clock.advance(5_000);
    await silent.end();
    expect(shed.map(({ reason }) => reason)).toEqual(["slow head", "no first byte"]);
    await listener.close();
    expect(clock.pending()).toBe(0);
  });

  it("cuts a silent connection even when nobody else ever comes", async () => {
    const clock = virtualClock();
    const listener = await start({ clock });
    const silent = await dial(listener);
    await eventually(() => listener.connections === 1, "the connection");
    await clock.advance(10_001);
    await silent.end();
    expect(shed.map(({ reason }) => reason)).toEqual(["no first byte"]);
  });

  it("drops a connection that goes on for too long without becoming clear", async () => {
    const listener = await start({ maxHead: 1000, acceptors: [new Echo("A".repeat(5000))] });
    const client = await dial(listener);
    await client.write("A".repeat(1001));
    await client.end();
    expect(shed[0]?.reason).toBe("head too large");
  });

  it("closes connections above maxConnections as they come, and takes new ones when others have gone", async () => {
    const listener = await start({ maxConnections: 1 });
    const first = await dial(listener);
    await first.write("AB");
    await first.until((text) => text === "AB<AB>");
    const second = await dial(listener);
    await second.end();
    expect(shed.map(({ reason }) => reason)).toEqual(["too many connections"]);
    first.socket.end();
    await first.end();
    await eventually(() => listener.connections === 0, "the first one is gone");
    const third = await dial(listener);
    await third.write("AC");
    await third.until((text) => text === "AC<AC>");
  });

  it("goes on after a failed accept, and counts it", async () => {
    const spy = vi.spyOn(Server.prototype, "listen");
    const listener = await start();
    const [server] = spy.mock.contexts as Server[];
    spy.mockRestore();
    server?.emit("error", Object.assign(new Error("accept EMFILE"), { code: "EMFILE" }));
    expect(listener.shed).toBe(1);
    expect(shed[0]?.reason).toBe("accept: accept EMFILE");
    const client = await dial(listener);
    await client.write("AB");
    await client.until((text) => text === "AB<AB>");
  });
});

describe("the listener's address", () => {
  it("has the real port, and [::] for every interface", async () => {
    expect((await start()).address).toMatch(/^127\.0\.0\.1:[1-9]\d*$/);
    expect((await start({ address: "[::1]:0" })).address).toMatch(/^\[::1\]:[1-9]\d*$/);
  });

  it("is the first free port of a range, and CONFLICT when none is", async () => {
    const port = Number((await start()).address.split(":")[1]);
    const next = await start({ address: `127.0.0.1:${port}-${port + 20}` });
    expect(Number(next.address.split(":")[1])).toBeGreaterThan(port);
    const failed = start({ address: `127.0.0.1:${port}-${port}` });
    await expect(failed).rejects.toMatchObject({
      code: "CONFLICT",
      detail: expect.stringContaining(`127.0.0.1:${port}`),
    });
  });

  it("that is in use is told with what to do, and without Node's own error", async () => {
    const { address } = await start();
    const error: unknown = await start({ address }).catch((reason: unknown) => reason);
    const detail = `listen ${address}: the address is in use; another comes from MICRO_SERVER_ADDRESS or else the option \`address\`, and port 0 is one that is free`;
    expect(error).toMatchObject({ code: "CONFLICT", detail });
    expect(inspect(error)).not.toMatch(/EADDRINUSE|undefined/);
  });

  it.each([
    "127.0.0.1:x",
    "127.0.0.1:70000",
    "203.0.113.1:0",
    "unix:/no/such/folder/x.sock",
    `unix:/tmp/${"x".repeat(200)}`,
  ])("%s is BAD_REQUEST", async (address) => {
    await expect(start({ address })).rejects.toMatchObject({ code: "BAD_REQUEST" });
  });
});

describe("Unix sockets", () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "ts-micro-listener-"));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  it("are listened on, and their file goes with the listener", async () => {
    const path = join(folder, "a.sock");
    const listener = await start({ address: `unix:${path}` });
    expect(listener.address).toBe(`unix:${path}`);
    const client = new Raw(connect({ path }));
    await client.write("AB");
    await client.until((text) => text === "AB<AB>");
    client.socket.destroy();
    await listener.close();
    expect(existsSync(path)).toBe(false);
  });

  it("whose process was killed are replaced", async () => {
    const path = join(folder, "stale.sock");
    const script = `require("net").createServer().listen(${JSON.stringify(path)}, () => console.log("up"))`;
    const child = spawn(process.execPath, ["-e", script], { stdio: ["ignore", "pipe", "inherit"] });
    await once(child.stdout, "data");
    child.kill("SIGKILL");
    await once(child, "exit");
    expect(existsSync(path)).toBe(true);
    await start({ address: `unix:${path}` });
    const client = new Raw(connect({ path }));
    await client.write("AB");
    await client.until((text) => text === "AB<AB>");
    client.socket.destroy();
  });

  it("that somebody listens on, and files that are no sockets, are left alone", async () => {
    const path = join(folder, "live.sock");
    await start({ address: `unix:${path}` });
    await expect(start({ address: `unix:${path}` })).rejects.toMatchObject({ code: "CONFLICT" });
    const client = new Raw(connect({ path }));
    await client.write("AB");
    await client.until((text) => text === "AB<AB>");
    client.socket.destroy();
    const file = join(folder, "file");
    writeFileSync(file, "precious");
    await expect(start({ address: `unix:${file}` })).rejects.toMatchObject({ code: "CONFLICT" });
    expect(readFileSync(file, "utf8")).toBe("precious");
  });
});

describe("TLS", () => {
  const pem = (name: string): Buffer => readFileSync(new URL(`../fixtures/tls/${name}.pem`, import.meta.url));
  const tls = { cert: pem("server"), key: pem("server-key") };

  function dialTls(listener: PortListener, protocols: string[]): Raw {
    const port = Number(listener.address.split(":")[1]);
    const client = new Raw(connectTls({ host: "127.0.0.1", port, ca: pem("ca"), ALPNProtocols: protocols }));
    clients.push(client);
    return client;
  }

  it("chooses by the negotiated name without looking at bytes, else by bytes", async () => {
    const listener = await start({ tls, acceptors: [new Echo("AB", ["one"]), new Echo("AC", ["two"])] });
    for (const [protocols, bytes, want] of [
      [["one"], "AC", "AB<AC>"],
      [["two"], "AB", "AC<AB>"],
      [[], "AC", "AC<AC>"],
    ] as const) {
      const client = dialTls(listener, [...protocols]);
      await client.write(bytes);
      await client.until((text) => text.endsWith(">"));
      expect(client.text).toBe(want);
    }
  });

  it("drops and counts what is no TLS, and a certificate that is none is BAD_REQUEST", async () => {
    const listener = await start({ tls });
    const client = await dial(listener);
    await client.write("GET / HTTP/1.1\r\n\r\n");
    await client.end();
    await eventually(() => listener.shed === 1, "it is counted");
    expect(shed[0]?.reason).toMatch(/^TLS: /);
    await expect(start({ tls: { cert: "nonsense", key: "nonsense" } })).rejects.toMatchObject({ code: "BAD_REQUEST" });
  });

  it("close ends connections in the handshake too", async () => {
    const listener = await start({ tls });
    const client = await dial(listener);
    await eventually(() => listener.connections === 1, "the connection");
    await listener.close();
    await client.end();
    expect(listener.connections).toBe(0);
  });
});

describe("the listener's end", () => {
  it("drain asks every acceptor and goes on listening; close ends everything, once", async () => {
    const acceptors = [new Echo("AB"), new Echo("AC")];
    const listener = await start({ acceptors });
    const known = await dial(listener);
    await known.write("AB");
    await known.until((text) => text === "AB<AB>");
    const unknown = await dial(listener);
    await listener.drain();
    const late = await dial(listener);
    await late.write("AC");
    await late.until((text) => text === "AC<AC>");
    await Promise.all([listener.close(), listener.close()]);
    await Promise.all([known.end(), unknown.end(), late.end()]);
    expect(acceptors.map(({ drains, closes }) => [drains, closes])).toEqual([
      [1, 1],
      [1, 1],
    ]);
    expect(listener.connections).toBe(0);
    await expect(raw(listener.address)).rejects.toMatchObject({ code: "ECONNREFUSED" });
  });

  it("a connection given back after close is destroyed", async () => {
    const acceptor = new Echo("AB");
    let back: (() => void) | undefined;
    acceptor.accept = (socket, _, release) => (back = () => release(socket, Buffer.from("AB")));
    const clock = virtualClock();
    const listener = await start({ clock, acceptors: [acceptor] });
    const client = await dial(listener);
    await client.write("AB");
    await eventually(() => back, "it is accepted");
    const closing = listener.close();
    back?.();
    await closing;
    await client.end();
    expect(clock.pending()).toBe(0);
  });
});
