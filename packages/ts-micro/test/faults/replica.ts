// A service in a process of its own, to be killed, paused and restarted. Configured by the environment; says "ready" with its address.
import { createService, endpoint } from "../../src/index.ts";

const who = process.env["REPLICA"] ?? "?";

const service = createService({ name: "greeter", logLevel: "fatal" }).handle("Greeter", {
  hello: () => ({ from: who }),
  safe: endpoint({ idempotent: true }, () => ({ from: who })),
  slow: ({ ms }: { ms: number }) =>
    new Promise<{ from: string }>((resolve) => setTimeout(() => resolve({ from: who }), ms)),
  async *count({ to, ms }: { to: number; ms: number }) {
    for (let n = 1; n <= to; n++) {
      await new Promise((resolve) => setTimeout(resolve, ms));
      yield { n };
    }
  },
});
export type Greeter = typeof service;

process.on("disconnect", () => process.kill(process.pid, "SIGKILL"));
process.once("SIGTERM", () => void service.stop().then(() => process.disconnect()));
await service.start();
process.send?.({ ready: service.server.address });
