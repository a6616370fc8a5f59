import { sleep, systemClock } from "ts-micro/clock";
import { advised } from "../advised.ts";
import { type Command, needArgs } from "../command.ts";
import { compact, sorted } from "../json.ts";
import { requestOf, requestsOf } from "../requests.ts";
import { sentFlags, sentMetadata } from "../sent.ts";
import { withSession } from "../session.ts";

/** How long a service may take to end a stream that we have ended, in ms. */
const farewell = 2000;

const server: Command = {
  name: "server",
  aliases: ["s"],
  summary: "Send one request and print each reply of the stream",
  usage: "SERVICE ENDPOINT [JSON…|-]",
  examples: [`stream server greeter Greeter.Stream '{"count":3}'`],
  flags: sentFlags,
  async run(invocation) {
    const [service, endpoint] = needArgs(invocation, "SERVICE", "ENDPOINT") as [string, string];
    const { out, args, signal } = invocation;
    const metadata = sentMetadata(invocation);
    const request = await requestOf(args.slice(2), signal);
    await withSession(invocation, (session) =>
      advised(session, service, endpoint, async () => {
        await using stream = session.client.stream(service, endpoint, { stream: "server", signal, metadata });
        await stream.send(request);
        stream.end();
        for await (const reply of stream) await out.line(compact(sorted(reply)));
      }),
    );
  },
};

const client: Command = {
  name: "client",
  aliases: ["c"],
  summary: "Send each JSON, print the one reply",
  usage: "SERVICE ENDPOINT JSON…|-",
  examples: [
    `stream client greeter Greeter.Sum '{"n":1}' '{"n":2}'`,
    "stream client greeter Greeter.Sum - < numbers.jsonl",
  ],
  flags: sentFlags,
  async run(invocation) {
    const [service, endpoint] = needArgs(invocation, "SERVICE", "ENDPOINT", "JSON") as [string, string];
    const { out, args, signal } = invocation;
    const metadata = sentMetadata(invocation);
    const over = new AbortController();
    const requests = requestsOf(args.slice(2), AbortSignal.any([signal, over.signal]));
    const reply = await withSession(invocation, (session) =>
      advised(session, service, endpoint, async () => {
        await using stream = session.client.stream(service, endpoint, { stream: "client", signal, metadata });
        const replied = stream[Symbol.asyncIterator]().next();
        const sent = (async () => {
          // Why sending fails, reading tells.
          for await (const request of requests) await stream.send(request).catch(() => over.abort());
          stream.end();
        })();
        try {
          // A request that is none ends it; so does a service that has heard enough.
          await Promise.race([replied, sent]);
          return await replied;
        } finally {
          replied.catch(() => {});
          sent.catch(() => {});
          over.abort();
        }
      }),
    );
    if (reply.done === true) return endedEarly(undefined);
    await out.line(compact(sorted(reply.value)));
    return 0;
  },
};

const bidi: Command = {
  name: "bidi",
  aliases: ["b"],
  summary: "For each JSON: send it, wait for a reply, print that",
  usage: "SERVICE ENDPOINT JSON…|-",
  examples: [`stream bidi greeter Greeter.Chat '{"text":"a"}' '{"text":"b"}'`, "stream bidi greeter Greeter.Chat -"],
  flags: sentFlags,
  async run(invocation) {
    const [service, endpoint] = needArgs(invocation, "SERVICE", "ENDPOINT", "JSON") as [string, string];
    const { out, args, signal } = invocation;
    const metadata = sentMetadata(invocation);
    const requests = requestsOf(args.slice(2), signal);
    return withSession(invocation, (session) =>
      advised(session, service, endpoint, async () => {
        await using stream = session.client.stream(service, endpoint, { stream: "bidi", signal, metadata });
        const replies = stream[Symbol.asyncIterator]();
        let sent = 0;
        for await (const request of requests) {
          // Why sending fails, reading tells.
          await stream.send(request).catch(() => {});
          const { done, value } = await replies.next();
          sent++;
          if (done === true) return endedEarly(requests.count === undefined ? undefined : requests.count - sent);
          await out.line(compact(sorted(value)));
        }
        stream.end();
        // The reference does not read on either; but a failure at the end is one.
        const ended = (async () => {
          while ((await replies.next()).done !== true);
        })();
        await Promise.race([ended, sleep(systemClock, farewell, signal)]);
        return 0;
      }),
    );
  },
};

function endedEarly(left: number | undefined): number {
  if (left === 0) return 0;
  process.stderr.write(`micro: the service ended the stream${left === undefined ? "" : `; not sent: ${left}`}\n`);
  return 1;
}

export const stream: Command = {
  name: "stream",
  summary: "Open a stream to a service",
  commands: [server, client, bidi],
};
