import { describe, it } from "vitest";
import { http } from "../../src/protocol/http.ts";
import { listen } from "../../src/server/listener.ts";
import { protocolSuite } from "../../src/testing/protocol.ts";

protocolSuite(
  { describe, it },
  {
    name: "http",
    // What its streams carry: a message a line.
    contentType: "application/json",
    setup: async () => {
      const protocol = http();
      await protocol.start();
      return {
        client: protocol,
        serve: async (calls) => {
          const acceptors = [protocol.acceptor!(calls, protocol.routes!(calls))];
          const port = await listen({ address: "127.0.0.1:0", acceptors });
          const metadata = { "ts-wire": "1", ...protocol.metadata };
          return {
            node: { id: "test-1", address: port.address, metadata },
            close: () => port.close(),
            drain: () => port.drain(),
          };
        },
        close: () => protocol.close(),
      };
    },
  },
);
