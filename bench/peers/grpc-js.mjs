import grpc from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";

const { Greeter } = grpc.loadPackageDefinition(
  loadSync(new URL("./bench.proto", import.meta.url).pathname, { keepCase: true }),
).bench;

export async function start() {
  const server = new grpc.Server();
  server.addService(Greeter.service, {
    hello: ({ request }, reply) => reply(null, { msg: `Hello ${request.name}` }),
    count(call) {
      const { n } = call.request;
      let i = 0;
      const more = () => {
        while (i < n) if (!call.write({ i: i++, s: "tick" })) return void call.once("drain", more);
        call.end();
      };
      more();
    },
    chat(call) {
      call.on("data", ({ i, s }) => call.write({ i, s }));
      call.on("end", () => call.end());
    },
  });
  const port = await new Promise((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    );
  });
  return { address: `127.0.0.1:${port}` };
}

export async function connect(address) {
  const client = new Greeter(address, grpc.credentials.createInsecure());
  return {
    call: (name) =>
      new Promise((resolve, reject) => {
        client.hello({ name }, (error, reply) => (error ? reject(error) : resolve(reply)));
      }),
    streamCallback: (n) =>
      new Promise((resolve, reject) => {
        let got = 0;
        client
          .count({ n })
          .on("data", () => got++)
          .on("end", () => resolve(got))
          .on("error", reject);
      }),
    async stream(n) {
      let got = 0;
      for await (const { s } of client.count({ n })) if (s === "tick") got++;
      return got;
    },
    chat: (n) =>
      new Promise((resolve, reject) => {
        const chat = client.chat();
        let got = 0;
        chat
          .on("data", ({ i }) => (++got < n ? chat.write({ i: i + 1, s: "ping" }) : chat.end()))
          .on("end", () => resolve(got))
          .on("error", reject);
        chat.write({ i: 0, s: "ping" });
      }),
  };
}
