import { createClient } from "ts-micro";
import type { Greeter } from "./replica.js";

type Order = "tour" | "load" | "stop load";
type Tally = { calls: number; failed: number; slowestMs: number; replicas: Record<string, number>; errors: string[] };

const client = createClient({ logLevel: "error", requestTimeout: "5s" });
const greet = client.service<Greeter>("demo-greeter").Greeter;
const say = (line: string): void => void process.send?.({ line });

async function tour(): Promise<void> {
  const first = await greet.hello({ name: "Ada" }, { waitFor: "5s" });
  say(`found by name and called: ${first.msg} (from replica ${first.from})`);
  const counted: number[] = [];
  for await (const { n } of greet.count({ to: 5 })) counted.push(n);
  say(`server stream: ${counted.join(" ")}`);
  const chat = greet.chat();
  const heard: string[] = [];
  await chat.send({ text: "one" });
  await chat.send({ text: "two" });
  chat.end();
  for await (const { text } of chat) heard.push(text);
  say(`bidi stream: ${heard.join(", ")}`);
  await client.publish("demo.news", { text: "it works" });
  say("published to demo.news");
}

let tally: Tally;
let loading: Promise<void>;
let on = false;

/** Eight callers, one call after another, until told to stop. */
function load(): void {
  tally = { calls: 0, failed: 0, slowestMs: 0, replicas: {}, errors: [] };
  on = true;
  const caller = async (): Promise<void> => {
    while (on) {
      const began = performance.now();
      try {
        const { from } = await greet.hello({ name: "load" });
        tally.replicas[from] = (tally.replicas[from] ?? 0) + 1;
      } catch (error) {
        tally.failed++;
        if (tally.errors.length < 3) tally.errors.push(String(error));
      }
      tally.calls++;
      tally.slowestMs = Math.max(tally.slowestMs, performance.now() - began);
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  };
  loading = Promise.all(Array.from({ length: 8 }, caller)).then(() => {});
}

process.on("message", (order: Order) => {
  const obey = async (): Promise<unknown> => {
    if (order === "tour") return tour();
    if (order === "load") return load();
    on = false;
    await loading;
    return tally;
  };
  obey().then(
    (done) => process.send?.({ done: done ?? true }),
    (error: unknown) =>
      process.send?.({ error: error instanceof Error ? (error.stack ?? error.message) : String(error) }),
  );
});
process.send?.({ ready: "client" });
