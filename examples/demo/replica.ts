import { createService, endpoint } from "ts-micro";
import { z } from "zod";

const who = process.env["REPLICA"] ?? "?";

const greeter = createService({ name: "demo-greeter", logLevel: "error" })
  .handle("Greeter", {
    hello: endpoint({ request: z.object({ name: z.string() }), idempotent: true }, async ({ name }) => ({
      msg: `Hello ${name}`,
      from: who,
    })),
    async *count({ to }: { to: number }) {
      for (let n = 1; n <= to; n++) yield { n };
    },
    chat: endpoint({ stream: "bidi", request: z.object({ text: z.string() }) }, async function* (messages) {
      for await (const { text } of messages) yield { text: `${who} heard ${text}` };
    }),
  })
  .subscribe<{ text: string }>("demo.news", ({ text }) => {
    process.send?.({ heard: text });
  });
export type Greeter = typeof greeter;

await greeter.start();
process.send?.({ ready: greeter.server.address });
process.on("disconnect", () => void greeter.stop());
process.once("SIGTERM", () => void greeter.stop().then(() => process.disconnect?.()));
