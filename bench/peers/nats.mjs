// Request/reply through a nats-server, which runs on the server's CPU and is counted with it.
import { connect as dial, JSONCodec } from "nats";
import { freePort, program } from "../lib/proc.mjs";
import { builtServer } from "../lib/servers.mjs";

const codec = JSONCodec();

async function dialled(servers) {
  for (let left = 50; ; left--) {
    try {
      return await dial({ servers });
    } catch (error) {
      if (left === 0) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

export async function start() {
  const port = await freePort();
  const broker = program(`${builtServer("nats")}/bin/nats-server`, ["-a", "127.0.0.1", "-p", String(port)], {
    stdio: "ignore",
  });
  const address = `127.0.0.1:${port}`;
  const connection = await dialled(address);
  connection.subscribe("hello", {
    callback: (_, message) => message.respond(codec.encode({ msg: `Hello ${codec.decode(message.data).name}` })),
  });
  await connection.flush();
  return { address, processes: [broker] };
}

export async function connect(address) {
  const connection = await dialled(address);
  return {
    call: async (name) =>
      codec.decode((await connection.request("hello", codec.encode({ name }), { timeout: 30_000 })).data),
    close: () => connection.close(),
  };
}
