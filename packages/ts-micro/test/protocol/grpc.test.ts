import { readFileSync } from "node:fs";
import { describe, it } from "vitest";
import { grpc } from "../../src/protocol/grpc.ts";
import { listen } from "../../src/server/listener.ts";
import { protocolSuite } from "../../src/testing/protocol.ts";
import type { ClientTlsOptions, TlsOptions } from "../../src/tls.ts";

const pem = (name: string): Buffer => readFileSync(new URL(`../fixtures/tls/${name}.pem`, import.meta.url));

/** Both ends, on the one-port listener. */
function suite(name: string, tls: { server?: TlsOptions; client?: ClientTlsOptions }): void {
  protocolSuite(
    { describe, it },
    {
      name,
      setup: () => {
        const protocol = grpc({ tls: tls.client });
        return {
          client: protocol,
          serve: async (calls) => {
            const acceptors = [protocol.acceptor!(calls, [])];
            const secure = tls.server === undefined ? {} : { tls: tls.server };
            const listener = await listen({ address: "127.0.0.1:0", acceptors, ...secure });
            const metadata = { "ts-wire": "0", ...protocol.metadata };
            return {
              node: { id: "test-1", address: listener.address, metadata },
              close: () => listener.close(),
              drain: () => listener.drain(),
            };
          },
          close: () => protocol.close(),
        };
      },
    },
  );
}

suite("grpc over TCP", {});
suite("grpc over TLS", { server: { cert: pem("server"), key: pem("server-key") }, client: { ca: pem("ca") } });
