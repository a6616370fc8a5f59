// A service calling itself: nanoseconds a call, one after the other. `in-process.mjs off` asks for calls without the ambient context.
import { AsyncLocalStorage } from "node:async_hooks";
import { createService } from "ts-micro";
import { nanoseconds } from "../lib/timing.mjs";

const off = process.argv[2] === "off";
const ambient = off ? { ambient: false } : {};
const wrapper = (call, next) => next(call);

const hello = ({ name }) => ({ msg: `Hello ${name}` });

async function service(name, interceptors) {
  const made = createService({
    name,
    address: "127.0.0.1:0",
    logLevel: "error",
    ...ambient,
    interceptors,
  }).handle("Greeter", {
    sync: hello,
    async: async (request) => hello(request),
    /** What a nested call inherits by itself: nothing without the ambient context. */
    outer: () => made.client.service(name).Greeter.inner({}),
    inner: (_, ctx) => ({ seen: ctx.metadata.get("X-Bench") ?? null }),
  });
  await made.start();
  return { service: made, greeter: made.client.service(name).Greeter };
}

const bare = await service("bare", []);
const wrapped = await service("wrapped", [wrapper]);
const { seen } = await bare.greeter.outer({}, { metadata: { "X-Bench": "1" } });

const repeat = (call) => async (n) => {
  for (let i = 0; i < n; i++) await call({ name: "John" });
};
const withMetadata = { metadata: { "X-Tenant": "acme" } };
const plain = new Map([["Greeter.Hello", async (request) => hello(request)]]);

// Below this nobody gets: the handler under a context, and where it answers later a promise that a deadline can settle before it does.
const storage = off ? undefined : new AsyncLocalStorage();
const under = (context, request, handler) =>
  storage === undefined ? handler(request) : storage.run(context, handler, request);
const least = (request) => Promise.resolve(under({ request }, request, hello));
const leastLater = (request) =>
  new Promise((resolve, reject) => {
    under({ request, reject }, request, plain.get("Greeter.Hello")).then(resolve, reject);
  });

const figures =
  off && seen !== null
    ? {}
    : await nanoseconds({
        "async function in a Map": repeat((request) => plain.get("Greeter.Hello")(request)),
        "the least: sync handler": repeat(least),
        "the least: async handler": repeat(leastLater),
        "sync handler": repeat((request) => bare.greeter.sync(request)),
        "async handler": repeat((request) => bare.greeter.async(request)),
        "sync handler, 1 wrapper": repeat((request) => wrapped.greeter.sync(request)),
        "async handler, 1 wrapper": repeat((request) => wrapped.greeter.async(request)),
        "async handler, 1 wrapper, metadata": repeat((request) => wrapped.greeter.async(request, withMetadata)),
      });
console.log(JSON.stringify(figures));
await Promise.all([bare.service.stop(), wrapped.service.stop()]);
