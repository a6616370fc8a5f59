// Connect for Node over gRPC's own wire.
import { once } from "node:events";
import { createServer } from "node:http2";
import { createClient } from "@connectrpc/connect";
import { connectNodeAdapter, createGrpcTransport } from "@connectrpc/connect-node";
import { Greeter } from "../gen/bench_pb.js";

export async function start() {
  const routes = (router) =>
    router.service(Greeter, {
      hello: ({ name }) => ({ msg: `Hello ${name}` }),
      async *count({ n }) {
        for (let i = 0; i < n; i++) yield { i, s: "tick" };
      },
      async *chat(messages) {
        for await (const { i, s } of messages) yield { i, s };
      },
    });
  const server = createServer(connectNodeAdapter({ routes }));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return { address: `http://127.0.0.1:${server.address().port}` };
}

export async function connect(address) {
  const client = createClient(Greeter, createGrpcTransport({ baseUrl: address }));
  return {
    call: (name) => client.hello({ name }),
    async stream(n) {
      let got = 0;
      for await (const { s } of client.count({ n })) if (s === "tick") got++;
      return got;
    },
    async chat(n) {
      let got = 0;
      let next;
      let turn = new Promise((resolve) => (next = resolve));
      async function* pings() {
        for (let i = 0; i < n; i++) {
          yield { i, s: "ping" };
          await turn;
          turn = new Promise((resolve) => (next = resolve));
        }
      }
      for await (const _ of client.chat(pings())) {
        got++;
        next();
      }
      return got;
    },
  };
}
