import { sleep, systemClock } from "ts-micro/clock";
import { type Command, needArgs } from "../command.ts";
import { compact, requestBody, sorted } from "../json.ts";
import { withSession } from "../session.ts";

/** How long a service may take to end a stream that we have ended, in ms. */
const farewell = 2000;

const server: Command = {
  name: "server",
  aliases: ["s"],
  summary: "Send one request and print each reply of the stream",
  usage: "SERVICE ENDPOINT [JSON…]",
  examples: [`stream server greeter Greeter.Stream '{"count":3}'`],
  async run(invocation) {
    const [service, endpoint] = needArgs(invocation, "SERVICE", "ENDPOINT") as [string, string];
    const { out, args, signal } = invocation;
    const request = requestBody(args.slice(2).join(" ") || "{}");
    await withSession(invocation, async ({ client }) => {
      await using stream = client.stream(service, endpoint, { stream: "server", signal });
      await stream.send(request);
      stream.end();
      for await (const reply of stream) await out.line(compact(sorted(reply)));
    });
  },
};

const bidi: Command = {
  name: "bidi",
  aliases: ["b"],
  summary: "For each JSON: send it, wait for a reply, print that",
  usage: "SERVICE ENDPOINT JSON…",
  examples: [`stream bidi greeter Greeter.Chat '{"text":"a"}' '{"text":"b"}'`],
  async run(invocation) {
    const [service, endpoint] = needArgs(invocation, "SERVICE", "ENDPOINT", "JSON") as [string, string];
    const { out, args, signal } = invocation;
    const requests = args.slice(2).map(requestBody);
    return withSession(invocation, async ({ client }) => {
      await using stream = client.stream(service, endpoint, { stream: "bidi", signal });
      const replies = stream[Symbol.asyncIterator]();
      for (const [sent, request] of requests.entries()) {
        // Why sending fails, reading tells.
        await stream.send(request).catch(() => {});
        const { done, value } = await replies.next();
        if (done === true) return endedEarly(requests.length - sent - 1);
        await out.line(compact(sorted(value)));
      }
      stream.end();
      // The reference does not read on either; but a failure at the end is one.
      const ended = (async () => {
        while ((await replies.next()).done !== true);
      })();
      await Promise.race([ended, sleep(systemClock, farewell, signal)]);
      return 0;
    });
  },
};

function endedEarly(left: number): number {
  if (left === 0) return 0;
  process.stderr.write(`micro: the service ended the stream; not sent: ${left}\n`);
  return 1;
}

export const stream: Command = {
  name: "stream",
  summary: "Open a stream to a service",
  commands: [server, bidi],
};
