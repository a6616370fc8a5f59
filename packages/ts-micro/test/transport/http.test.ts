import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { listen } from "../../src/server/listener.ts";
import { virtualClock } from "../../src/testing/clock.ts";
import { eventually } from "../../src/testing/suite.ts";
import { transportConformance } from "../../src/testing/transport.ts";
import type { Acceptor } from "../../src/protocol.ts";
import type { Connection, Transport } from "../../src/transport.ts";
import { httpTransport } from "../../src/transport/http.ts";
import { User } from "./raw.ts";

const runner = { describe, it };

function acceptors(transport: Transport, serve: (connection: Connection) => void): Acceptor[] {
  const acceptor = transport.acceptor?.(serve);
  return acceptor === undefined ? [] : [acceptor];
}

describe("http transport over TCP", () => {
  transportConformance(runner, {
    create: () => httpTransport(),
    listen: (transport, serve) => listen({ address: "127.0.0.1:0", acceptors: acceptors(transport, serve) }),
  });
});

describe("http transport over a Unix socket", () => {
  const folder = mkdtempSync(join(tmpdir(), "ts-micro-http-"));
  afterAll(() => rmSync(folder, { recursive: true }));
  let n = 0;
  transportConformance(runner, {
    create: () => httpTransport(),
    listen: (transport, serve) =>
      listen({ address: `unix:${folder}/${++n}.sock`, acceptors: acceptors(transport, serve) }),
  });
});

describe("http transport over TLS", () => {
  const pem = (name: string): Buffer => readFileSync(new URL(`../fixtures/tls/${name}.pem`, import.meta.url));
  const tls = { cert: pem("server"), key: pem("server-key") };
  transportConformance(runner, {
    create: () => httpTransport({ tls: { ca: pem("ca") } }),
    listen: (transport, serve) => listen({ address: "127.0.0.1:0", acceptors: acceptors(transport, serve), tls }),
  });

  it("a connection that has not sent a byte does not hold a drain up", async () => {
    const transport = httpTransport({ tls: { ca: pem("ca") }, clock: virtualClock() });
    let accepted = 0;
    const listener = await listen({
      address: "127.0.0.1:0",
      acceptors: acceptors(transport, () => accepted++),
      tls,
    });
    const node = { id: "n", address: listener.address, metadata: {} };
    const user = new User(await transport.dial(node, { reuse: false, deadline: Infinity }));
    await eventually(() => accepted === 1, "it is accepted");
    await listener.drain();
    expect((await user.closed()).code).toBe("CONNECTION_LOST");
    await transport.close();
    await listener.close();
  });
});
