import assert from "node:assert/strict";
import type { Listener } from "../protocol.ts";
import type { Connection, Message, Transport } from "../transport.ts";
import { defineSuite, eventually, within, type Runner, type Skips } from "./suite.ts";
import { stage, type Stage, type User } from "./transport/stage.ts";

/** What a transport is asked to show. */
export interface TransportSuite {
  /** A transport with nothing in it yet. */
  create(): Transport | Promise<Transport>;
  /** Where its servers listen. Default `transport.listen("")`. */
  listen?(transport: Transport, serve: (connection: Connection) => void): Promise<Listener>;
  /** An address that nobody listens at. Default that of a listener just closed. */
  nobody?: string;
  /** Largest body that the transport carries, in bytes. Default 4 MiB. */
  maxBody?: number;
  skip?: Skips<TransportPromise>;
}

export type TransportPromise =
  | "a message goes there and another one comes back"
  | "headers arrive with their values, UTF-8 ones included"
  | "a header map has no prototype"
  | "an empty body arrives as an empty body"
  | "a body of 1 MiB arrives unchanged, both ways"
  | "a body at the limit passes, one above it is PAYLOAD_TOO_LARGE and nothing of it arrives"
  | "what the sender does to its header afterwards does not show at the receiver"
  | "messages arrive in the order in which they were sent"
  | "the server may answer many times, and before the request"
  | "a connection that was given back is used again"
  | "a connection that was not given back is used by nobody else"
  | "a connection dialled for a stream is never shared"
  | "a former user of a connection cannot touch its next exchange"
  | "an idle connection on which an answer arrives is used by nobody any more"
  | "forget lets idle connections go"
  | "fifty connections at once keep their messages apart"
  | "the client's close reaches the server once, after what was sent before"
  | "the server's close reaches the client once, after what was sent before"
  | "an idle connection that the server closed is not used again"
  | "destroy in mid-message reaches the other end once"
  | "who closed hears nothing more"
  | "sending after the end is CONNECTION_LOST"
  | "a dial that finds nobody is UNAVAILABLE and refused"
  | "a dial whose caller gave up is CANCELLED"
  | "a dial without time left is TIMEOUT"
  | "a paused receiver holds its sender back, and loses nothing"
  | "drain closes idle connections and lets calls finish"
  | "a connection that is busy is not drained"
  | "close ends every connection and every pending send";

