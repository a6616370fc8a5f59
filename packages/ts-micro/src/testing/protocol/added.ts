import { errors } from "../../errors.ts";
import type { Metadata } from "../../metadata.ts";
import type { CallHead, IncomingCall, ReplyListener } from "../../protocol.ts";
import { within } from "../suite.ts";
import { all, bytes, check, fails, same, text, type Bench, type Promises } from "./bench.ts";

const forbidden = "13";

/** Hears what was added, in words. */
class Heard implements ReplyListener {
  readonly words: string[] = [];
  readonly head: Partial<CallHead> = { listener: this };

  header(metadata: Metadata): void {
    this.#add("header", metadata);
  }

  trailer(metadata: Metadata): void {
    this.#add("trailer", metadata);
  }

  /** Of the names that handlers here use, and the value of those that they may not. */
  #add(part: string, metadata: Metadata): void {
    const mine = [...metadata]
      .filter(([name, value]) => /^X-(Seen|Cost)$/.test(name) || value === forbidden)
      .map(([, value]) => value);
    if (mine.length > 0) this.words.push(`${part} ${mine.join()}`);
  }
}

function add({ response }: IncomingCall, seen: string | undefined, cost: string | undefined): void {
  if (seen !== undefined) response?.header.set("X-Seen", seen);
  if (cost !== undefined) response?.trailer.set("x-cost", cost);
}

