import type { Duplex } from "ts-micro";
import { sleep, systemClock } from "ts-micro/clock";
import { advised } from "../advised.ts";
import type { Command, Invocation } from "../command.ts";
import { compact, sorted } from "../json.ts";
import { requestOf, requestsOf } from "../requests.ts";
import { withSession } from "../session.ts";
import { type Target, targetFlags, targetOf } from "../target.ts";

/** How long a service may take to end a stream that we have ended, and the reason why sending fails to be read, in ms. */
const farewell = 2000;

type Opened = Duplex<Uint8Array, unknown>;

/** Opens a stream to the target, for `work`, and closes it. */
function opened<T>(
  invocation: Invocation,
  kind: "server" | "client" | "bidi",
  target: Target,
  work: (stream: Opened) => Promise<T>,
): Promise<T> {
  const { service, endpoint, options } = target;
  return withSession(invocation, (session) =>
    advised(session, kind, target, async () => {
      await using stream = session.client.stream(service, endpoint, { ...options, stream: kind });
      return await work(stream);
    }),
  );
}

/** Rejects late: what ended the stream, reading tells before; a request that is refused on this side ends nothing. */
async function send(stream: Opened, request: Uint8Array, over: AbortSignal): Promise<void> {
  try {
    await stream.send(request);
  } catch (error) {
    await sleep(systemClock, farewell, over);
    throw error;
  }
}

/** The reply, unless `sent` fails before it comes. */
async function unlessUnsent<T>(sent: Promise<void>, reply: Promise<T>): Promise<T> {
  sent.catch(() => {});
  reply.catch(() => {});
  await Promise.race([reply, sent]);
  return reply;
}

const server: Command = {
  name: "server",
  aliases: ["s"],
  summary: "Send one request and print each reply of the stream",
  usage: "SERVICE ENDPOINT [JSON…|-]",
  examples: [`stream server greeter Greeter.Stream '{"count":3}'`],
  flags: targetFlags,
  async run(invocation) {
    const target = targetOf(invocation);
    const request = await requestOf(target.words, target.options.signal);
    await opened(invocation, "server", target, async (stream) => {
      await stream.send(request);
      stream.end();
      for await (const reply of stream) await invocation.out.line(compact(sorted(reply)));
    });
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
  flags: targetFlags,
  async run(invocation) {
    const target = targetOf(invocation, "JSON");
    const over = new AbortController();
    const ended = AbortSignal.any([target.options.signal, over.signal]);
    const requests = requestsOf(target.words, ended);
    const reply = await opened(invocation, "client", target, async (stream) => {
      const sent = (async () => {
        for await (const request of requests) await send(stream, request, ended);
        stream.end();
      })();
      try {
        // A request that is none ends it; so does a service that has heard enough.
        return await unlessUnsent(sent, stream[Symbol.asyncIterator]().next());
      } finally {
        over.abort();
      }
    });
    if (reply.done === true) return endedEarly(undefined);
    await invocation.out.line(compact(sorted(reply.value)));
    return 0;
  },
};

const bidi: Command = {
  name: "bidi",
  aliases: ["b"],
  summary: "For each JSON: send it, wait for a reply, print that",
  usage: "SERVICE ENDPOINT JSON…|-",
  examples: [`stream bidi greeter Greeter.Chat '{"text":"a"}' '{"text":"b"}'`, "stream bidi greeter Greeter.Chat -"],
  flags: targetFlags,
  async run(invocation) {
    const target = targetOf(invocation, "JSON");
    const { signal } = target.options;
    const requests = requestsOf(target.words, signal);
    return opened(invocation, "bidi", target, async (stream) => {
      const replies = stream[Symbol.asyncIterator]();
      let sent = 0;
      for await (const request of requests) {
        const sending = send(stream, request, signal);
        const { done, value } = await unlessUnsent(sending, replies.next());
        sent++;
        if (done === true) return endedEarly(requests.count === undefined ? undefined : requests.count - sent);
        await invocation.out.line(compact(sorted(value)));
        // The service may talk without having been asked.
        await sending;
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
