// node:http2 as it is: one session, one stream a call.
import { once } from "node:events";
import { connect as dial, createServer } from "node:http2";

function whole(stream, done) {
  const chunks = [];
  stream.on("data", (chunk) => chunks.push(chunk));
  stream.on("end", () => done(JSON.parse(chunks.length === 1 ? chunks[0] : Buffer.concat(chunks))));
}

export async function start() {
  const server = createServer({ settings: { maxConcurrentStreams: 1000 } });
  server.on("stream", (stream) =>
    whole(stream, ({ name }) => {
      stream.respond({ ":status": 200, "content-type": "application/json" });
      stream.end(JSON.stringify({ msg: `Hello ${name}` }));
    }),
  );
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return { address: `http://127.0.0.1:${server.address().port}` };
}

export async function connect(address) {
  const session = dial(address);
  await once(session, "connect");
  return {
    call: (name) =>
      new Promise((resolve, reject) => {
        const stream = session.request({ ":method": "POST", ":path": "/", "content-type": "application/json" });
        stream.on("error", reject);
        whole(stream, resolve);
        stream.end(JSON.stringify({ name }));
      }),
  };
}