/** Everything that a transport promises (`Transport` in transport.ts). */
export function transportConformance(t: Runner, suite: TransportSuite): void {
  const maxBody = suite.maxBody ?? 4 << 20;
  defineSuite<Stage, TransportPromise>(t, {
    name: "transport conformance",
    skip: suite.skip,
    setup: async () => stage(suite),
    teardown: (stage) => stage.close(),
    promises: {
      "a message goes there and another one comes back": async ({ serve, dial }) => {
        await serve(echo);
        const client = await dial();
        await client.connection.send(message("hello", { "Micro-Id": "1" }));
        assert.equal(text(await client.next()), "hello");
      },

      "headers arrive with their values, UTF-8 ones included": async ({ serve, dial }) => {
        const header = {
          "Micro-Id": "7",
          "X-Empty": "",
          "X-Utf": "grüße 世界 🚀",
          "X-Spaces": "a  b",
          "X-Colon": "http://host:80/?a=b",
        };
        await serve(echo);
        const client = await dial();
        await client.connection.send({ header, body: bytes("x") });
        const reply = await client.next();
        for (const [name, value] of Object.entries(header)) assert.equal(reply.header[name], value, name);
      },

      "a header map has no prototype": async ({ serve, dial }) => {
        await serve(echo);
        const client = await dial();
        await client.connection.send(message("x", { Constructor: "mine" }));
        const { header } = await client.next();
        assert.equal(header["toString"], undefined);
        assert.equal(header["__proto__"], undefined);
        assert.equal(header["Constructor"], "mine");
      },

      "an empty body arrives as an empty body": async ({ serve, dial }) => {
        await serve(echo);
        const client = await dial();
        await client.connection.send(message("", { "Micro-Id": "1" }));
        const reply = await client.next();
        assert.equal(reply.body.length, 0);
        assert.equal(reply.header["Micro-Id"], "1");
      },

      "a body of 1 MiB arrives unchanged, both ways": async ({ serve, dial }) => {
        await serve(echo);
        const client = await dial();
        const body = pattern(1 << 20);
        await client.connection.send({ header: {}, body });
        assert.ok(Buffer.from(body).equals((await client.next()).body));
      },

      "a body at the limit passes, one above it is PAYLOAD_TOO_LARGE and nothing of it arrives": async ({
        serve,
        dial,
      }) => {
        await serve(echo);
        const client = await dial();
        await assert.rejects(client.connection.send({ header: {}, body: new Uint8Array(maxBody + 1) }), {
          code: "PAYLOAD_TOO_LARGE",
        });
        await client.connection.send({ header: {}, body: new Uint8Array(maxBody) });
        assert.equal((await client.next()).body.length, maxBody);
      },

      "what the sender does to its header afterwards does not show at the receiver": async ({ serve, dial }) => {
        await serve(echo);
        const client = await dial();
        const sent = message("x", { "X-A": "1" });
        const done = client.connection.send(sent);
        sent.header["X-A"] = "2";
        sent.header["X-B"] = "3";
        await done;
        const { header } = await client.next();
        assert.equal(header["X-A"], "1");
        assert.equal(header["X-B"], undefined);
      },

      "messages arrive in the order in which they were sent": async ({ serve, dial }) => {
        await serve(echo);
        const client = await dial({ reuse: false });
        const sends: Promise<void>[] = [];
        for (let i = 0; i < 500; i++) sends.push(client.connection.send(message(String(i))));
        for (let i = 0; i < 500; i++) assert.equal(text(await client.next()), String(i));
        await Promise.all(sends);
      },

      "the server may answer many times, and before the request": async ({ serve, dial }) => {
        await serve((user) => {
          user.connection.busy(true);
          for (let i = 0; i < 3; i++) void user.connection.send(message(`early ${i}`));
        });
        const client = await dial({ reuse: false });
        // Some transports make the connection known to the server with its first message.
        await client.connection.send(message("open"));
        for (let i = 0; i < 3; i++) assert.equal(text(await client.next()), `early ${i}`);
      },

      "a connection that was given back is used again": async ({ serve, dial, accepted }) => {
        await serve(echo);
        for (let i = 0; i < 5; i++) {
          const client = await dial();
          await client.connection.send(message(`call ${i}`));
          assert.equal(text(await client.next()), `call ${i}`);
          client.connection.release();
        }
        assert.equal(accepted.length, 1);
      },

      "a connection that was not given back is used by nobody else": async ({ serve, dial, accepted }) => {
        await serve(echo);
        const first = await dial();
        await first.connection.send(message("first"));
        await first.next();
        const second = await dial();
        await second.connection.send(message("second"));
        assert.equal(text(await second.next()), "second");
        assert.equal(accepted.length, 2);
      },

      "a connection dialled for a stream is never shared": async ({ serve, dial, accepted }) => {
        await serve(echo);
        const unary = await dial();
        await unary.connection.send(message("a"));
        await unary.next();
        unary.connection.release();
        const stream = await dial({ reuse: false });
        await stream.connection.send(message("b"));
        await stream.next();
        stream.connection.release();
        const again = await dial({ reuse: false });
        await again.connection.send(message("c"));
        assert.equal(text(await again.next()), "c");
        assert.equal(accepted.length, 3);
      },

      "a former user of a connection cannot touch its next exchange": async ({ serve, dial, accepted }) => {
        await serve(echo);
        const former = await dial();
        await former.connection.send(message("a"));
        await former.next();
        former.connection.release();
        const next = await dial();
        await next.connection.send(message("b"));
        await assert.rejects(former.connection.send(message("late")), { code: "CONNECTION_LOST" });
        former.connection.pause();
        former.connection.release();
        former.connection.close();
        former.connection.destroy();
        assert.equal(text(await next.next()), "b");
        assert.equal(former.inbox.length, 0);
        assert.equal(accepted.length, 1);
      },

      "an idle connection on which an answer arrives is used by nobody any more": async ({ serve, dial, accepted }) => {
        await serve((user) => {
          user.onMessage = (got) => {
            void user.connection.send(got);
            void user.connection.send(message("surplus"));
          };
        });
        const first = await dial();
        first.onMessage = () => first.connection.release();
        await first.connection.send(message("one"));
        assert.equal(text(await first.next()), "one");
        await eventually(() => accepted[0]?.over, "the server sees the connection end");
        const second = await dial();
        await second.connection.send(message("two"));
        assert.equal(text(await second.next()), "two");
      },

      "forget lets idle connections go": async ({ serve, dial, accepted, transport, node }) => {
        await serve(echo);
        const first = await dial();
        await first.connection.send(message("a"));
        await first.next();
        first.connection.release();
        transport.forget(node());
        await eventually(() => accepted[0]?.ended !== undefined, "the server sees the forgotten connection end");
        const second = await dial();
        await second.connection.send(message("b"));
        await second.next();
        assert.equal(accepted.length, 2);
      },

      "fifty connections at once keep their messages apart": async ({ serve, dial, accepted }) => {
        await serve(echo);
        const clients = await Promise.all(Array.from({ length: 50 }, () => dial()));
        await Promise.all(clients.map((client, i) => client.connection.send(message(`n${i}`))));
        for (const [i, client] of clients.entries()) assert.equal(text(await client.next()), `n${i}`);
        assert.equal(accepted.length, 50);
      },

      "the client's close reaches the server once, after what was sent before": async ({ serve, dial, accepted }) => {
        await serve(() => {});
        const client = await dial({ reuse: false });
        for (let i = 0; i < 20; i++) void client.connection.send(message(String(i)));
        client.connection.close();
        const user = await eventually(() => accepted[0], "the server gets the connection");
        for (let i = 0; i < 20; i++) assert.equal(text(await user.next()), String(i));
        assert.equal((await user.end()).code, "CONNECTION_LOST");
      },

      "the server's close reaches the client once, after what was sent before": async ({ serve, dial }) => {
        await serve((user) => {
          user.onMessage = () => {
            void user.connection.send(message("last words"));
            user.close();
          };
        });
        const client = await dial();
        await client.connection.send(message("x"));
        assert.equal(text(await client.next()), "last words");
        const error = await client.end();
        assert.equal(error.code, "CONNECTION_LOST");
        assert.equal(error.refused, false);
      },

      "an idle connection that the server closed is not used again": async ({ serve, dial, accepted }) => {
        await serve(echo);
        const first = await dial();
        await first.connection.send(message("a"));
        await first.next();
        first.connection.release();
        accepted[0]?.close();
        const reply = await eventually(async () => {
          const client = await dial();
          await client.connection.send(message("b")).catch(() => {});
          return client.next().catch(() => undefined);
        }, "a fresh connection");
        assert.equal(text(reply), "b");
        assert.equal(accepted.length, 2);
      },

      "destroy in mid-message reaches the other end once": async ({ serve, dial, accepted }) => {
        await serve((user) => user.connection.pause());
        const client = await dial({ reuse: false });
        const sending = client.connection.send({ header: {}, body: new Uint8Array(maxBody) });
        sending.catch(() => {});
        const user = await eventually(() => accepted[0], "the server gets the connection");
        client.connection.destroy();
        user.connection.resume();
        assert.equal((await user.end()).code, "CONNECTION_LOST");
        await within(
          sending.catch(() => {}),
          "the send settles",
        );
      },

      "who closed hears nothing more": async ({ serve, dial, accepted }) => {
        await serve((user) => {
          user.onMessage = (got) => {
            for (let i = 0; i < 10; i++) void user.connection.send(got).catch(() => {});
          };
        });
        const client = await dial();
        await client.connection.send(message("x"));
        await client.next();
        client.connection.close();
        client.inbox.length = 0;
        const user = await eventually(() => accepted[0], "the server gets the connection");
        await user.end();
        assert.equal(client.inbox.length, 0);
        assert.equal(client.ended, undefined);
      },

      "sending after the end is CONNECTION_LOST": async ({ serve, dial, accepted }) => {
        await serve(echo);
        const client = await dial();
        await client.connection.send(message("x"));
        await client.next();
        const user = await eventually(() => accepted[0], "the server gets the connection");
        client.connection.close();
        await assert.rejects(client.connection.send(message("y")), { code: "CONNECTION_LOST" });
        await user.end();
        await assert.rejects(user.connection.send(message("z")), { code: "CONNECTION_LOST" });
      },

      "a dial that finds nobody is UNAVAILABLE and refused": async ({ serve, transport, node }) => {
        let address = suite.nobody;
        if (address === undefined) {
          const listener = await serve(() => {});
          await listener.close();
          address = listener.address;
        }
        await assert.rejects(
          within(transport.dial({ ...node(), address }, { reuse: true, deadline: Infinity }), "the dial settles"),
          { code: "UNAVAILABLE", refused: true },
        );
      },

      "a dial whose caller gave up is CANCELLED": async ({ serve, transport, node }) => {
        await serve(() => {});
        const dialling = transport.dial(node(), { reuse: true, deadline: Infinity, signal: AbortSignal.abort() });
        await assert.rejects(dialling, { code: "CANCELLED" });
      },

      "a dial without time left is TIMEOUT": async ({ serve, transport, node }) => {
        await serve(() => {});
        await assert.rejects(transport.dial(node(), { reuse: true, deadline: 0 }), { code: "TIMEOUT" });
      },

      "a paused receiver holds its sender back, and loses nothing": async ({ serve, dial, accepted }) => {
        await serve((user) => {
          user.connection.busy(true);
          user.onMessage = () => user.connection.pause();
        });
        const client = await dial({ reuse: false });
        const body = new Uint8Array(64 * 1024);
        let sent = 0;
        const sending = (async () => {
          for (; sent < 1000; sent++) await client.connection.send({ header: { "X-N": String(sent) }, body });
        })();
        sending.catch(() => {});
        const user = await eventually(() => accepted[0], "the server gets the connection");
        await eventually(async () => {
          const before = sent;
          await new Promise((resolve) => setTimeout(resolve, 50));
          return sent === before && sent > 0;
        }, "the sender is held back");
        // 62 MiB wanted to go out; what sockets and buffers swallow is a fraction of that.
        assert.ok(sent < 500, `the sender got ${sent} messages out`);
        assert.equal(user.inbox.length, 1);
        user.onMessage = () => {};
        user.connection.resume();
        for (let i = 0; i < 1000; i++) assert.equal((await user.next()).header["X-N"], String(i));
        await sending;
      },

      "drain closes idle connections and lets calls finish": async ({ serve, dial, accepted }) => {
        const listener = await serve((user) => {
          user.onMessage = (got) => text(got) === "quick" && void user.connection.send(got);
        });
        const idle = await dial({ reuse: false });
        await idle.connection.send(message("quick"));
        await idle.next();
        const working = await dial({ reuse: false });
        await working.connection.send(message("slow"));
        const user = await eventually(() => accepted[1], "the server gets both connections");
        await user.next();
        let drained = false;
        const draining = listener.drain().then(() => (drained = true));
        await idle.end();
        assert.equal(drained, false);
        await user.connection.send(message("done"));
        assert.equal(text(await working.next()), "done");
        await within(draining, "drain resolves");
        await working.end();
      },

      "a connection that is busy is not drained": async ({ serve, dial, accepted }) => {
        const listener = await serve((user) => user.connection.busy(true));
        const client = await dial({ reuse: false });
        await client.connection.send(message("open"));
        const user = await eventually(() => accepted[0], "the server gets the connection");
        await user.next();
        let drained = false;
        const draining = listener.drain().then(() => (drained = true));
        for (let i = 0; i < 3; i++) {
          await user.connection.send(message(String(i)));
          assert.equal(text(await client.next()), String(i));
        }
        assert.equal(drained, false);
        user.connection.busy(false);
        await within(draining, "drain resolves");
        await client.end();
      },

      "close ends every connection and every pending send": async ({ serve, dial, accepted, transport }) => {
        const listener = await serve((user) => user.connection.pause());
        const waiting = await dial({ reuse: false });
        const other = await dial();
        await other.connection.send(message("x"));
        let pending: Promise<unknown> | undefined;
        const flood = (async () => {
          for (let i = 0; i < 1000; i++)
            await (pending = waiting.connection.send({ header: {}, body: new Uint8Array(256 * 1024) }));
        })();
        flood.catch(() => {});
        await eventually(() => accepted.length === 2 && pending !== undefined, "both connections are there");
        await within(listener.close(), "the listener closes");
        await assert.rejects(within(flood, "the pending send settles"), { code: "CONNECTION_LOST" });
        assert.equal((await waiting.end()).code, "CONNECTION_LOST");
        assert.equal((await other.end()).code, "CONNECTION_LOST");
        await within(transport.close(), "the transport closes");
        for (const user of accepted) await user.end();
      },
    },
  });
}

function echo(user: User): void {
  user.onMessage = (got) => void user.connection.send(got).catch(() => {});
}

function bytes(value: string): Uint8Array {
  return Buffer.from(value);
}

function message(value: string, header: Record<string, string> = {}): Message {
  return { header, body: bytes(value) };
}

function text(message: Message): string {
  return Buffer.from(message.body).toString();
}

function pattern(length: number): Uint8Array {
  const out = new Uint8Array(length);
  for (let i = 0; i < length; i++) out[i] = (i * 31 + (i >> 8)) & 255;
  return out;
}
