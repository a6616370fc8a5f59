// Calls within a process: nanoseconds a call, one after the other. `in-process.mjs ours|least|moleculer [off]`; `off`: without the ambient
// context. Each in a process of its own: a storage costs every promise there is.
import { AsyncLocalStorage } from "node:async_hooks";
import { nanoseconds } from "../lib/timing.mjs";

const [what, off] = process.argv.slice(2);
const wrapper = (call, next) => next(call);
const hello = ({ name }) => ({ msg: `Hello ${name}` });
const later = async (request) => hello(request);
const repeat = (call) => async (n) => {
  for (let i = 0; i < n; i++) await call({ name: "John" });
};

/** A service calling itself. */
async function ours() {
  const { createService } = await import("ts-micro");
  const stops = [];
  const service = async (name, interceptors) => {
    const made = createService({
      name,
      address: "127.0.0.1:0",
      logLevel: "error",
      ...(off ? { ambient: false } : {}),
      interceptors,
    }).handle("Greeter", {
      sync: hello,
      async: later,
      /** What a nested call inherits by itself: nothing without the ambient context. */
      outer: () => made.client.service(name).Greeter.inner({}),
      inner: (_, ctx) => ({ seen: ctx.metadata.get("X-Bench") ?? null }),
    });
    await made.start();
    stops.push(() => made.stop());
    return made.client.service(name).Greeter;
  };
  const bare = await service("bare", []);
  const wrapped = await service("wrapped", [wrapper]);
  const { seen } = await bare.outer({}, { metadata: { "X-Bench": "1" } });
  if ((seen === null) !== (off !== undefined)) throw new Error(`the ambient context is ${seen}`);
  const withMetadata = { metadata: { "X-Tenant": "acme" } };
  return {
    cases: {
      "sync handler": repeat((request) => bare.sync(request)),
      "async handler": repeat((request) => bare.async(request)),
      "sync handler, 1 wrapper": repeat((request) => wrapped.sync(request)),
      "async handler, 1 wrapper": repeat((request) => wrapped.async(request)),
      "async handler, 1 wrapper, metadata": repeat((request) => wrapped.async(request, withMetadata)),
    },
    stop: () => Promise.all(stops.map((stop) => stop())),
  };
}

/** Below this nobody gets: the handler under a context, and where it answers later a promise that a deadline can settle before it does. */
async function least() {
  const storage = off ? undefined : new AsyncLocalStorage();
  const under = (context, request, handler) =>
    storage === undefined ? handler(request) : storage.run(context, handler, request);
  const leastLater = (request) =>
    new Promise((resolve, reject) => {
      under({ request, reject }, request, later).then(resolve, reject);
    });
  const plain = new Map([["Greeter.Hello", later]]);
  return {
    cases: {
      "the least: sync handler": repeat((request) => Promise.resolve(under({ request }, request, hello))),
      "the least: async handler": repeat(leastLater),
      "async function in a Map": repeat((request) => plain.get("Greeter.Hello")(request)),
    },
  };
}

async function moleculer() {
  const { ServiceBroker } = (await import("moleculer")).default;
  const broker = new ServiceBroker({ logger: false });
  const actions = { sync: ({ params }) => hello(params), async: ({ params }) => later(params) };
  broker.createService({ name: "greeter", actions });
  await broker.start();
  return {
    cases: {
      "moleculer: sync handler": repeat((request) => broker.call("greeter.sync", request)),
      "moleculer: async handler": repeat((request) => broker.call("greeter.async", request)),
    },
    stop: () => broker.stop(),
  };
}

const { cases, stop } = await { ours, least, moleculer }[what]();
console.log(JSON.stringify(await nanoseconds(cases)));
await stop?.();
