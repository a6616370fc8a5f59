import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { once } from "node:events";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { CallHead, Peer } from "../../../src/protocol.ts";
import { isMicroError } from "../../../src/errors.ts";
import type { PortListener } from "../../../src/server/listener.ts";
import { bytes, text } from "../../../src/testing/protocol/bench.ts";
import { eventually } from "../../../src/testing/suite.ts";
import { FastWorld, failure, hello, type as contentType } from "./world.ts";

let world: FastWorld;
beforeEach(() => void (world = new FastWorld()));
afterEach(() => world.close());

const head: CallHead = {
  service: "test",
  endpoint: "Test.Run",
  contentType,
  kind: "unary",
  deadline: Infinity,
  metadata: undefined,
  id: "",
};

describe("GOAWAY under load", () => {
  it(
    "loses no call and runs none twice: what is refused did not run, and is repeated",
    { timeout: 60_000 },
    async () => {
      const ran = new Map<string, number>();
      world.bench.unaries.set("Test.Run", async (_call, body) => {
        const id = text(body);
        ran.set(id, (ran.get(id) ?? 0) + 1);
        if (ran.size % 3 === 0) await new Promise((resolve) => setImmediate(resolve));
        return { body };
      });
      let place: { listener: PortListener; peer: Peer } | undefined;
      const next = async (): Promise<{ listener: PortListener; peer: Peer }> => {
        const listener = await world.serve();
        return { listener, peer: world.dial(listener.address) };
      };
      place = await next();
      let on = true;
      let refusals = 0;
      let calls = 0;
      const failures: unknown[] = [];
      const caller = async (name: number): Promise<void> => {
        for (let n = 0; on; n++) {
          const id = `${name}/${n}`;
          for (let done = false; !done;) {
            try {
              expect(text((await place!.peer.unary(head, bytes(id))).body)).toBe(id);
              done = true;
            } catch (error) {
              if (isMicroError(error) && error.refused) {
                refusals++;
                await new Promise((resolve) => setImmediate(resolve));
              } else {
                failures.push(error);
                done = true;
              }
            }
          }
          calls++;
        }
      };
      const callers = Array.from({ length: 64 }, (_, n) => caller(n));
      for (let round = 0; round < 15; round++) {
        const before = calls;
        await eventually(() => calls > before + 500, "calls go on");
        const old = place;
        place = await next();
        await old.listener.drain();
        await old.listener.close();
        await old.peer.close();
      }
      on = false;
      await Promise.all(callers);
      expect(failures.map(String)).toEqual([]);
      expect(refusals).toBeGreaterThan(0);
      expect(ran.size).toBe(calls);
      expect([...ran.values()].every((times) => times === 1)).toBe(true);
    },
  );
});

describe("TLS", () => {
  const pem = (name: string): Buffer => readFileSync(new URL(`../../fixtures/tls/${name}.pem`, import.meta.url));
  const tls = { cert: pem("server"), key: pem("server-key") };

  it("that is broken off at any point costs its own connection alone", async () => {
    const listener = await world.serve({}, { tls });
    const colon = listener.address.lastIndexOf(":");
    const to = { host: listener.address.slice(0, colon), port: Number(listener.address.slice(colon + 1)) };
    for (const said of [
      Buffer.alloc(0),
      Buffer.from("16030100", "hex"),
      hello(),
      Buffer.from("1603010200010001fc0303", "hex"),
    ]) {
      const socket = connect(to);
      socket.on("error", () => {});
      await once(socket, "connect");
      socket.write(said);
      await new Promise((resolve) => setTimeout(resolve, 5));
      socket.resetAndDestroy();
    }
    const peer = world.dial(listener.address, { tls: { ca: pem("ca"), servername: "localhost" } });
    world.bench.unaries.set("Test.Run", async (_call, body) => ({ body }));
    expect(text((await peer.unary(head, bytes("well"))).body)).toBe("well");
    await eventually(() => listener.connections === 1, "the others are gone");
  });

  it("that is broken off in mid-call is CONNECTION_LOST; a certificate that nobody knows is UNAVAILABLE", async () => {
    const listener = await world.serve({}, { tls });
    world.bench.hanging("Test.Run");
    const peer = world.dial(listener.address, { tls: { ca: pem("ca"), servername: "localhost" } });
    const call = failure(peer.unary(head, bytes("x")));
    await eventually(() => world.bench.running === 1, "it runs");
    await listener.close();
    expect(await call).toMatchObject({ code: "CONNECTION_LOST", refused: false });
    const second = await world.serve({}, { tls });
    expect(
      await failure(world.dial(second.address, { tls: { servername: "localhost" } }).unary(head, bytes("x"))),
    ).toMatchObject({
      code: "UNAVAILABLE",
      refused: true,
    });
  });
});
