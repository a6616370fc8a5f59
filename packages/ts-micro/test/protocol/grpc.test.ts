import { describe, it } from "vitest";
import { grpc } from "../../src/protocol/grpc.ts";
import { protocolSuite } from "../../src/testing/protocol.ts";
import { mount } from "./over-http.ts";

protocolSuite(
  { describe, it },
  {
    name: "grpc",
    setup: () => {
      const protocol = grpc();
      return {
        client: protocol,
        serve: async (calls) => {
          const place = await mount(protocol.acceptor!(calls, []));
          const metadata = { "ts-wire": "0", ...protocol.metadata };
          return { node: { id: "test-1", address: place.address, metadata }, close: place.close, drain: place.drain };
        },
        close: () => protocol.close(),
      };
    },
  },
);
