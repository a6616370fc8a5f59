import { describe, it } from "vitest";
import { mucp } from "../../src/protocol/mucp.ts";
import { protocolSuite } from "../../src/testing/protocol.ts";
import { httpTransport } from "../../src/transport/http.ts";
import { mount } from "./over-http.ts";

protocolSuite(
  { describe, it },
  {
    name: "mucp over http",
    setup: () => {
      const transport = httpTransport();
      const protocol = mucp({ transport });
      return {
        client: protocol,
        serve: async (calls) => {
          const place = await mount(protocol.acceptor!(calls, []));
          const metadata = { "ts-wire": "1", ...protocol.metadata };
          return { node: { id: "test-1", address: place.address, metadata }, close: place.close, drain: place.drain };
        },
        close: async () => {
          await protocol.close();
          await transport.close();
        },
      };
    },
  },
);