/** What is promised of what handlers add to their replies. */
export const addedPromises: Promises = {
  "what a handler adds to its reply reaches a caller who asks": async (b: Bench) => {
    b.unaries.set("Test.Add", async (call, body) => {
      add(call, "zoë", "3");
      return { body };
    });
    for (let i = 0; i < 3; i++) {
      const heard = new Heard();
      same(text((await b.call("Test.Add", "hello", heard.head)).body), "hello", "reply");
      same(heard.words.join("; "), "header zoë; trailer 3", "what was heard");
      same(text((await b.call("Test.Add", "nobody asks")).body), "nobody asks", "reply");
    }
    same(b.peer.pending, 0, "pending");
  },
  "nothing is heard of a reply to which nothing was added": async (b: Bench) => {
    const heard = new Heard();
    await b.call("Test.Echo", "hello", heard.head);
    same(heard.words.join(), "", "what was heard");
  },
  "header and trailer come with an error too": async (b: Bench) => {
    b.unaries.set("Test.Fail", async (call) => {
      add(call, "yes", "4");
      throw errors.conflict("shop", "sold");
    });
    const heard = new Heard();
    await fails(b.call("Test.Fail", "", heard.head), "CONFLICT", "a failing call");
    same(heard.words.join("; "), "header yes; trailer 4", "what was heard");
    same(text((await b.call("Test.Echo", "after")).body), "after", "the call after");
  },
  "what is added overrides nothing of the protocol": async (b: Bench) => {
    b.unaries.set("Test.Add", async (call, body) => {
      for (const added of [call.response?.header, call.response?.trailer])
        for (const name of [
          "Content-Type Content-Length Transfer-Encoding Connection Trailer Upgrade Grpc-Status Grpc-Encoding",
          "Micro-Error X-Micro-Error Micro-Id Micro-Stream Micro-Refused Micro-Header-X Timeout Host Te HTTP2-Settings",
        ].flatMap((names) => names.split(" ")))
          added?.set(name, forbidden).set("no token", forbidden).set("", forbidden);
      add(call, "yes", "5");
      return { body };
    });
    const heard = new Heard();
    same(text((await b.call("Test.Add", "hello", heard.head)).body), "hello", "reply");
    same(heard.words.join("; "), "header yes; trailer 5", "what was heard");
    same(text((await b.call("Test.Echo", "after")).body), "after", "the call after");
  },
  "too much of it is the caller's error, and the connection goes on": async (b: Bench) => {
    b.unaries.set("Test.Much", async (call, body) => {
      add(call, "x".repeat(17_000), "6");
      return { body };
    });
    const heard = new Heard();
    await fails(b.call("Test.Much", "", heard.head), "RESOURCE_EXHAUSTED", "too much");
    check(!heard.words.some((word) => word.startsWith("header")), "none of what is too much is heard");
    await fails(b.call("Test.Much"), "RESOURCE_EXHAUSTED", "too much that nobody asks for");
    b.on("server", "Test.MuchMore", async (call, stream) => {
      await stream.read();
      add(call, undefined, "x".repeat(17_000));
      return undefined;
    });
    for (const listener of [heard, undefined]) {
      const stream = b.open("server", "Test.MuchMore", { listener });
      await stream.send(bytes("go"));
      await fails(all(stream), "RESOURCE_EXHAUSTED", "too much at the end of a stream");
    }
    b.unaries.set("Test.Most", async (call, body) => {
      add(call, "x".repeat(16_000), "y".repeat(16_000));
      return { body };
    });
    await b.call("Test.Most", "", heard.head);
    check(heard.words.join().includes(`header ${"x".repeat(16_000)},trailer ${"y".repeat(16_000)}`), "all is heard");
  },
  "what no wire carries is refused where it is added, whether somebody asks or not": async (b: Bench) => {
    b.unaries.set("Test.Add", async (call, body) => {
      add(call, "yes", "a\r\nX-Cost: 7");
      return { body };
    });
    const heard = new Heard();
    await fails(b.call("Test.Add", "", heard.head), "BAD_REQUEST", "a line end");
    same(heard.words.join("; "), "header yes", "what was heard");
    await fails(b.call("Test.Add"), "BAD_REQUEST", "a line end that nobody asks for");
    same(text((await b.call("Test.Echo", "after")).body), "after", "the call after");
  },
  "of a stream the header comes with the first message, the trailer with the end": async (b: Bench) => {
    const words = new Map<string, string[]>();
    b.on("server", "Test.Count", async (call, stream) => {
      await stream.read();
      add(call, "yes", undefined);
      await stream.send(bytes("m0"));
      add(call, "too late", "2");
      await stream.send(bytes("m1"));
      return undefined;
    });
    for (const asks of ["one", "two"]) {
      const heard = new Heard();
      words.set(asks, heard.words);
      const stream = b.open("server", "Test.Count", heard.head);
      await stream.send(bytes("go"));
      stream.end();
      same(text(await within(stream.read(), "a message")), "m0", "message");
      same(heard.words[0], "header yes", "what was heard with the first message");
      same((await within(all(stream), "the end")).join(), "m1", "messages");
      same(heard.words.join("; "), "header yes; trailer 2", "what was heard");
    }
    await b.idle();
  },
  "of a stream that fails, or has no message, both come with the end": async (b: Bench) => {
    b.on("server", "Test.None", async (call, stream) => {
      const fail = text(await stream.read()) === '"fail"';
      add(call, "yes", "1");
      return fail ? errors.conflict("shop", "sold") : undefined;
    });
    for (const how of ['"fail"', '"end"']) {
      const heard = new Heard();
      const stream = b.open("server", "Test.None", heard.head);
      await stream.send(bytes(how));
      if (how === '"end"') same(await within(stream.read(), "the end"), undefined, "the end");
      else await fails(within(stream.read(), "the end"), "CONFLICT", "a failing stream");
      same(heard.words.join("; "), "header yes; trailer 1", "what was heard");
    }
    await b.idle();
  },
  "client and bidi streams have them too": async (b: Bench) => {
    b.on("client", "Test.Join", async (call, stream) => {
      const parts = await all(stream);
      add(call, "yes", "7");
      await stream.send(bytes(parts.join("+")));
      return undefined;
    });
    b.on("bidi", "Test.Chat", async (call, stream) => {
      add(call, "yes", undefined);
      for (const part of await all(stream)) await stream.send(bytes(part));
      add(call, undefined, "7");
      return undefined;
    });
    for (const [kind, endpoint, answers] of [
      ["client", "Test.Join", "1+2"],
      ["bidi", "Test.Chat", "1,2"],
    ] as const) {
      const heard = new Heard();
      const stream = b.open(kind, endpoint, heard.head);
      for (const part of ["1", "2"]) await stream.send(bytes(part));
      stream.end();
      same((await within(all(stream), "the end")).join(), answers, `messages of ${kind}`);
      same(heard.words.join("; "), "header yes; trailer 7", `what was heard of ${kind}`);
    }
    await b.idle();
  },
};
