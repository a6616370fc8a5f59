import { connect } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { listen, type PortListener } from "../../src/server/listener.ts";
import { eventually } from "../../src/testing/suite.ts";
import type { Connection, Transport } from "../../src/transport.ts";
import { httpTransport } from "../../src/transport/http.ts";
import { capture, text, User } from "./raw.ts";

let listener: PortListener;
let transport: Transport;
let open = 0;
const trouble: unknown[] = [];
const onTrouble = (error: unknown): void => void trouble.push(error);

beforeAll(async () => {
  process.on("uncaughtException", onTrouble);
  process.on("unhandledRejection", onTrouble);
  transport = httpTransport();
  const acceptor = transport.acceptor?.((connection: Connection) => {
    open++;
    connection.receive({
      message: (message) => void connection.send(message).catch(() => {}),
      closed: () => void open--,
    });
  });
  listener = await listen({ address: "127.0.0.1:0", acceptors: acceptor === undefined ? [] : [acceptor] });
});

afterAll(async () => {
  await transport.close();
  await listener.close();
  process.off("uncaughtException", onTrouble);
  process.off("unhandledRejection", onTrouble);
});

async function call(body: string): Promise<string> {
  const node = { id: "n", address: listener.address, metadata: {} };
  const user = new User(await transport.dial(node, { reuse: true, deadline: Infinity }));
  await user.connection.send({ header: {}, body: Buffer.from(body) });
  await user.count(1);
  user.connection.release();
  return text(user.messages[0]);
}

/** xorshift: the same inputs in every run. */
function generator(seed: number): (below: number) => number {
  return (below) => {
    seed ^= seed << 13;
    seed ^= seed >>> 17;
    seed ^= seed << 5;
    return (seed >>> 0) % below;
  };
}

/** Sends bytes, perhaps in two pieces, and goes: with FIN or RST, or when the server has gone. */
function throwAt(bytes: Buffer, random: (below: number) => number): Promise<void> {
  return new Promise((resolve) => {
    const [host = "", port = ""] = listener.address.split(":");
    const socket = connect({ host, port: Number(port) });
    socket.on("error", () => {}).on("close", () => resolve());
    socket.resume();
    const cut = random(bytes.length + 1);
    socket.write(bytes.subarray(0, cut));
    socket.write(bytes.subarray(cut), () => {
      if (random(4) === 0) socket.resetAndDestroy();
      else socket.end();
    });
  });
}

describe("hostile bytes", () => {
  it("10,000 damaged requests leave the server serving, with no connection and no error left behind", async () => {
    const seeds = ["v4-unary-json", "v4-unary-protobuf", "v4-stream-client", "v4-conn-close"].map(
      (name) => capture(name).request,
    );
    const lines = [
      "\r\n",
      "\n",
      "\0",
      "Content-Length: -1\r\n",
      "Content-Length: 99999999999\r\n",
      "Transfer-Encoding: chunked\r\n",
      " x: y\r\n",
      "ffffffffff\r\n",
      "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ];
    const random = generator(20_261);
    const damaged = (): Buffer => {
      const bytes = Buffer.from(seeds[random(seeds.length)] ?? "");
      for (let n = random(4); n >= 0; n--) {
        const at = random(bytes.length);
        const what = random(4);
        if (what === 0) bytes[at] = random(256);
        else if (what === 1) return bytes.subarray(0, at);
        else if (what === 2) bytes.copy(bytes, at, random(bytes.length));
        else
          return Buffer.concat([
            bytes.subarray(0, at),
            Buffer.from(lines[random(lines.length)] ?? ""),
            bytes.subarray(at),
          ]);
      }
      return bytes;
    };
    let left = 10_000;
    const worker = async (): Promise<void> => {
      while (left-- > 0) await throwAt(damaged(), random);
    };
    await Promise.all(Array.from({ length: 32 }, worker));
    expect(await call("still here")).toBe("still here");
    await eventually(() => open === 1 && listener.connections === 1, "only the pooled connection is left");
    expect(trouble).toEqual([]);
  }, 120_000);

  it("2,000 connections that come and go leave no handle behind", async () => {
    await call("warm");
    const handles = (): number => process.getActiveResourcesInfo().length;
    const node = { id: "n", address: listener.address, metadata: {} };
    const round = async (n: number): Promise<void> => {
      for (let i = 0; i < n; i += 20) {
        const users = await Promise.all(
          Array.from(
            { length: 20 },
            async () => new User(await transport.dial(node, { reuse: false, deadline: Infinity })),
          ),
        );
        for (const [k, user] of users.entries()) {
          void user.connection.send({ header: {}, body: Buffer.from("x") }).catch(() => {});
          if (k % 2 === 0) await user.count(1);
          if (k % 3 === 0) user.connection.close();
          else user.connection.destroy();
        }
      }
      await eventually(() => listener.connections <= 1, "the connections are gone");
    };
    await round(40);
    const before = handles();
    await round(2_000);
    await eventually(() => handles() <= before, `handles go back to ${before}, now ${handles()}`);
    expect(open).toBeLessThanOrEqual(1);
    expect(trouble).toEqual([]);
  }, 120_000);
});
