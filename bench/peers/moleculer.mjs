import moleculer from "moleculer";
import { freePort } from "../lib/proc.mjs";

// Its UDP discovery needs multicast; nodes are named instead.
const broker = (nodeID, port, urls) =>
  new moleculer.ServiceBroker({
    nodeID,
    logger: false,
    transporter: { type: "TCP", options: { udpDiscovery: false, port, urls } },
    requestTimeout: 30_000,
  });

export async function start() {
  const port = await freePort();
  const server = broker("server", port, []);
  server.createService({
    name: "greeter",
    actions: { hello: ({ params }) => ({ msg: `Hello ${params.name}` }) },
  });
  await server.start();
  return { address: `127.0.0.1:${port}/server`, close: () => server.stop() };
}

export async function connect(address) {
  const client = broker("client", await freePort(), [address]);
  await client.start();
  await client.waitForServices("greeter", 20_000, 50);
  return { call: (name) => client.call("greeter.hello", { name }), close: () => client.stop() };
}
