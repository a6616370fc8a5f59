import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { describe, it } from "vitest";
import { fast, type FastOptions } from "../../src/protocol/fast.ts";
import { listen, type ListenOptions } from "../../src/server/listener.ts";
import { protocolSuite, type ProtocolPair } from "../../src/testing/protocol.ts";

const pem = (name: string): Buffer => readFileSync(new URL(`../fixtures/tls/${name}.pem`, import.meta.url));

async function pair(
  options: FastOptions = {},
  at: Omit<ListenOptions, "acceptors"> = { address: "127.0.0.1:0" },
): Promise<ProtocolPair> {
  const protocol = fast(options);
  return {
    client: protocol,
    serve: async (calls) => {
      const place = await listen({ ...at, acceptors: [protocol.acceptor!(calls, [])] });
      const metadata = { ...protocol.metadata, ...protocol.marks };
      return {
        node: { id: "test-1", address: place.address, metadata },
        close: () => place.close(),
        drain: () => place.drain(),
      };
    },
    close: () => protocol.close(),
  };
}

protocolSuite({ describe, it }, { name: "fast over TCP", setup: () => pair() });

protocolSuite({ describe, it }, { name: "fast over two connections", setup: () => pair({ connections: 2 }) });

protocolSuite(
  { describe, it },
  {
    name: "fast over a Unix socket",
    setup: async () => {
      const folder = mkdtempSync(`${tmpdir()}/ts-micro-fast-`);
      const made = await pair({}, { address: `unix:${folder}/s` });
      return {
        ...made,
        close: async () => {
          await made.close();
          rmSync(folder, { recursive: true });
        },
      };
    },
  },
);

protocolSuite(
  { describe, it },
  {
    name: "fast over TLS with client certificates",
    setup: () =>
      pair(
        { tls: { ca: pem("ca"), cert: pem("server"), key: pem("server-key"), servername: "localhost" } },
        {
          address: "127.0.0.1:0",
          tls: {
            cert: pem("server"),
            key: pem("server-key"),
            ca: pem("ca"),
            requestCert: true,
            rejectUnauthorized: true,
          },
        },
      ),
  },
);
