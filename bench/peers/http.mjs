// node:http and undici's own interface: what a careful user writes without a framework.
import { once } from "node:events";
import { createServer } from "node:http";
import { Pool } from "undici";

export async function start() {
  const server = createServer((request, response) => {
    const chunks = [];
    request.on("data", (chunk) => chunks.push(chunk));
    request.on("end", () => {
      const { name } = JSON.parse(chunks.length === 1 ? chunks[0] : Buffer.concat(chunks));
      const body = JSON.stringify({ msg: `Hello ${name}` });
      response.writeHead(200, { "content-type": "application/json", "content-length": Buffer.byteLength(body) });
      response.end(body);
    });
  });
  server.keepAliveTimeout = 600_000;
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return { address: `127.0.0.1:${server.address().port}` };
}

/** With `micro` as a plain JSON client of a Go Micro service. */
export async function connect(address, { micro = false }) {
  const pool = new Pool(`http://${address}`, { connections: 128, pipelining: 1 });
  const headers = {
    "content-type": "application/json",
    ...(micro ? { "micro-service": "bench", "micro-endpoint": "Greeter.Hello" } : {}),
  };
  return {
    async call(name) {
      const { body } = await pool.request({ method: "POST", path: "/", headers, body: JSON.stringify({ name }) });
      return body.json();
    },
    close: () => pool.destroy(),
  };
}
