import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { listen, type PortListener } from "../../src/server/listener.ts";
import { eventually } from "../../src/testing/suite.ts";
import type { Connection, Transport } from "../../src/transport.ts";
import { httpTransport } from "../../src/transport/http.ts";
import { damager, generator, throwAt } from "../support/damage.ts";
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

describe("hostile bytes", () => {
  it("10,000 damaged requests leave the server serving, with no connection and no error left behind", async () => {
    const seeds = ["v4-unary-json", "v4-unary-protobuf", "v4-stream-client", "v4-conn-close"].map(
      (name) => capture(name).request,
    );
    const random = generator(20_261);
    const damaged = damager(seeds, random);
    let left = 10_000;
    const worker = async (): Promise<void> => {
      while (left-- > 0) await throwAt(listener.address, damaged(), random);
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
