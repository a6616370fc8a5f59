import { readFileSync } from "node:fs";
import { describe, it } from "vitest";
import type { Acceptor } from "../../src/protocol.ts";
import { listen } from "../../src/server/listener.ts";
import { transportConformance } from "../../src/testing/transport.ts";
import type { Connection, Transport } from "../../src/transport.ts";
import { grpcTransport } from "../../src/transport/grpc.ts";

const runner = { describe, it };

function acceptors(transport: Transport, serve: (connection: Connection) => void): Acceptor[] {
  const acceptor = transport.acceptor?.(serve);
  return acceptor === undefined ? [] : [acceptor];
}

describe("grpc transport over TCP", () => {
  transportConformance(runner, {
    create: () => grpcTransport(),
    listen: (transport, serve) => listen({ address: "127.0.0.1:0", acceptors: acceptors(transport, serve) }),
  });
});

describe("grpc transport over TLS", () => {
  const pem = (name: string): Buffer => readFileSync(new URL(`../fixtures/tls/${name}.pem`, import.meta.url));
  const tls = { cert: pem("server"), key: pem("server-key") };
  transportConformance(runner, {
    create: () => grpcTransport({ tls: { ca: pem("ca") } }),
    listen: (transport, serve) => listen({ address: "127.0.0.1:0", acceptors: acceptors(transport, serve), tls }),
  });
});
