// Ours, as a user has it: a typed service and a typed client, defaults throughout. Found by name in the `local` registry of a folder of its own.
import { createClient, createService, endpoint } from "ts-micro";
import { ambientOn } from "../lib/ambient.mjs";

const name = "bench";

/** Wires that are chosen by name; without one it is what two ts-micro peers agree on. */
const componentsOf = ({ protocol }) => {
  if (protocol === undefined) return {};
  // The environment is checked by every version, an option that a version does not know is not.
  process.env.MICRO_PROTOCOL = protocol;
  return { protocols: [protocol] };
};

const wrappers = (n = 0) => Array.from({ length: n }, () => (call, next) => next(call));
const entries = (n = 0) =>
  Object.fromEntries(Array.from({ length: n }, (_, i) => [`X-Bench-${i}`, `value of the entry ${i}`]));

const items = async function* ({ n }) {
  for (let i = 0; i < n; i++) yield { i, s: "tick" };
};

const descriptor = async () => (await import("../gen/bench_pb.js")).Greeter;

export async function start(options) {
  const service = createService({
    name,
    address: "127.0.0.1:0",
    logLevel: "error",
    interceptors: wrappers(options.wrappers),
    ...(ambientOn(process.versions.node) ? { ambient: true } : {}),
    ...componentsOf(options),
  });
  const hello = ({ name: who }) => ({ msg: `Hello ${who}` });
  const chat = async function* (messages) {
    for await (const { i, s } of messages) yield { i, s };
  };
  if (options.codec === "protobuf") service.implement(await descriptor(), { hello, count: items, chat });
  else {
    service.handle("Greeter", {
      hello,
      count: items,
      chat: endpoint({ stream: "bidi" }, chat),
      async publish({ n }) {
        for (let i = 0; i < n; i += 32) {
          const batch = Array.from({ length: Math.min(32, n - i) }, (_, k) => ({ i: i + k, s: "tick" }));
          await Promise.all(batch.map((message) => service.publish("bench", message)));
        }
        return {};
      },
    });
  }
  await service.start();
  return { address: service.server.address, close: () => service.stop() };
}

export async function connect(address, options) {
  const client = createClient({
    logLevel: "error",
    interceptors: wrappers(options.wrappers),
    ...componentsOf(options),
  });
  const typed = options.codec === "protobuf";
  const greeter = typed ? client.service(name, await descriptor()) : client.service(name).Greeter;
  await greeter.hello({ name: "first" }, { waitFor: "10s" });
  const metadata = options.metadata ? { metadata: entries(options.metadata) } : undefined;
  const count = async (n) => {
    let got = 0;
    for await (const { s } of greeter.count({ n })) if (s === "tick") got++;
    return got;
  };
  const callback = async (n) => {
    let got = 0;
    await greeter.count({ n }).forEach(({ s }) => {
      if (s === "tick") got++;
    });
    return got;
  };
  let heard;
  return {
    call: metadata ? (who) => greeter.hello({ name: who }, metadata) : (who) => greeter.hello({ name: who }),
    stream: count,
    async fanoutStreams(n) {
      const all = await Promise.all(Array.from({ length: 4 }, () => count(n)));
      return all.reduce((sum, got) => sum + got, 0);
    },
    async chat(n) {
      const chat = greeter.chat();
      let got = 0;
      await chat.send({ i: 0, s: "ping" });
      for await (const { i } of chat) {
        got++;
        if (got < n) await chat.send({ i: i + 1, s: "ping" });
        else chat.end();
      }
      return got;
    },
    streamCallback: callback,
    ...(options.pubsub !== true
      ? {}
      : {
          async fanout(n) {
            heard ??= await subscribers();
            let got = 0;
            const all = new Promise((resolve) => {
              heard.message = () => ++got === n * 4 && resolve(got);
            });
            await greeter.publish({ n }, { timeout: "2m" });
            return all;
          },
        }),
    close: () => client.close(),
  };
}

/** Four services that hear the same topic. */
async function subscribers() {
  const heard = { message: () => {} };
  for (let i = 0; i < 4; i++) {
    const service = createService({ name: `subscriber-${i}`, address: "127.0.0.1:0", logLevel: "error" });
    await service.subscribe("bench", (message) => heard.message(message)).start();
  }
  // The publisher hears of them by its watch.
  await new Promise((resolve) => setTimeout(resolve, 1500));
  return heard;
}
