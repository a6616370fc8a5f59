// A process whose selectors fail in every way. Its address comes as argument; it says how each call ended, and has to end by itself.
import { createClient, type Selector } from "../../src/index.ts";
import { memoryRegistry } from "../../src/registry/memory.ts";
import { randomSelector } from "../../src/selector/random.ts";

const address = process.argv[2] as string;
const registry = memoryRegistry();
await registry.register({
  name: "s",
  version: "1",
  metadata: {},
  endpoints: [],
  nodes: [{ id: "s-1", address, metadata: { protocol: "mucp", transport: "http", "ts-wire": "1" } }],
});

const faults: Record<string, () => unknown> = {
  throws: () => {
    throw new Error("out of order");
  },
  rejects: () => Promise.reject(new Error("out of order")),
  "gives nothing": () => undefined,
};
const said: Record<string, string> = {};
process.on("warning", ({ message }) => (said["warning"] = message));

for (const method of ["select", "started", "ended"] as const)
  for (const [how, fault] of Object.entries(faults)) {
    if (how === "gives nothing" && method !== "select") continue;
    for (const wire of ["fast", "mucp"]) {
      let faulty = false;
      const inner = randomSelector();
      const selector = {
        ...forward(inner),
        [method]: (...args: never[]) => (faulty ? fault() : forward(inner)[method](...(args as [never, never, never]))),
      };
      const client = createClient({ registry, env: false, protocols: [wire], selector: selector as Selector });
      const around = createClient({
        registry,
        env: false,
        protocols: [wire],
        selector: selector as Selector,
        interceptors: [(call, next) => next(call)],
      });
      await client.call("s", "S.Hello", {});
      faulty = true;
      const { signal } = new AbortController();
      const outcome = async (work: () => Promise<unknown>): Promise<string> => {
        try {
          await work();
          return "well";
        } catch (error) {
          const { code, detail } = error as { code: string; detail: string };
          return `${code} ${detail}`;
        }
      };
      const stream = async (): Promise<void> => {
        const opened = client.stream("s", "S.Feed", { stream: "server" });
        await opened.send({});
        for await (const _ of opened);
      };
      const ways = [
        () => client.call("s", "S.Hello", {}),
        () => client.call("s", "S.Hello", {}, { signal }),
        () => client.call("s", "S.Hello", {}, { oneway: true }),
        () => client.call("s", "S.Hello", {}, { filters: [] }),
        () => around.call("s", "S.Hello", {}),
        () => around.call("s", "S.Hello", {}),
        stream,
      ];
      for (const [n, way] of ways.entries()) said[`${method} ${how} ${wire} ${n}`] = await outcome(way);
    }
  }

function forward(inner: Selector): Selector {
  return {
    name: "faulty",
    select: (...args) => inner.select(...args),
    started: (...args) => inner.started(...args),
    ended: (...args) => inner.ended(...args),
    reset: (...args) => inner.reset(...args),
  };
}

await new Promise((resolve) => setImmediate(resolve));
process.stdout.write(JSON.stringify(said));
