import { describe, it } from "vitest";
import { mucp } from "../../src/protocol/mucp.ts";
import { protocolSuite } from "../../src/testing/protocol.ts";
import { memoryTransport } from "../../src/transport/memory.ts";

protocolSuite(
  { describe, it },
  {
    name: "mucp over memory",
    setup: () => {
      const transport = memoryTransport();
      const protocol = mucp({ transport });
      return {
        client: protocol,
        serve: async (calls) => {
          const listener = await protocol.listen!("test:0", calls);
          const node = { id: "test-1", address: listener.address, metadata: { "ts-wire": "1", ...protocol.metadata } };
          return { node, close: () => listener.close(), drain: () => listener.drain() };
        },
        close: async () => {
          await protocol.close();
          await transport.close();
        },
      };
    },
  },
);
